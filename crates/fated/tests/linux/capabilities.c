/* Capabilities: what calls, a change of the user and an exec make of them, and that they count. Only some are looked at, which
   containers leave to root, too. */
#include "check.h"
#include "folder.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

static const int looked_at[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP};
#define COUNT (int)(sizeof looked_at / sizeof *looked_at)
#define BIT(it) (1u << (it))

static struct __user_cap_data_struct caps[2];

static int load(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capget, &header, caps);
}

static int store(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capset, &header, caps);
}

static void show(const char *when) {
    load();
    printf("%s: ", when);
    for (int i = 0; i < COUNT; i++) {
        int bit = looked_at[i];
        printf(" %d:%s%s%s%s%s", bit, caps[0].effective & BIT(bit) ? "e" : "", caps[0].permitted & BIT(bit) ? "p" : "",
               caps[0].inheritable & BIT(bit) ? "i" : "", prctl(PR_CAPBSET_READ, bit, 0, 0, 0) == 1 ? "b" : "",
               prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0) == 1 ? "a" : "");
    }
    printf(" secure %#x keep %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS));
    const char *status = get("/proc/self/status");
    unsigned long long sets[5];
    const char *names[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
    for (int i = 0; i < 5; i++) {
        const char *line = strstr(status, names[i]);
        sets[i] = line ? strtoull(line + 7, NULL, 16) : ~0ull;
    }
    CHECK(sets[0] == caps[0].inheritable && (unsigned)sets[1] == caps[0].permitted && (unsigned)sets[2] == caps[0].effective);
    CHECK((sets[3] >> CAP_KILL & 1) == (unsigned)prctl(PR_CAPBSET_READ, CAP_KILL, 0, 0, 0));
    fflush(stdout);
}

static void begin(const char *what) {
    printf("-- %s\n", what);
    fflush(stdout);
}

#define CHILD(what, ...) do { begin(what); pid_t child = fork(); if (!child) { __VA_ARGS__; exit(done()); } reap(child); } while (0)

static void sets(void) {
    show("root");
    caps[0].effective &= ~BIT(CAP_KILL);
    GIVES(0, store());
    show("not effective");
    caps[0].effective |= BIT(CAP_KILL);
    GIVES(0, store());
    caps[0].inheritable = BIT(CAP_SETUID);
    GIVES(0, store());
    GIVES(0, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0));
    FAILS(EPERM, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    show("ambient");
    caps[0].effective &= ~BIT(CAP_KILL), caps[0].permitted &= ~(BIT(CAP_KILL) | BIT(CAP_SETUID));
    FAILS(EPERM, store());
    caps[0].effective &= ~BIT(CAP_SETUID);
    GIVES(0, store());
    show("not permitted");
    caps[0].permitted |= BIT(CAP_KILL);
    FAILS(EPERM, store());
    FAILS(EINVAL, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 100, 0, 0));
    FAILS(EINVAL, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 1, 0));
    FAILS(EINVAL, prctl(PR_CAP_AMBIENT, 9, CAP_KILL, 0, 0));
    GIVES(0, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));

    FAILS(EINVAL, prctl(PR_CAPBSET_READ, 100, 0, 0, 0));
    FAILS(EINVAL, prctl(PR_CAPBSET_DROP, 100, 0, 0, 0));
    GIVES(0, prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0));
    show("bounded");
    load();
    caps[0].effective &= ~BIT(CAP_SETPCAP);
    GIVES(0, store());
    FAILS(EPERM, prctl(PR_CAPBSET_DROP, CAP_SETGID, 0, 0, 0));
    FAILS(EPERM, prctl(PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0));
    caps[0].inheritable |= BIT(CAP_KILL);
    FAILS(EPERM, store());
    memset(caps, 0, sizeof caps);
    GIVES(0, store());
    show("nothing");
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0x7ffffff};
    FAILS(EPERM, syscall(SYS_capset, &header, caps));
    FAILS(ESRCH, syscall(SYS_capget, &header, caps));
    header.version = 1;
    FAILS(EINVAL, syscall(SYS_capset, &header, caps));
    GIVES(_LINUX_CAPABILITY_VERSION_3, header.version);
}

