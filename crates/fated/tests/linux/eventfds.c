/* eventfd, timerfd, signalfd and pidfd. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static void *volatile bad = (void *)16;

static int events(int fd) {
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    poll(&entry, 1, 0);
    return entry.revents;
}

static void counters(void) {
    uint64_t value = 5;
    int fd = eventfd(3, EFD_NONBLOCK);
    FAILS(EINVAL, eventfd(0, 64));
    FAILS(EINVAL, read(fd, &value, 7));
    FAILS(EINVAL, write(fd, &value, 7));
    GIVES(POLLIN | POLLOUT, events(fd));
    GIVES(8, write(fd, &value, 8));
    GIVES(8, read(fd, &value, 8));
    GIVES(8, value);
    GIVES(POLLOUT, events(fd));
    FAILS(EAGAIN, read(fd, &value, 8));
    value = UINT64_MAX;
    FAILS(EINVAL, write(fd, &value, 8));
    value = UINT64_MAX - 1;
    GIVES(8, write(fd, &value, 8));
    GIVES(POLLIN, events(fd));
    value = 1;
    FAILS(EAGAIN, write(fd, &value, 8));
    FAILS(ESPIPE, pread(fd, &value, 8, 0));
    close(fd);
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    GIVES(8, read(fd, &value, 8));
    GIVES(1, value);
    GIVES(8, read(fd, &value, 8));
    FAILS(EAGAIN, read(fd, &value, 8));
    close(fd);
    fd = eventfd(0, 0);
    pid_t child = fork();
    if (child == 0) {
        sleep_ms(50);
        value = 4;
        _exit(write(fd, &value, 8) != 8);
    }
    GIVES(8, read(fd, &value, 8));
    GIVES(4, value);
    reap(child);
    close(fd);
}

static void timers(void) {
    struct itimerspec spec = {{0, 0}, {0, 50000000}}, old;
    uint64_t ticks = 0;
    FAILS(EINVAL, timerfd_create(CLOCK_MONOTONIC, 1));
    FAILS(EINVAL, timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    GIVES(0, events(fd));
    FAILS(EINVAL, timerfd_settime(fd, 16, &spec, NULL));
    FAILS(EINVAL, timerfd_settime(0, 0, &spec, NULL));
    FAILS(EBADF, timerfd_settime(77, 0, &spec, NULL));
    FAILS(EFAULT, timerfd_settime(fd, 0, bad, NULL));
    int64_t start = now_ns(CLOCK_MONOTONIC);
    GIVES(0, timerfd_settime(fd, 0, &spec, NULL));
    GIVES(0, timerfd_gettime(fd, &old));
    CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 50000000);
    FAILS(EINVAL, read(fd, &ticks, 4));
    GIVES(8, read(fd, &ticks, 8));
    GIVES(1, ticks);
    CHECK(now_ns(CLOCK_MONOTONIC) - start >= 50000000);
    GIVES(0, timerfd_gettime(fd, &old));
    CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
    /* Periodic: what nobody read is counted. */
    spec.it_interval.tv_nsec = 20000000;
    timerfd_settime(fd, 0, &spec, NULL);
    sleep_ms(115);
    GIVES(POLLIN, events(fd));
    GIVES(8, read(fd, &ticks, 8));
    CHECK(ticks >= 4);
    GIVES(8, read(fd, &ticks, 8));
    CHECK(ticks >= 1);
    /* Stopping gives back what was set. */
    struct itimerspec none = {{0, 0}, {0, 0}};
    GIVES(0, timerfd_settime(fd, 0, &none, &old));
    GIVES(20000000, old.it_interval.tv_nsec);
    GIVES(0, events(fd));
    close(fd);
    /* Absolute times, past and future. */
    fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    FAILS(EAGAIN, read(fd, &ticks, 8));
    struct itimerspec at = {{0, 0}, {1, 0}};
    GIVES(0, timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL));
    sleep_ms(1);
    GIVES(8, read(fd, &ticks, 8));
    GIVES(1, ticks);
    int64_t soon = now_ns(CLOCK_REALTIME) + 50000000;
    at.it_value.tv_sec = soon / 1000000000;
    at.it_value.tv_nsec = soon % 1000000000;
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
    FAILS(EAGAIN, read(fd, &ticks, 8));
    struct pollfd entry = {fd, POLLIN, 0};
    GIVES(1, poll(&entry, 1, 5000));
    CHECK(now_ns(CLOCK_REALTIME) >= soon);
    close(fd);
}

