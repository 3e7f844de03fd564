/* alarm(2), setitimer(2). */
#include "check.h"

#include <pthread.h>

static volatile sig_atomic_t count[65];
static void handle(int signal) { count[signal]++; }

static void *spin(void *arg) {
    for (;;) syscall(SYS_getppid);
    return arg;
}

int main(void) {
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGVTALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    struct itimerval old, none = {0}, now;

    GIVES(0, alarm(100));
    unsigned left = alarm(0);
    CHECK(left == 100 || left == 99);
    GIVES(0, alarm(0));
    GIVES(0, setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {50, 0}, .it_interval = {7, 5}}, &old));
    CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
    GIVES(0, getitimer(ITIMER_REAL, &now));
    CHECK(now.it_value.tv_sec == 49 || now.it_value.tv_sec == 50);
    CHECK(now.it_interval.tv_sec == 7 && now.it_interval.tv_usec == 5);
    left = alarm(20);
    CHECK(left == 50);
    GIVES(0, setitimer(ITIMER_REAL, &none, &old));
    CHECK(old.it_value.tv_sec >= 19 && old.it_interval.tv_sec == 0);

    FAILS(EINVAL, syscall(SYS_setitimer, 3, &none, NULL));
    FAILS(EINVAL, syscall(SYS_getitimer, -1, &now));
    FAILS(EINVAL, setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 1000000}}, NULL));
    FAILS(EINVAL, setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {1, 0}, .it_interval = {-1, 0}}, NULL));
    FAILS(EFAULT, syscall(SYS_setitimer, ITIMER_REAL, (void *)8, NULL));
    FAILS(EFAULT, syscall(SYS_getitimer, ITIMER_REAL, (void *)8));

    /* Once. */
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 10000}}, NULL);
    FAILS(EINTR, pause());
    GIVES(1, count[SIGALRM]);
    getitimer(ITIMER_REAL, &now);
    CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
    /* Again and again. */
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 5000}, {0, 5000}}, NULL);
    while (count[SIGALRM] < 6) pause();
    setitimer(ITIMER_REAL, &none, NULL);
    CHECK(count[SIGALRM] >= 6);
    /* Blocked, it is pending once. */
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    count[SIGALRM] = 0;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 1000}, {0, 1000}}, NULL);
    sleep_ms(20);
    setitimer(ITIMER_REAL, &none, NULL);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGALRM));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    GIVES(1, count[SIGALRM]);

    /* CPU time. */
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value = {0, 5000}}, NULL);
    while (!count[SIGPROF]) syscall(SYS_getppid);
    GIVES(1, count[SIGPROF]);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){{0, 2000}, {0, 2000}}, NULL);
    while (count[SIGVTALRM] < 3) for (volatile int i = 0; i < 100; i++) syscall(SYS_getppid);
    getitimer(ITIMER_VIRTUAL, &now);
    CHECK(now.it_interval.tv_usec >= 2000);
    setitimer(ITIMER_VIRTUAL, &none, NULL);

    /* A child starts without; exec keeps the alarm (which kills, since handlers are gone). */
    alarm(100);
    pid_t child = fork();
    if (child == 0) {
        getitimer(ITIMER_REAL, &now);
        CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
        exit(done());
    }
    reap(child);
    alarm(0);
    child = fork();
    if (child == 0) {
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 50000}}, NULL);
        execl("/bin/sleep", "sleep", "100", NULL);
        _exit(9);
    }
    int status;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    /* Unhandled, it kills all threads, whichever runs. */
    child = fork();
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        pthread_t thread;
        pthread_create(&thread, NULL, spin, NULL);
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 20000}}, NULL);
        pthread_join(thread, NULL);
        _exit(9);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    return done();
}
