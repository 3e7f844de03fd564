/* What a handler does to a call that waits (signal(7)): with SA_RESTART some go on, without all fail with EINTR. */
#include "check.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>

static volatile sig_atomic_t handled;
static int pipe_fds[2];
static pid_t child;

/* The third signal makes the condition true, so that a restarted call ends. */
static void handle(int signal) {
    (void)signal;
    if (++handled == 3) {
        if (write(pipe_fds[1], "x", 1) != 1) abort();
        if (child) kill(child, SIGKILL);
    }
}

static void begin(int flags) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    sigaction(SIGALRM, &action, NULL);
    handled = 0;
    struct itimerval often = {{0, 20000}, {0, 20000}};
    setitimer(ITIMER_REAL, &often, NULL);
}

static void end(void) {
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    char byte;
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    while (read(pipe_fds[0], &byte, 1) == 1) {}
    fcntl(pipe_fds[0], F_SETFL, 0);
}

/* 1 if the child was reaped. */
static int waitpid_is(pid_t pid) { return waitpid(pid, NULL, 0) == pid ? 1 : -1; }

/* A call that fails whatever the flags are, and one that goes on with SA_RESTART. */
#define ALWAYS_ENDS(call) \
    do { \
        begin(0); \
        FAILS(EINTR, call); \
        GIVES(1, handled); \
        end(); \
        begin(SA_RESTART); \
        FAILS(EINTR, call); \
        GIVES(1, handled); \
        end(); \
    } while (0)
#define RESTARTS(expected, call) \
    do { \
        begin(0); \
        FAILS(EINTR, call); \
        GIVES(1, handled); \
        end(); \
        begin(SA_RESTART); \
        GIVES(expected, call); \
        CHECK(handled >= 3); \
        end(); \
    } while (0)

int main(void) {
    char byte;
    fd_set set;
    struct epoll_event event = {.events = EPOLLIN};
    uint32_t word = 0;
    sem_t semaphore;
    sigset_t none;
    sigemptyset(&none);
    sem_init(&semaphore, 0, 0);
    if (pipe(pipe_fds)) abort();
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_fds[0], &event);
    struct pollfd poll_fd = {.fd = pipe_fds[0], .events = POLLIN};

    RESTARTS(1, read(pipe_fds[0], &byte, 1));
    FD_ZERO(&set);
    FD_SET(pipe_fds[0], &set);
    ALWAYS_ENDS(poll(&poll_fd, 1, -1));
    ALWAYS_ENDS(poll(&poll_fd, 1, 100000));
    ALWAYS_ENDS(ppoll(&poll_fd, 1, NULL, NULL));
    ALWAYS_ENDS(select(pipe_fds[0] + 1, &set, NULL, NULL, NULL));
    ALWAYS_ENDS(pselect(pipe_fds[0] + 1, &set, NULL, NULL, NULL, &none));
    ALWAYS_ENDS(epoll_wait(epoll, &event, 1, -1));
    ALWAYS_ENDS(pause());
    ALWAYS_ENDS(sigsuspend(&none));
    ALWAYS_ENDS(nanosleep(&(struct timespec){100, 0}, NULL));
    ALWAYS_ENDS(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &(struct timespec){100, 0}, NULL));
    ALWAYS_ENDS(sigtimedwait(&none, NULL, &(struct timespec){100, 0}));
    ALWAYS_ENDS(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &(struct timespec){100, 0}, NULL, 0));

    /* Without a timeout a futex wait goes on; only a wake would end it, so its word changes meanwhile. */
    begin(0);
    FAILS(EINTR, syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0));
    end();

    child = fork();
    if (child == 0) {
        signal(SIGALRM, SIG_IGN);
        for (;;) pause();
    }
    RESTARTS(1, waitpid_is(child));
    child = fork();
    if (child == 0) for (;;) pause();
    siginfo_t info;
    RESTARTS(0, waitid(P_PID, child, &info, WEXITED));
    child = 0;

    /* Sleeps of the C library go on by themselves or tell what is left. */
    begin(0);
    CHECK(sleep(100) > 90);
    end();

    /* A write that can't go on: what went is told. */
    fcntl(pipe_fds[1], F_SETPIPE_SZ, 4096);
    static char big[100000];
    begin(SA_RESTART);
    ssize_t went = write(pipe_fds[1], big, sizeof big);
    CHECK(went > 0 && went < (ssize_t)sizeof big);
    end();
    return done();
}
