/* The working directory and the umask: getcwd, chdir, fchdir and umask, what forks and threads share of them, and generated
   directories, removed ones and moved ones to stand in. */
#include "check.h"
#include "folder.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

static char text[8192];

static const char *cwd(void) {
    return getcwd(text, sizeof text) ? text : "?";
}

/* What a link says. */
static const char *link_of(const char *path) {
    ssize_t len = readlink(path, text, sizeof text - 1);
    if (len < 0) return "?";
    text[len] = 0;
    return text;
}

static int same(const char *one, const char *other) {
    if (!strcmp(one, other)) return 1;
    printf("%s is not %s\n", one, other);
    return 0;
}

static char whole[4096];
static const char *in_folder(const char *name) {
    snprintf(whole, sizeof whole, "%s/%s", folder, name);
    return whole;
}

static void names(void) {
    GIVES(0, mkdir("d", 0755));
    GIVES(0, symlink("d", "to-d"));
    GIVES(0, chdir("to-d"));
    CHECK(same(cwd(), in_folder("d")) && same(link_of("/proc/self/cwd"), whole));
    GIVES((long)strlen(whole) + 1, syscall(SYS_getcwd, text, sizeof text));
    FAILS(ERANGE, syscall(SYS_getcwd, text, strlen(whole)));
    GIVES((long)strlen(whole) + 1, syscall(SYS_getcwd, text, strlen(whole) + 1));
    FAILS(ERANGE, syscall(SYS_getcwd, text, 0));
    FAILS(EFAULT, syscall(SYS_getcwd, (char *)8, sizeof text));
    GIVES(0, chdir(".."));
    CHECK(same(cwd(), folder));
    GIVES(0, chdir("./to-d/../d/."));
    CHECK(same(cwd(), in_folder("d")));
    FAILS(ENOENT, chdir("nowhere"));
    FAILS(ENOENT, chdir(""));
    FAILS(EFAULT, chdir((char *)8));
    put("file", "in d");
    FAILS(ENOTDIR, chdir("file"));
    FAILS(ENOTDIR, chdir("/proc/self/status"));
    CHECK(same(cwd(), in_folder("d")));
    int file = open("file", O_RDONLY), ends[2];
    FAILS(ENOTDIR, fchdir(file));
    CHECK(!pipe(ends));
    FAILS(ENOTDIR, fchdir(ends[0]));
    close(ends[0]), close(ends[1]), close(file);
    int up = open("..", O_RDONLY | O_DIRECTORY), path = open(".", O_PATH);
    GIVES(0, fchdir(up));
    CHECK(same(cwd(), folder) && same(get("d/file"), "in d"));
    GIVES(0, fchdir(path));
    CHECK(same(cwd(), in_folder("d")) && same(get("file"), "in d"));
    close(up), close(path);
    GIVES(0, chdir("/"));
    CHECK(same(cwd(), "/"));
    GIVES(0, chdir("/.."));
    CHECK(same(cwd(), "/"));
    GIVES(0, chdir("/proc/self/root"));
    CHECK(same(cwd(), "/"));
    GIVES(0, chdir(folder));
}

