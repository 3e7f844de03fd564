/* poll, ppoll, select, pselect: readiness, time, signals. */
#include "check.h"
#include "folder.h"
#include <poll.h>
#include <sys/select.h>

/* An address that nothing is at, unknown to the compiler. */
static void *volatile bad = (void *)16;
static volatile int seen;
static void note(int signal) { seen = signal; }

static int64_t took_ms(int64_t since) { return (now_ns(CLOCK_MONOTONIC) - since) / 1000000; }

static void readiness(void) {
    int p[2], file = open("f", O_RDWR | O_CREAT, 0600);
    pipe(p);
    struct pollfd list[] = {{p[0], POLLIN, 7}, {p[1], POLLOUT, 0}, {-1, POLLIN, 7}, {77, POLLIN, 0}, {file, POLLIN | POLLOUT | POLLPRI, 0}};
    GIVES(3, poll(list, 5, -1));
    GIVES(0, list[0].revents);
    GIVES(POLLOUT, list[1].revents);
    GIVES(0, list[2].revents);
    GIVES(POLLNVAL, list[3].revents);
    GIVES(POLLIN | POLLOUT, list[4].revents);
    write(p[1], "x", 1);
    list[0].events = POLLIN | POLLRDNORM | POLLPRI;
    GIVES(1, poll(list, 1, 0));
    GIVES(POLLIN | POLLRDNORM, list[0].revents);
    list[0].events = 0;
    GIVES(0, poll(list, 1, 0));
    close(p[1]);
    GIVES(1, poll(list, 1, 0));
    GIVES(POLLHUP, list[0].revents);
    FAILS(EFAULT, poll(bad, 1, 0));
    FAILS(EINVAL, syscall(SYS_poll, list, 1 << 30, 0));
    GIVES(0, poll(NULL, 0, 0));
    close(p[0]), close(file);
}

static void sets(void) {
    int p[2], file = open("f", O_RDWR | O_CREAT, 0600);
    pipe(p);
    fd_set in, out, except;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    FD_SET(p[0], &in), FD_SET(p[1], &out), FD_SET(file, &in), FD_SET(file, &out), FD_SET(file, &except);
    GIVES(3, select(20, &in, &out, &except, NULL));
    CHECK(!FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out) && FD_ISSET(file, &in) && FD_ISSET(file, &out) && !FD_ISSET(file, &except));
    /* A closed end is ready to read, a lost reader to write. */
    int q[2];
    pipe(q);
    close(q[1]), close(p[0]);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(q[0], &in), FD_SET(p[1], &out);
    GIVES(2, select(20, &in, &out, NULL, NULL));
    FD_ZERO(&in);
    FD_SET(19, &in);
    FAILS(EBADF, select(20, &in, NULL, NULL, NULL));
    CHECK(FD_ISSET(19, &in));
    FAILS(EINVAL, select(-1, NULL, NULL, NULL, NULL));
    struct timeval negative = {-1, 0};
    FAILS(EINVAL, select(0, NULL, NULL, NULL, &negative));
    FAILS(EFAULT, select(20, bad, NULL, NULL, NULL));
    close(q[0]), close(p[1]), close(file);
}

static void times(void) {
    int p[2];
    pipe(p);
    struct pollfd entry = {p[0], POLLIN, 0};
    int64_t start = now_ns(CLOCK_MONOTONIC);
    GIVES(0, poll(&entry, 1, 120));
    CHECK(took_ms(start) >= 120 && took_ms(start) < 1000);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    struct timeval time = {0, 100000};
    start = now_ns(CLOCK_MONOTONIC);
    GIVES(0, select(p[0] + 1, &in, NULL, NULL, &time));
    CHECK(took_ms(start) >= 100 && time.tv_sec == 0 && time.tv_usec == 0 && !FD_ISSET(p[0], &in));
    /* What is left of the time. */
    pid_t child = fork();
    if (child == 0) {
        sleep_ms(100);
        write(p[1], "x", 1);
        _exit(0);
    }
    FD_SET(p[0], &in);
    time.tv_sec = 20;
    GIVES(1, select(p[0] + 1, &in, NULL, NULL, &time));
    CHECK(time.tv_sec == 19 && time.tv_usec < 950000);
    reap(child);
    /* glibc keeps the time of ppoll, Linux doesn't. */
    struct timespec left = {20, 0};
    GIVES(1, syscall(SYS_ppoll, &entry, 1, &left, NULL, 8));
    CHECK(left.tv_sec == 19 || (left.tv_sec == 20 && left.tv_nsec == 0));
    left.tv_nsec = 1000000000;
    FAILS(EINVAL, syscall(SYS_ppoll, &entry, 1, &left, NULL, 8));
    close(p[0]), close(p[1]);
}

static void signals(void) {
    int p[2];
    pipe(p);
    struct pollfd entry = {p[0], POLLIN, 0};
    struct itimerval soon = {{0, 0}, {0, 50000}};
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    FAILS(EINTR, poll(&entry, 1, -1));
    GIVES(SIGALRM, seen);
    setitimer(ITIMER_REAL, &soon, NULL);
    struct timeval time = {10, 0};
    FAILS(EINTR, select(0, NULL, NULL, NULL, &time));
    CHECK(time.tv_sec == 9);
    /* The mask counts for the wait alone, and the handler sees it. */
    sigset_t blocked, empty, now;
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaction(SIGUSR1, &action, NULL);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGUSR1);
    seen = 0;
    GIVES(0, poll(&entry, 1, 10));
    GIVES(0, seen);
    FAILS(EINTR, ppoll(&entry, 1, NULL, &empty));
    GIVES(SIGUSR1, seen);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1));
    raise(SIGUSR1);
    seen = 0;
    fd_set in;
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    struct timespec none = {0, 0};
    FAILS(EINTR, pselect(p[0] + 1, &in, NULL, NULL, &none, &empty));
    GIVES(SIGUSR1, seen);
    /* What is ready comes before a signal that waits. */
    raise(SIGUSR1);
    seen = 0;
    write(p[1], "x", 1);
    GIVES(1, ppoll(&entry, 1, NULL, &empty));
    GIVES(0, seen);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    GIVES(SIGUSR1, seen);
    FAILS(EINVAL, syscall(SYS_ppoll, &entry, 1, NULL, &empty, 4));
    close(p[0]), close(p[1]);
}

/* A stop and a continue don't end a poll, nor make it longer. */
static void stops(void) {
    pid_t child = fork();
    if (child == 0) {
        int64_t start = now_ns(CLOCK_MONOTONIC);
        int got = poll(NULL, 0, 300);
        _exit(got != 0 || took_ms(start) < 300 || took_ms(start) > 2000);
    }
    sleep_ms(50);
    kill(child, SIGSTOP);
    int status;
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    CHECK(WIFSTOPPED(status));
    sleep_ms(50);
    kill(child, SIGCONT);
    reap(child);
}

int main(void) {
    enter_folder();
    readiness();
    sets();
    times();
    signals();
    stops();
    return done();
}
