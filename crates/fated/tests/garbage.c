/* Makes system calls with garbage in every argument. Each word of the command line but the first, which is the seed, names a
   call and the kinds of its arguments: NUMBER:KINDS. Runs under fated only: a real Linux would take some of it seriously.

   A child makes the calls, since many end it; the parent kills one that waits forever and starts the next one where it ended.
   Checked is that what fails fails with an error that Linux has. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 48, PAGE = 4096, LAST_ERRNO = 133 };

/* What the children leave for the parent. */
static struct {
    volatile int round;
    volatile long failures;
    volatile long insane_result;
    volatile int insane;
    volatile uint64_t args[6];
} *shared;

static uint64_t state;
static uint64_t next(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
static uint64_t below(uint64_t bound) { return next() % bound; }

/* Two pages, the second one gone; and a page that can't be written. */
static char *page, *read_only;

static uint64_t number(void) {
    static const uint64_t edges[] = {0, 1, 2, 3, 7, 8, 63, 64, 65, 255, 1024, 4095, 4096, 65536, INT32_MAX, 1u << 31,
        UINT32_MAX, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1, -100, 1000000000, 999999999};
    switch (below(4)) {
    case 0: return edges[below(sizeof edges / sizeof *edges)];
    case 1: return below(64);
    case 2: return 1ull << below(64) | (below(2) ? 1ull << below(64) : 0);
    default: return next() >> below(64);
    }
}

static uint64_t pointer(void) {
    switch (below(12)) {
    case 0: return 0;
    case 1: return below(5000);
    case 2: return UINT64_MAX - below(5000);
    case 3: return 0x7ffffffff000 - below(16);
    case 4: return 1ull << 63 | next() >> 8;
    case 5: return (uint64_t)(page + PAGE - below(64));
    case 6: return (uint64_t)read_only + below(2) * (PAGE - below(16));
    case 7: return (uint64_t)page + below(8);
    case 8: return next();
    default: return (uint64_t)page + 8 * below(256);
    }
}

static uint64_t argument(char kind) {
    static const int fds[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, -100, 1023, 1024, 99999, INT32_MAX, INT32_MIN};
    switch (kind) {
    case 'p': return pointer();
    case 'w': return below(2) ? pointer() : number();
    case 'f': return below(8) ? (uint64_t)fds[below(sizeof fds / sizeof *fds)] : number();
    case 's': return below(4) ? below(66) : number();
    case 'c': return below(2) ? below(13) : number();
    case 'i': {
        /* Never everyone, never the parent. */
        const int ids[] = {0, getpid(), -getpid(), 4194303, -4194303, 4194304, INT32_MAX, INT32_MIN, -2000000};
        return (uint64_t)ids[below(sizeof ids / sizeof *ids)];
    }
    default: return number();
    }
}

/* What a structure may hold. */
static void fill_page(void) {
    for (int i = 0; i < PAGE / 8; i++) {
        uint64_t word = below(3) ? number() : pointer();
        if (below(4) == 0) word = below(8) | below(8) << 32;
        memcpy(page + 8 * i, &word, 8);
    }
    /* No path leads out of the folder: chmod("/", 0) by root means it. */
    for (int i = 0; i < PAGE; i++)
        if (page[i] == '/' || (page[i] == '.' && i && page[i - 1] == '.')) page[i] = 'x';
}

static inline __attribute__((always_inline)) long call(long nr, const uint64_t *a) {
    register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* Descriptors of every kind, from 3 on. */
static void open_all(void) {
    int pipe_fds[2];
    if (pipe(pipe_fds)) _exit(3);
    if (open(".", O_RDONLY | O_DIRECTORY) < 0) _exit(3);
    /* One can't be written and one only be written at its end, so that nothing makes it huge. */
    if (open("file", O_RDONLY) < 0 || open("file", O_WRONLY | O_APPEND) < 0) _exit(3);
    syscall(SYS_epoll_create1, 0);
    syscall(SYS_eventfd2, 3, O_NONBLOCK);
    syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
    syscall(SYS_pidfd_open, getpid(), 0);
}

static void child(long nr, const char *kinds, int from) {
    static const uint64_t nothing[6];
    setpgid(0, 0);
    open_all();
    alarm(2);
    pid_t self = syscall(SYS_gettid);
    for (int round = from; round < ROUNDS; round++) {
        uint64_t seed = state, args[6] = {0};
        state = seed ^ (nr * 1000003ull + round) * 0x2545f4914f6cdd1dull;
        fill_page();
        for (int i = 0; kinds[i] && i < 6; i++) args[i] = argument(kinds[i]);
        state = seed;
        shared->round = round + 1;
        for (int i = 0; i < 6; i++) shared->args[i] = args[i];
        long result = call(nr, args);
        /* What the call made ends here. */
        if (call(SYS_gettid, nothing) != self) call(SYS_exit, nothing);
        if (result < 0 && result >= -4095) {
            shared->failures++;
            if (-result > LAST_ERRNO && !shared->insane) {
                shared->insane_result = result;
                shared->insane = 1;
            }
        }
    }
    call(SYS_exit_group, nothing);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    uint64_t seed = strtoull(argv[1], NULL, 0);
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + PAGE, PAGE);
    read_only = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int file = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || write(file, page, PAGE) != PAGE || close(file)) return 3;
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    int bad = 0;
    for (int i = 2; i < argc; i++) {
        char *kinds;
        long nr = strtol(argv[i], &kinds, 10);
        kinds += *kinds == ':';
        int ends = 0;
        memset((void *)shared, 0, sizeof *shared);
        state = seed;
        while (shared->round < ROUNDS) {
            int from = shared->round;
            fflush(stdout);
            pid_t pid = fork();
            if (pid < 0) return 3;
            if (pid == 0) {
                sigprocmask(SIG_UNBLOCK, &chld, NULL);
                child(nr, kinds, from);
            }
            struct timespec patience = {10, 0};
            int status;
            while (waitpid(pid, &status, WNOHANG) == 0) {
                if (sigtimedwait(&chld, NULL, &patience) < 0 && errno == EAGAIN) kill(pid, SIGKILL);
            }
            ends++;
            /* One that died before its first call would go on forever. */
            if (shared->round == from) shared->round = from + 1;
        }
        printf("call %ld: %ld failures, %d children\n", nr, shared->failures, ends);
        if (shared->insane) {
            printf("call %ld gave %ld\n", nr, shared->insane_result);
            bad = 1;
        }
    }
    printf("done\n");
    return bad;
}
