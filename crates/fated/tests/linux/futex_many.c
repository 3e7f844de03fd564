/* Waiting for several futexes at once, the newer calls, and waits that a stop interrupts. */
#include "check.h"

#include <linux/futex.h>
#include <pthread.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
enum { NR_FUTEX_WAKE = 454, NR_FUTEX_WAIT = 455, NR_FUTEX_REQUEUE = 456, U32 = 2, PRIVATE = 128 };

struct waiter {
    uint64_t value, address;
    uint32_t flags, reserved;
};

static uint32_t words[4];

static void *wake(void *word) {
    while (syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0) sleep_ms(1);
    return NULL;
}

int main(void) {
    struct waiter waiters[129] = {0};
    for (int i = 0; i < 4; i++) waiters[i] = (struct waiter){0, (uint64_t)&words[i], U32 | PRIVATE, 0};
    struct timespec now, zero = {0, 0};
    FAILS(EINVAL, syscall(SYS_futex_waitv, waiters, 0, 0, NULL, 0));
    FAILS(EINVAL, syscall(SYS_futex_waitv, waiters, 129, 0, NULL, 0));
    FAILS(EINVAL, syscall(SYS_futex_waitv, NULL, 1, 0, NULL, 0));
    FAILS(EINVAL, syscall(SYS_futex_waitv, waiters, 4, 1, NULL, 0));
    FAILS(EFAULT, syscall(SYS_futex_waitv, (void *)8, 4, 0, NULL, 0));
    FAILS(EINVAL, syscall(SYS_futex_waitv, waiters, 4, 0, &zero, 77));
    FAILS(ETIMEDOUT, syscall(SYS_futex_waitv, waiters, 4, 0, &zero, CLOCK_MONOTONIC));
    clock_gettime(CLOCK_REALTIME, &now);
    FAILS(ETIMEDOUT, syscall(SYS_futex_waitv, waiters, 4, 0, &now, CLOCK_REALTIME));
    waiters[2].value = 1;
    FAILS(EAGAIN, syscall(SYS_futex_waitv, waiters, 4, 0, NULL, 0));
    waiters[2].value = 0;
    waiters[3].reserved = 1;
    FAILS(EINVAL, syscall(SYS_futex_waitv, waiters, 4, 0, NULL, 0));
    waiters[3].reserved = 0;
    waiters[3].flags = 77;
    FAILS(EINVAL, syscall(SYS_futex_waitv, waiters, 4, 0, NULL, 0));
    waiters[3].flags = U32 | PRIVATE;
    waiters[3].address++;
    FAILS(EINVAL, syscall(SYS_futex_waitv, waiters, 4, 0, NULL, 0));
    waiters[3].address--;
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, wake, &words[i]);
        GIVES(i, syscall(SYS_futex_waitv, waiters, 4, 0, NULL, 0));
        pthread_join(thread, NULL);
    }
    for (int i = 0; i < 4; i++) GIVES(0, syscall(SYS_futex, &words[i], FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));

    /* The newer calls, where there are some. */
    int there = syscall(NR_FUTEX_WAKE, words, 1, 1, U32) == 0;
    if (there) {
        pthread_t thread;
        pthread_create(&thread, NULL, wake, words);
        if (syscall(NR_FUTEX_WAIT, words, 0, ~0u, U32 | PRIVATE, NULL, 0)) check_failed = 1;
        pthread_join(thread, NULL);
        errno = 0;
        if (syscall(NR_FUTEX_WAIT, words, 1, ~0u, U32 | PRIVATE, NULL, 0) != -1 || errno != EAGAIN) check_failed = 2;
        if (syscall(NR_FUTEX_WAIT, words, 0, 0, U32 | PRIVATE, NULL, 0) != -1 || errno != EINVAL) check_failed = 3;
        if (syscall(NR_FUTEX_WAIT, words, 0, 1, U32, &zero, CLOCK_MONOTONIC) != -1 || errno != ETIMEDOUT) check_failed = 4;
        if (syscall(NR_FUTEX_WAKE, words, 1ull << 40, 1, U32) != -1 || errno != EINVAL) check_failed = 5;
        if (syscall(NR_FUTEX_WAKE, words, 1, 1, 1) != -1 || errno != EINVAL) check_failed = 6;
        if (syscall(NR_FUTEX_REQUEUE, waiters, 0, 1, 1) != 0) check_failed = 7;
    }
    GIVES(0, check_failed);

    /* A stop in between doesn't end a wait, and moves its end nowhere. */
    pid_t child = fork();
    if (child == 0) {
        int64_t start = now_ns(CLOCK_MONOTONIC);
        FAILS(ETIMEDOUT, syscall(SYS_futex, words, FUTEX_WAIT, 0, &(struct timespec){0, 200000000}, NULL, 0));
        CHECK(now_ns(CLOCK_MONOTONIC) - start >= 200000000);
        exit(done());
    }
    int status;
    for (int i = 0; i < 3; i++) {
        sleep_ms(20);
        kill(child, SIGSTOP);
        CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
        kill(child, SIGCONT);
    }
    reap(child);

    /* Locks with priority inheritance, by hand. */
    uint32_t lock = 0;
    pid_t self = syscall(SYS_gettid);
    GIVES(0, syscall(SYS_futex, &lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    CHECK(lock == (uint32_t)self);
    FAILS(EDEADLK, syscall(SYS_futex, &lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    FAILS(EDEADLK, syscall(SYS_futex, &lock, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    GIVES(0, syscall(SYS_futex, &lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    CHECK(lock == 0);
    FAILS(EPERM, syscall(SYS_futex, &lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    GIVES(0, syscall(SYS_futex, &lock, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    CHECK(lock == (uint32_t)self);
    lock = 4194303;
    FAILS(ESRCH, syscall(SYS_futex, &lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    return done();
}