static void signals(void) {
    sigset_t mask;
    struct signalfd_siginfo infos[4];
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGRTMIN);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    FAILS(EINVAL, signalfd(-1, &mask, 1));
    FAILS(EBADF, signalfd(77, &mask, 0));
    FAILS(EINVAL, signalfd(0, &mask, 0));
    int fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    FAILS(EAGAIN, read(fd, infos, sizeof infos));
    GIVES(0, events(fd));
    kill(getpid(), SIGUSR2);
    raise(SIGUSR1);
    union sigval value = {.sival_int = 42};
    sigqueue(getpid(), SIGRTMIN, value);
    sigqueue(getpid(), SIGRTMIN, value);
    GIVES(POLLIN, events(fd));
    FAILS(EINVAL, read(fd, infos, 100));
    GIVES(4 * sizeof *infos, read(fd, infos, sizeof infos));
    GIVES(SIGUSR1, infos[0].ssi_signo);
    GIVES(SI_TKILL, infos[0].ssi_code);
    GIVES(SIGUSR2, infos[1].ssi_signo);
    GIVES(SI_USER, infos[1].ssi_code);
    CHECK(infos[1].ssi_pid == (unsigned)getpid() && infos[1].ssi_uid == getuid());
    GIVES(SIGRTMIN, infos[2].ssi_signo);
    GIVES(SI_QUEUE, infos[3].ssi_code);
    GIVES(42, infos[3].ssi_int);
    FAILS(EAGAIN, read(fd, infos, sizeof infos));
    /* Another set. */
    sigdelset(&mask, SIGUSR1);
    CHECK(signalfd(fd, &mask, 0) == fd);
    raise(SIGUSR1);
    FAILS(EAGAIN, read(fd, infos, sizeof infos));
    fcntl(fd, F_SETFL, 0);
    pid_t child = fork();
    if (child == 0) _exit(7);
    GIVES(sizeof *infos, read(fd, infos, sizeof infos));
    GIVES(SIGCHLD, infos[0].ssi_signo);
    GIVES(CLD_EXITED, infos[0].ssi_code);
    GIVES(7, infos[0].ssi_status);
    CHECK(infos[0].ssi_pid == (unsigned)child);
    waitpid(child, NULL, 0);
    /* A sleeping reader is woken by another process. */
    pid_t parent = getpid();
    child = fork();
    if (child == 0) {
        sleep_ms(50);
        kill(parent, SIGUSR2);
        _exit(0);
    }
    struct pollfd entry = {fd, POLLIN, 0};
    GIVES(1, poll(&entry, 1, 5000));
    GIVES(sizeof *infos, read(fd, infos, sizeof *infos));
    GIVES(SIGUSR2, infos[0].ssi_signo);
    waitpid(child, NULL, 0);
    close(fd);
}

static int pidfd_open_(pid_t pid, unsigned flags) { return syscall(SYS_pidfd_open, pid, flags); }
static int pidfd_send(int fd, int signal) { return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0); }
static int pidfd_get(int fd, int target) { return syscall(SYS_pidfd_getfd, fd, target, 0); }

static void processes(void) {
    FAILS(EINVAL, pidfd_open_(0, 0));
    FAILS(EINVAL, pidfd_open_(-1, 0));
    FAILS(EINVAL, pidfd_open_(getpid(), 1));
    FAILS(ESRCH, pidfd_open_(4000000, 0));
    int p[2], q[2];
    pipe(p), pipe(q);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        int event = eventfd(77, 0);
        dup2(event, 50);
        write(q[1], "x", 1);
        read(p[0], &byte, 1);
        _exit(3);
    }
    int fd = pidfd_open_(child, 0);
    GIVES(FD_CLOEXEC, fcntl(fd, F_GETFD));
    struct pollfd entry = {fd, POLLIN, 0};
    GIVES(0, poll(&entry, 1, 0));
    FAILS(EINVAL, read(fd, p, 4));
    char byte;
    read(q[0], &byte, 1);
    int taken = pidfd_get(fd, 50);
    uint64_t value;
    CHECK(taken >= 0 && read(taken, &value, 8) == 8 && value == 77);
    FAILS(EBADF, pidfd_get(fd, 60));
    FAILS(EBADF, pidfd_get(77, 0));
    GIVES(0, pidfd_send(fd, 0));
    FAILS(EINVAL, pidfd_send(fd, 99));
    FAILS(EBADF, pidfd_send(p[0], 0));
    siginfo_t info;
    memset(&info, 0, sizeof info);
    GIVES(0, waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    GIVES(0, info.si_pid);
    write(p[1], "x", 1);
    GIVES(1, poll(&entry, 1, 5000));
    GIVES(POLLIN, entry.revents);
    GIVES(0, waitid(P_PIDFD, fd, &info, WEXITED));
    CHECK(info.si_pid == child && info.si_status == 3);
    FAILS(ESRCH, pidfd_send(fd, 0));
    FAILS(ECHILD, waitid(P_PIDFD, fd, &info, WEXITED));
    close(fd), close(taken);
    child = fork();
    if (child == 0) {
        for (;;) pause();
    }
    fd = pidfd_open_(child, O_NONBLOCK);
    FAILS(EAGAIN, waitid(P_PIDFD, fd, &info, WEXITED));
    GIVES(0, pidfd_send(fd, SIGKILL));
    entry.fd = fd;
    GIVES(1, poll(&entry, 1, 5000));
    GIVES(0, waitid(P_PIDFD, fd, &info, WEXITED));
    GIVES(SIGKILL, info.si_status);
    close(fd), close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

int main(void) {
    counters();
    timers();
    signals();
    processes();
    return done();
}
