/* nanosleep(2), clock_nanosleep(2): times, errors, what a signal leaves. */
#include "check.h"

#include <poll.h>

static volatile sig_atomic_t handled;
static void handle(int signal) { (void)signal, handled++; }

int main(void) {
    struct timespec t = {0, 10000000}, rest = {7, 7};
    int64_t start = now_ns(CLOCK_MONOTONIC);
    GIVES(0, nanosleep(&t, &rest));
    CHECK(now_ns(CLOCK_MONOTONIC) - start >= 10000000);
    CHECK(rest.tv_sec == 7);
    GIVES(0, nanosleep(&(struct timespec){0, 0}, NULL));
    FAILS(EINVAL, nanosleep(&(struct timespec){0, 1000000000}, NULL));
    FAILS(EINVAL, nanosleep(&(struct timespec){0, -1}, NULL));
    FAILS(EINVAL, nanosleep(&(struct timespec){-1, 0}, NULL));
    FAILS(EFAULT, syscall(SYS_nanosleep, NULL, NULL));
    FAILS(EFAULT, syscall(SYS_nanosleep, (void *)8, NULL));

    start = now_ns(CLOCK_REALTIME) + 10000000;
    struct timespec at = {start / 1000000000, start % 1000000000};
    GIVES(0, syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL));
    CHECK(now_ns(CLOCK_REALTIME) >= start);
    start = now_ns(CLOCK_MONOTONIC) + 10000000;
    at = (struct timespec){start / 1000000000, start % 1000000000};
    GIVES(0, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
    CHECK(now_ns(CLOCK_MONOTONIC) >= start);
    GIVES(0, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){1, 0}, NULL));
    GIVES(0, syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &(struct timespec){0, 1000}, NULL));
    GIVES(0, syscall(SYS_clock_nanosleep, CLOCK_TAI, 0, &(struct timespec){0, 1000}, NULL));
    FAILS(EINVAL, syscall(SYS_clock_nanosleep, 999, 0, &t, NULL));
    FAILS(EOPNOTSUPP, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &t, NULL));
    FAILS(EOPNOTSUPP, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_COARSE, 0, &t, NULL));
    FAILS(EOPNOTSUPP, syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
    FAILS(EINVAL, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &(struct timespec){0, -1}, NULL));

    /* A handler ends a sleep, SA_RESTART or not; the rest is told for relative ones. */
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
        sigaction(SIGALRM, &action, NULL);
        struct itimerval soon = {.it_value = {0, 20000}};
        handled = 0;
        setitimer(ITIMER_REAL, &soon, NULL);
        rest = (struct timespec){0, 0};
        FAILS(EINTR, nanosleep(&(struct timespec){100, 0}, &rest));
        GIVES(1, handled);
        CHECK(rest.tv_sec >= 90 && rest.tv_sec < 100);
        setitimer(ITIMER_REAL, &soon, NULL);
        rest = (struct timespec){0, 0};
        start = now_ns(CLOCK_MONOTONIC) + 100000000000;
        at = (struct timespec){start / 1000000000, start % 1000000000};
        FAILS(EINTR, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, &rest));
        GIVES(2, handled);
        CHECK(rest.tv_sec == 0);
    }

    /* Time passes for those who wait for what an outside pipe never shows. */
    int ready = poll(&(struct pollfd){.fd = 1, .events = POLLIN}, 1, 20);
    CHECK(ready == 0 || ready == 1);
    ready = poll(&(struct pollfd){.fd = 1}, 1, 20);
    CHECK(ready == 0 || ready == 1);

    /* A stop and a continue don't: the sleep goes on to its first end. */
    pid_t child = fork();
    if (child == 0) {
        start = now_ns(CLOCK_MONOTONIC);
        GIVES(0, nanosleep(&(struct timespec){0, 200000000}, NULL));
        CHECK(now_ns(CLOCK_MONOTONIC) - start >= 200000000);
        exit(done());
    }
    sleep_ms(50);
    int status;
    kill(child, SIGSTOP);
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    kill(child, SIGCONT);
    reap(child);
    /* Nor does an ignored signal. */
    child = fork();
    if (child == 0) {
        signal(SIGUSR1, SIG_IGN);
        start = now_ns(CLOCK_MONOTONIC);
        GIVES(0, nanosleep(&(struct timespec){0, 100000000}, NULL));
        CHECK(now_ns(CLOCK_MONOTONIC) - start >= 100000000);
        exit(done());
    }
    sleep_ms(30);
    kill(child, SIGUSR1);
    reap(child);
    return done();
}