static void generated(void) {
    char own[64], status[8192];
    snprintf(own, sizeof own, "/proc/%d", (int)getpid());
    put("outside", "a real file");
    GIVES(0, chdir("/proc/self"));
    CHECK(same(cwd(), own) && same(link_of("cwd"), own) && same(link_of("/proc/self/cwd"), own));
    CHECK(get("comm") && same(get("comm"), "cwd\n"));
    strcpy(status, get("stat"));
    CHECK(atoi(status) == getpid() && ino_of("stat") == ino_of("/proc/self/stat"));
    CHECK(!access("status", R_OK) && same(get("task/../comm"), "cwd\n"));
    FAILS(ENOENT, open("nothing", O_RDONLY));
    GIVES(-1, open("nothing", O_WRONLY | O_CREAT, 0644));
    GIVES(0, chdir("fd"));
    strcat(own, "/fd");
    CHECK(same(cwd(), own) && *link_of("0") && access("0", F_OK) == 0);
    GIVES(0, chdir(".."));
    GIVES(0, chdir("../self/../self/cwd"));
    /* A relative path from there to real files. */
    char relative[128];
    snprintf(relative, sizeof relative, "../..%s/outside", folder);
    CHECK(same(get(relative), "a real file"));
    struct stat one, other;
    CHECK(!stat(relative, &one) && !stat(in_folder("outside"), &other) && one.st_ino == other.st_ino && one.st_dev == other.st_dev);
    snprintf(relative, sizeof relative, "../..%s/new", folder);
    put(relative, "made from afar");
    CHECK(same(get(in_folder("new")), "made from afar"));
    GIVES(0, chmod(relative, 0600));
    CHECK(!stat(whole, &one) && (one.st_mode & 07777) == 0600);
    GIVES(0, unlink(relative));
    FAILS(ENOENT, access(whole, F_OK));
    GIVES(0, chdir("/proc"));
    CHECK(same(cwd(), "/proc") && atoi(get("self/stat")) == getpid() && same(get("./self/comm"), "cwd\n"));
    GIVES(0, chdir("sys/kernel"));
    CHECK(same(cwd(), "/proc/sys/kernel") && same(get("ostype"), "Linux\n") && same(get("../kernel/ostype"), "Linux\n"));
    GIVES(0, chdir("/sys/devices/system/cpu"));
    CHECK(same(cwd(), "/sys/devices/system/cpu") && *get("online") == '0');
    GIVES(0, chdir("/dev"));
    int null = open("null", O_RDWR);
    CHECK(null >= 0 && write(null, "x", 1) == 1 && same(cwd(), "/dev"));
    close(null);
    int proc = open("/proc/self", O_RDONLY | O_DIRECTORY);
    GIVES(0, fchdir(proc));
    CHECK(same(get("comm"), "cwd\n"));
    GIVES(0, chdir(folder));
    GIVES(0, fchdir(proc));
    close(proc);
    /* Programs that are started there stand there. */
    fflush(stdout);
    CHECK(!system("cd /proc/self/task && [ \"$(pwd -P)\" = \"$(readlink /proc/$$/cwd)\" ] && grep -q '^Linux$' ../../sys/kernel/ostype"));
    GIVES(0, chdir(folder));
    CHECK(same(get("outside"), "a real file"));
}

/* The directory of a process that has been reaped. */
static void ended(void) {
    int hold[2], ready[2];
    char byte;
    CHECK(!pipe(hold) && !pipe(ready));
    pid_t child = fork();
    if (!child) {
        close(hold[1]);
        byte = write(ready[1], "x", 1);
        if (read(hold[0], &byte, 1)) {}
        _exit(0);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", (int)child);
    GIVES(0, chdir(path));
    CHECK(same(get("comm"), "cwd\n") && same(cwd(), path));
    close(hold[0]), close(hold[1]), close(ready[0]), close(ready[1]);
    reap(child);
    CHECK(!getcwd(text, sizeof text) && (errno == ENOENT || errno == ESRCH));
    CHECK(open("nothing", O_RDONLY) < 0 && open("comm", O_RDONLY) < 0);
    GIVES(0, chdir(folder));
}

static void removed(void) {
    GIVES(0, mkdir("gone", 0755));
    GIVES(0, chdir("gone"));
    GIVES(0, rmdir(in_folder("gone")));
    FAILS(ENOENT, syscall(SYS_getcwd, text, sizeof text));
    in_folder("gone (deleted)");
    CHECK(same(link_of("/proc/self/cwd"), whole));
    FAILS(ENOENT, open("x", O_WRONLY | O_CREAT, 0644));
    FAILS(ENOENT, mkdir("x", 0755));
    struct stat stat_;
    CHECK(!stat(".", &stat_) && stat_.st_nlink == 0);
    /* Another directory of that name isn't this one. */
    GIVES(0, mkdir(in_folder("gone"), 0755));
    put(in_folder("gone/file"), "there");
    FAILS(ENOENT, open("file", O_RDONLY));
    FAILS(ENOENT, syscall(SYS_getcwd, text, sizeof text));
    pid_t child = fork();
    if (!child) _exit(getcwd(text, sizeof text) != NULL || errno != ENOENT || open("file", O_RDONLY) >= 0);
    reap(child);
    GIVES(0, chdir(".."));
    CHECK(same(cwd(), folder));
    /* A name that looks like that of a removed one. */
    GIVES(0, mkdir("here (deleted)", 0755));
    GIVES(0, chdir("here (deleted)"));
    CHECK(same(cwd(), in_folder("here (deleted)")));
    put("f", "found");
    CHECK(same(get("f"), "found") && same(get("./f"), "found"));
    GIVES(0, chdir(folder));
}

static void moved(void) {
    GIVES(0, mkdir("one", 0755));
    GIVES(0, mkdir("one/two", 0755));
    GIVES(0, chdir("one/two"));
    put("f", "before");
    GIVES(0, rename(in_folder("one"), "../../three"));
    CHECK(same(cwd(), in_folder("three/two")) && same(link_of("/proc/self/cwd"), whole));
    CHECK(same(get("f"), "before") && same(get("../two/f"), "before") && same(get(in_folder("three/two/f")), "before"));
    GIVES(0, mkdir(in_folder("one"), 0755));
    GIVES(0, mkdir(in_folder("one/two"), 0755));
    put(in_folder("one/two/f"), "another");
    CHECK(same(get("f"), "before"));
    /* Somebody else moves it. */
    pid_t child = fork();
    if (!child) {
        if (chdir("../..") || rename("three/two", "two")) _exit(1);
        _exit(0);
    }
    reap(child);
    CHECK(same(cwd(), in_folder("two")) && same(get("f"), "before"));
    GIVES(0, chdir(".."));
    CHECK(same(cwd(), folder));
}

/* A stack for clones. */
static char *stack(void) {
    char *low = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low == MAP_FAILED) abort();
    return low + (1 << 16);
}

