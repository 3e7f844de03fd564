/* Terminals: who has one, job control, and what becomes of a terminal when its session ends.
   Runs as the leader of a session on a terminal of its own, which script(1) makes. */
#include "check.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

static siginfo_t hangup, resumed;
static void note(int signal, siginfo_t *info, void *context) {
    (void)context;
    *(signal == SIGHUP ? &hangup : &resumed) = *info;
}

static int open_terminal(int how) {
    int fd = open("/dev/tty", O_RDWR | how);
    if (fd >= 0) close(fd);
    return fd < 0 ? -1 : 0;
}

/* Starts a child in a group of its own; returns 0 in the child. */
static pid_t background(void) {
    pid_t child = fork();
    setpgid(child, child);
    return child;
}

/* The signal that stops a child, which is killed then. */
static int stopped_by(pid_t child) {
    int status;
    if (waitpid(child, &status, WUNTRACED) != child) return -1;
    if (!WIFSTOPPED(status)) return -status;
    int signal = WSTOPSIG(status);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return signal;
}

static void set_tostop(int on) {
    struct termios settings;
    tcgetattr(0, &settings);
    settings.c_lflag = on ? settings.c_lflag | TOSTOP : settings.c_lflag & ~TOSTOP;
    GIVES(0, tcsetattr(0, TCSANOW, &settings));
}

static void background_groups(void) {
    pid_t child;
    char byte = 0;
    if (!(child = background())) _exit(read(0, &byte, 1));
    GIVES(SIGTTIN, stopped_by(child));

    struct termios settings;
    GIVES(0, tcgetattr(0, &settings));
    if (!(child = background())) _exit(tcsetattr(0, TCSANOW, &settings));
    GIVES(SIGTTOU, stopped_by(child));
    if (!(child = background())) _exit(tcsetpgrp(0, getpgrp()));
    GIVES(SIGTTOU, stopped_by(child));

    /* Output is another matter: it only stops where the terminal is set so. */
    if (!(child = background())) {
        CHECK(getpgrp() != tcgetpgrp(0));
        _exit(done());
    }
    reap(child);
    set_tostop(1);
    if (!(child = background())) _exit(write(1, &byte, 1));
    GIVES(SIGTTOU, stopped_by(child));
    if (!(child = background())) {
        signal(SIGTTOU, SIG_IGN);
        CHECK(getpgrp() != tcgetpgrp(0));
        _exit(done());
    }
    reap(child);
    set_tostop(0);

    if (!(child = background())) {
        signal(SIGTTIN, SIG_IGN);
        FAILS(EIO, read(0, &byte, 1));
        signal(SIGTTIN, SIG_DFL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTTIN);
        sigprocmask(SIG_BLOCK, &set, NULL);
        FAILS(EIO, read(0, &byte, 1));
        _exit(done());
    }
    reap(child);
}

/* Nobody could continue an orphaned group, so it isn't stopped. */
static void orphaned_group(void) {
    int end[2];
    char byte = 1;
    CHECK(pipe(end) == 0);
    pid_t child = background();
    if (child == 0) {
        pid_t leader = getpid();
        if (fork()) _exit(0);
        while (getppid() == leader) sleep_ms(1);
        FAILS(EIO, read(0, &byte, 1));
        FAILS(ENOTTY, tcsetpgrp(0, getpgrp()));
        byte = done();
        _exit(write(end[1], &byte, 1) != 1);
    }
    reap(child);
    GIVES(1, read(end[0], &byte, 1));
    GIVES(0, byte);
    close(end[0]), close(end[1]);
}

static void foreground(void) {
    int end[2];
    char byte;
    CHECK(pipe(end) == 0);
    pid_t child = background();
    if (child == 0) _exit(read(end[0], &byte, 1) != 1);
    GIVES(0, tcsetpgrp(0, child));
    CHECK(tcgetpgrp(0) == child);
    signal(SIGTTOU, SIG_IGN);
    GIVES(0, tcsetpgrp(0, getpgrp()));
    signal(SIGTTOU, SIG_DFL);
    GIVES(1, write(end[1], "", 1));
    reap(child);
    FAILS(ESRCH, tcsetpgrp(0, child));
    if (!(child = fork())) {
        setsid();
        kill(getppid(), SIGUSR1);
        pause();
    }
    int signal;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigwait(&set, &signal);
    FAILS(EPERM, tcsetpgrp(0, child));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(end[0]), close(end[1]);
}