static void counts(void) {
    put("secret", "s"), chmod("secret", 0600);
    if (chown("secret", 4321, 4321)) abort();
    CHECK(get("secret")[0] == 's');
    load();
    unsigned all = caps[0].effective;
    caps[0].effective &= ~(BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_SETGID) | BIT(CAP_SETUID));
    GIVES(0, store());
    FAILS(EACCES, open("secret", O_RDONLY));
    FAILS(EPERM, setgroups(0, NULL));
    FAILS(EPERM, setuid(1234));
    caps[0].effective = all;
    GIVES(0, store());
    CHECK(get("secret")[0] == 's');
}

static void become_other(void) {
    GIVES(0, setresuid(1234, 1234, 1234));
    show("another user");
    FAILS(EPERM, setresuid(0, 0, 0));
}

static void keep(void) {
    FAILS(EINVAL, prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0));
    GIVES(0, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    GIVES(0, setresuid(1234, 1234, 1234));
    show("kept");
    FAILS(EPERM, setresgid(1234, 1234, 1234));
    caps[0].effective = caps[0].permitted = BIT(CAP_SETUID) | BIT(CAP_SETGID);
    caps[1].effective = caps[1].permitted = 0;
    GIVES(0, store());
    GIVES(0, setresgid(1235, 1235, 1235));
    GIVES(0, setgroups(0, NULL));
    GIVES(0, setresuid(0, 0, 0));
    show("root again");
}

static void for_a_while(void) {
    GIVES(0, setresuid(-1, 1234, -1));
    show("for a while");
    GIVES(0, setresuid(-1, 0, -1));
    show("back");
}

static void secure(void) {
    GIVES(0, prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS_LOCKED, 0, 0, 0));
    FAILS(EPERM, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    FAILS(EPERM, prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
    GIVES(0, setresuid(1234, 1234, 1234));
    show("no fixup");
}

static void start(const char *self) {
    fflush(stdout);
    execl(self, self, "shows", NULL);
    _exit(98);
}

static void exec_of_root(const char *self) {
    GIVES(0, prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0));
    memset(caps, 0, sizeof caps);
    GIVES(0, store());
    start(self);
}

static void exec_with_ambient(const char *self) {
    load();
    caps[0].inheritable = BIT(CAP_KILL) | BIT(CAP_CHOWN);
    GIVES(0, store());
    GIVES(0, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    GIVES(0, setresuid(1234, 1234, 1234));
    GIVES(0, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    start(self);
}

static void exec_without_root(const char *self) {
    GIVES(0, prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0));
    start(self);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        show("after an exec");
        return done();
    }
    if (getuid()) {
        fprintf(stderr, "skipped: it needs root\n");
        return 0;
    }
    umask(022);
    enter_folder();
    chmod(".", 0755);
    /* The program's own folder may be closed to others. */
    char buf[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = open("program", O_CREAT | O_WRONLY, 0755);
    for (ssize_t len; (len = read(from, buf, sizeof buf)) > 0;)
        if (write(to, buf, len) != len) abort();
    close(from), close(to);
    CHILD("sets", sets());
    CHILD("they count", counts());
    CHILD("a user without", become_other());
    CHILD("a user who keeps them", keep());
    CHILD("effective user", for_a_while());
    CHILD("secure bits", secure());
    CHILD("exec of root", exec_of_root("./program"));
    CHILD("exec with ambient ones", exec_with_ambient("./program"));
    CHILD("exec without root", exec_without_root("./program"));
    CHILD("no new privileges", GIVES(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); start("./program"));
    leave_folder();
    return done();
}