static int child_of_clone(void *to) {
    umask(0);
    return chdir(to) != 0;
}

static void clone_and_reap(int flags, const char *to) {
    pid_t child = clone(child_of_clone, stack(), flags | SIGCHLD, (void *)to);
    reap(child);
}

static void *thread(void *to) {
    umask(011);
    return (void *)(long)chdir(to);
}

static void shared(void) {
    GIVES(0, mkdir("a", 0755));
    umask(022);
    clone_and_reap(0, "a");
    CHECK(same(cwd(), folder));
    GIVES(022, umask(022));
    clone_and_reap(CLONE_FS, "a");
    CHECK(same(cwd(), in_folder("a")));
    GIVES(0, umask(022));
    clone_and_reap(CLONE_FS, "/proc");
    CHECK(same(cwd(), "/proc") && atoi(get("self/stat")) == getpid());
    umask(022);
    clone_and_reap(CLONE_FS | CLONE_VM, folder);
    CHECK(same(cwd(), folder));
    GIVES(0, umask(022));
    pthread_t other;
    void *result;
    CHECK(!pthread_create(&other, NULL, thread, "a") && !pthread_join(other, &result) && !result);
    CHECK(same(cwd(), in_folder("a")));
    GIVES(011, umask(022));
    /* Descriptors of directories are of no process. */
    pid_t child = fork();
    if (!child) _exit(chdir("..") || !same(cwd(), folder));
    reap(child);
    CHECK(same(cwd(), in_folder("a")));
    GIVES(0, chdir(folder));
}

static int mode_of(const char *path) {
    struct stat stat;
    return lstat(path, &stat) ? -1 : stat.st_mode & 07777;
}

static int umask_of(const char *status) {
    const char *line = strstr(get(status), "\nUmask:");
    return line ? (int)strtol(line + 7, NULL, 8) : -1;
}

static int make(const char *path, int mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
    return fd < 0 ? -1 : close(fd);
}

static void modes(void) {
    umask(022);
    GIVES(022, umask(0777 | 07000));
    GIVES(0777, umask(027));
    GIVES(027, umask_of("/proc/self/status"));
    CHECK(!make("m1", 0666) && mode_of("m1") == 0640);
    CHECK(!mkdir("m2", 0777) && mode_of("m2") == 0750);
    CHECK(!mknod("m3", S_IFIFO | 0666, 0) && mode_of("m3") == 0640);
    CHECK(!make("m4", 04777) && mode_of("m4") == 04750);
    CHECK(!symlink("m1", "m5") && mode_of("m5") == 0777);
    GIVES(0, chmod("m1", 0666));
    CHECK(mode_of("m1") == 0666);
    pid_t child = fork();
    if (!child) {
        int wrong = umask_of("/proc/self/status") != 027 || umask(0) != 027;
        wrong |= make("m6", 0666) || mode_of("m6") != 0666;
        /* The umask lasts over exec. */
        if (!wrong) execl("/bin/sh", "sh", "-c", "[ $(umask) = 0000 ] && : > m7", NULL);
        _exit(1);
    }
    reap(child);
    CHECK(mode_of("m7") == 0666);
    GIVES(027, umask(022));
    /* From a generated directory as well. */
    GIVES(0, chdir("/proc/self"));
    char relative[128];
    snprintf(relative, sizeof relative, "../..%s/m8", folder);
    CHECK(!make(relative, 0666) && mode_of(in_folder("m8")) == 0644);
    GIVES(0, chdir(folder));
}

int main(void) {
    enter_folder();
    names();
    generated();
    ended();
    removed();
    moved();
    shared();
    modes();
    leave_folder();
    return done();
}