/* The leader of a session gives the terminal up for all of it. */
static void give_up(void) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGCONT, &action, NULL);
    GIVES(0, ioctl(0, TIOCNOTTY));
    GIVES(SIGHUP, hangup.si_signo);
    GIVES(SIGCONT, resumed.si_signo);
    GIVES(SI_USER, hangup.si_code);
    CHECK(hangup.si_pid == getpid());
    FAILS(ENXIO, open_terminal(0));
    FAILS(ENOTTY, tcgetpgrp(0));
    FAILS(ENOTTY, ioctl(0, TIOCNOTTY));
}

static int ready[2], turn[2][2], verdict[2];

static siginfo_t wait_for(int signal, int ms) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    siginfo_t info = {0};
    if (sigtimedwait(&set, &info, &time) < 0) info.si_signo = 0;
    return info;
}

/* What a member of the session sees when its leader has ended. */
static void member(int in_foreground) {
    pid_t leader = getppid();
    char byte;
    if (write(ready[1], "", 1) != 1) abort();
    while (getppid() == leader) sleep_ms(1);
    if (read(turn[in_foreground][0], &byte, 1) != 1) abort();
    siginfo_t info = wait_for(SIGHUP, in_foreground ? 5000 : 100);
    GIVES(in_foreground ? SIGHUP : 0, info.si_signo);
    if (in_foreground) GIVES(SI_KERNEL, info.si_code);
    GIVES(0, wait_for(SIGCONT, 10).si_signo);
    FAILS(ENXIO, open_terminal(0));
    FAILS(ENOTTY, tcgetpgrp(0));
    byte = done();
    _exit(write(verdict[1], &byte, 1) != 1);
}

/* Another session gets the terminal, and its leader ends. */
static void session(void) {
    setsid();
    FAILS(ENXIO, open_terminal(0));
    CHECK(open("/proc/self/fd/0", O_RDWR | O_NOCTTY) >= 0);
    FAILS(ENXIO, open_terminal(O_NOCTTY));
    CHECK(open("/proc/self/fd/0", O_RDWR) >= 0);
    GIVES(0, open_terminal(0));
    CHECK(tcgetsid(0) == getpid());
    CHECK(tcgetpgrp(0) == getpgrp());
    pid_t child = fork();
    if (child == 0) {
        FAILS(EPERM, ioctl(0, TIOCSCTTY, 0));
        setsid();
        FAILS(EPERM, ioctl(0, TIOCSCTTY, 0));
        CHECK(open("/proc/self/fd/0", O_RDWR) >= 0);
        FAILS(ENXIO, open_terminal(0));
        _exit(done());
    }
    reap(child);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    char byte;
    for (int in_foreground = 1; in_foreground >= 0; in_foreground--) {
        child = in_foreground ? fork() : background();
        if (child == 0) {
            setpgid(0, in_foreground ? getpgid(getppid()) : 0);
            member(in_foreground);
        }
        GIVES(1, read(ready[0], &byte, 1));
    }
    _exit(done());
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK(getsid(0) == getpid());
    CHECK(tcgetsid(0) == getpid());
    CHECK(tcgetpgrp(0) == getpgrp());
    GIVES(0, open_terminal(0));
    GIVES(0, ioctl(0, TIOCSCTTY, 0));
    background_groups();
    orphaned_group();
    foreground();
    give_up();

    CHECK(pipe(ready) == 0 && pipe(turn[0]) == 0 && pipe(turn[1]) == 0 && pipe(verdict) == 0);
    pid_t child = fork();
    if (child == 0) session();
    reap(child);
    close(verdict[1]);
    for (int in_foreground = 1; in_foreground >= 0; in_foreground--) {
        char byte = 1;
        /* Said by nobody: the member speaks next. */
        if (write(turn[in_foreground][1], "", 1) != 1) abort();
        GIVES(1, read(verdict[0], &byte, 1));
        GIVES(0, byte);
    }
    /* The terminal is free again. */
    GIVES(0, ioctl(0, TIOCSCTTY, 0));
    CHECK(tcgetsid(0) == getpid());
    CHECK(tcgetpgrp(0) == getpgrp());
    return done();
}
