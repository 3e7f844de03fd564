/* timer_create(2) and its kin. */
#include "check.h"

#include <pthread.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t count, code, value, overrun;
static volatile pid_t taker;
static void handle(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    count++;
    code = info->si_code;
    value = info->si_value.sival_int;
    overrun = info->si_overrun;
    taker = syscall(SYS_gettid);
}

static void set(timer_t timer, int flags, long value_ns, long interval_ns) {
    struct itimerspec spec = {{interval_ns / 1000000000, interval_ns % 1000000000}, {value_ns / 1000000000, value_ns % 1000000000}};
    GIVES(0, timer_settime(timer, flags, &spec, NULL));
}

static volatile int stop;
static void *run(void *out) {
    *(volatile pid_t *)out = syscall(SYS_gettid);
    while (!stop) sleep_ms(1);
    return NULL;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    int id;
    timer_t timer, silent;
    struct itimerspec spec;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};

    FAILS(EINVAL, syscall(SYS_timer_create, 999, NULL, &id));
    FAILS(EINVAL, syscall(SYS_timer_settime, 12345, 0, &spec, NULL) & 0 ? 0 : syscall(SYS_timer_delete, 12345));
    FAILS(EINVAL, syscall(SYS_timer_gettime, 12345, &spec));
    FAILS(EINVAL, syscall(SYS_timer_getoverrun, 12345));
    event.sigev_signo = 65;
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    event.sigev_signo = SIGRTMIN;
    event.sigev_notify = 77;
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_notify_thread_id = 1;
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    event.sigev_notify = SIGEV_SIGNAL;
    FAILS(EFAULT, syscall(SYS_timer_create, CLOCK_MONOTONIC, (void *)8, &id));
    FAILS(EFAULT, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, (void *)8));

    GIVES(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
    GIVES(0, timer_gettime(timer, &spec));
    CHECK(spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0);
    set(timer, 0, 10000000, 0);
    while (!count) pause();
    CHECK(count == 1 && code == SI_TIMER && value == 42 && overrun == 0);
    GIVES(0, timer_gettime(timer, &spec));
    CHECK(spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0);

    /* Repeating, with its signal blocked meanwhile: one signal, and how often it was missed. */
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    count = 0;
    set(timer, 0, 5000000, 5000000);
    sleep_ms(52);
    GIVES(0, count);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    CHECK(count >= 1 && code == SI_TIMER);
    CHECK(timer_getoverrun(timer) >= 0);
    set(timer, 0, 0, 0);
    count = 0;
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    set(timer, 0, 5000000, 5000000);
    sleep_ms(52);
    siginfo_t info;
    GIVES(SIGRTMIN, sigwaitinfo(&blocked, &info));
    CHECK(info.si_code == SI_TIMER && info.si_value.sival_int == 42 && info.si_overrun >= 8);
    CHECK(timer_getoverrun(timer) >= 8);
    GIVES(0, timer_gettime(timer, &spec));
    CHECK(spec.it_interval.tv_nsec == 5000000 && spec.it_value.tv_nsec <= 5000000);
    set(timer, 0, 0, 0);
    while (sigtimedwait(&blocked, &info, &(struct timespec){0, 0}) > 0) {}
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);

    /* An absolute time, one that has passed, the old setting. */
    count = 0;
    int64_t at = now_ns(CLOCK_MONOTONIC) + 10000000;
    set(timer, TIMER_ABSTIME, at, 0);
    while (!count) pause();
    CHECK(now_ns(CLOCK_MONOTONIC) >= at);
    count = 0;
    set(timer, TIMER_ABSTIME, 1, 0);
    GIVES(1, count);
    set(timer, 0, 100000000000, 3000000000);
    struct itimerspec old;
    GIVES(0, timer_settime(timer, 0, &(struct itimerspec){0}, &old));
    CHECK(old.it_value.tv_sec >= 99 && old.it_interval.tv_sec == 3);
    FAILS(EINVAL, timer_settime(timer, 0, &(struct itimerspec){.it_value = {0, 1000000000}}, NULL));
    FAILS(EINVAL, timer_settime(timer, 0, &(struct itimerspec){.it_value = {-1, 0}}, NULL));
    GIVES(0, timer_delete(timer));

    /* Only looked at. */
    event.sigev_notify = SIGEV_NONE;
    GIVES(0, timer_create(CLOCK_REALTIME, &event, &silent));
    set(silent, 0, 5000000, 0);
    GIVES(0, timer_gettime(silent, &spec));
    CHECK(spec.it_value.tv_nsec > 0 && spec.it_value.tv_nsec <= 5000000);
    sleep_ms(10);
    GIVES(0, timer_gettime(silent, &spec));
    CHECK(spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0);
    GIVES(0, timer_delete(silent));

    /* Without an event it is SIGALRM with the timer's id. */
    count = 0;
    GIVES(0, syscall(SYS_timer_create, CLOCK_BOOTTIME, NULL, &id));
    spec = (struct itimerspec){.it_value = {0, 5000000}};
    GIVES(0, syscall(SYS_timer_settime, id, 0, &spec, NULL));
    while (!count) pause();
    CHECK(value == id && code == SI_TIMER);
    GIVES(0, syscall(SYS_timer_delete, id));

    /* To one thread. */
    volatile pid_t tid = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, run, (void *)&tid);
    while (!tid) sleep_ms(1);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN, .sigev_notify_thread_id = tid};
    GIVES(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
    count = 0;
    set(timer, 0, 5000000, 0);
    while (!count) sleep_ms(1);
    CHECK(taker == tid);
    GIVES(0, timer_delete(timer));
    stop = 1;
    pthread_join(thread, NULL);

    /* CPU time. */
    event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    GIVES(0, timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer));
    count = 0;
    set(timer, 0, 5000000, 0);
    while (!count) syscall(SYS_getppid);
    GIVES(1, count);
    GIVES(0, timer_delete(timer));

    /* A child has none of them. */
    GIVES(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
    pid_t child = fork();
    if (child == 0) {
        FAILS(EINVAL, timer_gettime(timer, &spec));
        exit(done());
    }
    reap(child);
    return done();
}
