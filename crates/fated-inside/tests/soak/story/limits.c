/* Limits, and acts that meet them. */
#include "story.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const int kinds[] = {RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_STACK, RLIMIT_AS, RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING,
    RLIMIT_DATA, RLIMIT_CORE, RLIMIT_NICE, RLIMIT_MSGQUEUE, 16, -1};
static rlim_t some_limit(int kind) {
    static const rlim_t few[] = {0, 1, 2, 3, 8, 12, 61, 62, 63, 64, 65, 1024, 1025, 4096, 4097};
    static const rlim_t bytes[] = {0, 4096, 65536, 1 << 20, 64 << 20, 100 << 20, 1UL << 30, 1UL << 40};
    if (below(10) == 0) return RLIM_INFINITY;
    return kind == RLIMIT_STACK || kind == RLIMIT_AS || kind == RLIMIT_DATA || kind == RLIMIT_FSIZE || kind == RLIMIT_MEMLOCK ? PICK(bytes) : PICK(few);
}

static void set(void) {
    int kind = PICK(kinds);
    struct rlimit now = {0, 0};
    long result = getrlimit(kind, &now);
    say("getrlimit", result, result ? errno : (long)(now.rlim_cur ^ now.rlim_max << 1));
    now.rlim_cur = some_limit(kind);
    if (below(4) == 0) now.rlim_max = some_limit(kind);
    told("setrlimit", below(2) ? setrlimit(kind, &now) : prlimit(below(2) ? 0 : getpid(), kind, &now, 0));
}
static int down(int n) {
    volatile char room[1000];
    room[0] = (char)n;
    return n ? down(n - 1) + room[0] - room[0] + 1 : 1;
}
static void meet(void) {
    char bytes[6000] = "";
    switch (below(9)) {
    case 0: {
        int made = 0, last = -1, fd;
        while (made < 80 && (fd = below(2) ? dup(0) : open("/dev/null", O_RDONLY)) >= 0) made++, last = fd;
        return say("descriptors", made, last);
    }
    case 1: {
        int fd = open("f1", O_CREAT | O_RDWR, 0644);
        signal(SIGXFSZ, below(4) ? SIG_IGN : SIG_DFL);
        for (int i = 0; i < 3; i++) told("write", pwrite(fd, bytes, sizeof bytes, below(3) * 60000));
        told("truncate", ftruncate(fd, below(200000)));
        told("allocate", posix_fallocate(fd, below(100000), 1 + below(10000)));
        close(fd);
        return;
    }
    case 2: {
        pid_t child = fork();
        if (child == 0) _exit(0);
        int status = 0;
        if (child > 0) while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        return told("fork", child);
    }
    case 3: {
        char *at = mmap(0, (size_t)(1 + below(300)) << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return say("map", at == MAP_FAILED ? -1 : 0, at == MAP_FAILED ? errno : 0);
    }
    case 4: {
        char *at = mmap(0, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (below(4) ? 0 : MAP_LOCKED), -1, 0);
        if (at == MAP_FAILED) return told("locked map", -1);
        told("mlock", mlock(at, (size_t)below(64) * PAGE));
        told("mlock2", syscall(SYS_mlock2, at + 8 * PAGE, (size_t)below(50) * PAGE, below(3)));
        return told("munlock", munlock(at, below(64) * PAGE));
    }
    case 5: {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, 0);
        int sent = 0;
        while (sent < 70 && sigqueue(getpid(), 40, (union sigval){.sival_int = sent}) == 0) sent++;
        return say("queued", sent, errno);
    }
    case 6: return say("down", down(below(3000)), 0);
    case 7: return told("brk", sbrk((long)below(100) << 20) == (void *)-1 ? -1 : 0);
    default: {
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)0);
            _exit(errno);
        }
        int status = 0;
        if (child > 0) while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        return say("true", child > 0, status);
    }
    }
}
static void limited(void) {
    for (int i = 1 + below(3); i; i--) set();
    for (int i = 1 + below(4); i; i--) meet();
}

void odd_limits(void) { in_child("limits", limited); }
