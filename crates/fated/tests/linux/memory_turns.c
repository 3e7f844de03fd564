/* A loop of calls on memory alone lets other threads run. */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

static volatile int turn;
static char *page;

static void *set_turn(void *arg) {
    turn = (long)arg;
    return 0;
}

static void protect(void) { mprotect(page, 4096, PROT_READ | PROT_WRITE); }
static void advise(void) { madvise(page, 4096, MADV_NORMAL); }
static void map(void) { munmap(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096); }
static void grow(void) { syscall(SYS_brk, 0); }
static void synchronize(void) { msync(page, 4096, MS_ASYNC); }
static void lock(void) { munlock(page, 4096); }
static void move(void) { mremap(page, 4096, 4096, 0); }

int main(void) {
    void (*calls[])(void) = {protect, advise, map, grow, synchronize, lock, move};
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < 7; i++) {
        pthread_t thread;
        int64_t before = now_ns(CLOCK_MONOTONIC);
        pthread_create(&thread, 0, set_turn, (void *)(i + 1));
        while (turn != i + 1) calls[i]();
        pthread_join(thread, 0);
        GIVES(i + 1, turn);
        for (int n = 0; n < 1000; n++) calls[i]();
        CHECK(now_ns(CLOCK_MONOTONIC) > before);
    }
    /* A timer ends such a loop, too. */
    struct itimerval soon = {{0, 0}, {0, 20000}};
    signal(SIGALRM, SIG_DFL);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        setitimer(ITIMER_REAL, &soon, 0);
        for (;;) protect();
    }
    int status;
    waitpid(child, &status, 0);
    GIVES(SIGALRM, status);
    return done();
}
