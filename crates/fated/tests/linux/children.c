/* SIGCHLD, what it tells, and waiting for children that stop, continue and end. */
#include "check.h"

static siginfo_t last;
static volatile sig_atomic_t count;
static void note(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    last = *info;
    count++;
}

static sigset_t chld, old;
/* SIGCHLD is blocked but for here. */
static void await_sigchld(void) {
    int before = count;
    while (count == before) sigsuspend(&old);
}

static pid_t start(void) {
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        for (;;) pause();
    }
    return child;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaction(SIGCHLD, &action, NULL);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &old);
    int status;
    siginfo_t info;

    FAILS(ECHILD, wait(&status));
    FAILS(ECHILD, waitpid(1, &status, 0));
    FAILS(EINVAL, waitpid(-1, &status, 0x10000));
    FAILS(EINVAL, waitid(P_ALL, 0, &info, 0));
    FAILS(EINVAL, waitid(77, 0, &info, WEXITED));

    pid_t child = fork();
    if (child == 0) _exit(3);
    await_sigchld();
    CHECK(last.si_pid == child && last.si_code == CLD_EXITED && last.si_status == 3 && last.si_uid == getuid());
    info.si_pid = 0;
    GIVES(0, waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    CHECK(info.si_pid == child && info.si_signo == SIGCHLD && info.si_status == 3 && info.si_code == CLD_EXITED);
    CHECK(waitpid(-1, &status, WNOHANG) == child);
    GIVES(3 << 8, status);

    child = start();
    GIVES(0, waitpid(child, &status, WNOHANG));
    kill(child, SIGSTOP);
    await_sigchld();
    CHECK(last.si_code == CLD_STOPPED && last.si_status == SIGSTOP && last.si_pid == child);
    GIVES(0, waitpid(child, &status, WNOHANG));
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    GIVES(0, waitpid(child, &status, WUNTRACED | WNOHANG));
    kill(child, SIGCONT);
    await_sigchld();
    CHECK(last.si_code == CLD_CONTINUED && last.si_status == SIGCONT);
    CHECK(waitpid(child, &status, WCONTINUED) == child);
    CHECK(WIFCONTINUED(status));
    kill(child, SIGTERM);
    await_sigchld();
    CHECK(last.si_code == CLD_KILLED && last.si_status == SIGTERM);
    CHECK(wait(&status) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

    /* Killed while stopped. */
    child = start();
    kill(child, SIGSTOP);
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    kill(child, SIGTERM);
    sleep_ms(5);
    GIVES(0, waitpid(child, &status, WNOHANG));
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child);
    GIVES(SIGKILL, status);

    /* Not told of stops. */
    action.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, NULL);
    sigset_t pending;
    struct timespec zero = {0, 0};
    while (sigtimedwait(&chld, NULL, &zero) > 0) {}
    child = start();
    kill(child, SIGSTOP);
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGCHLD));
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGCHLD));

    /* Children that reap themselves. */
    signal(SIGCHLD, SIG_IGN);
    child = fork();
    if (child == 0) _exit(0);
    FAILS(ECHILD, waitpid(child, &status, 0));
    signal(SIGCHLD, SIG_DFL);

    /* Groups: by group, from a group, killed as a group. */
    pid_t group = fork();
    if (group == 0) {
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &old, NULL);
        for (;;) pause();
    }
    setpgid(group, group);
    pid_t member = fork();
    if (member == 0) {
        setpgid(0, group);
        sigprocmask(SIG_SETMASK, &old, NULL);
        for (;;) pause();
    }
    setpgid(member, group);
    GIVES(1, getpgid(member) == group);
    GIVES(0, waitpid(-group, &status, WNOHANG));
    FAILS(ECHILD, waitpid(0, &status, WNOHANG));
    kill(-group, SIGTERM);
    CHECK(waitpid(-group, &status, 0) > 0 && status == SIGTERM);
    CHECK(waitpid(-group, &status, 0) > 0 && status == SIGTERM);
    FAILS(ECHILD, waitpid(-group, &status, 0));

    /* A group whose last link to its session goes is hung up if it has stopped members. */
    int fds[2];
    if (pipe(fds)) abort();
    pid_t middle = fork();
    if (middle == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        pid_t orphan = fork();
        if (orphan == 0) {
            setpgid(0, 0);
            signal(SIGHUP, SIG_DFL);
            struct sigaction quiet = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
            sigaction(SIGHUP, &quiet, NULL);
            count = 0;
            raise(SIGSTOP);
            char tell = count == 1 && last.si_signo == SIGHUP ? 'y' : 'n';
            if (write(fds[1], &tell, 1) != 1) _exit(1);
            /* Terminal stops don't stop it any more. */
            raise(SIGTSTP);
            tell = 't';
            if (write(fds[1], &tell, 1) != 1) _exit(1);
            _exit(0);
        }
        waitpid(orphan, &status, WUNTRACED);
        _exit(0);
    }
    CHECK(waitpid(middle, &status, 0) == middle);
    close(fds[1]);
    char told[3] = {0};
    GIVES(1, read(fds[0], told, 1));
    GIVES(1, read(fds[0], told + 1, 1));
    GIVES(0, read(fds[0], told + 2, 1));
    CHECK(!strcmp(told, "yt"));
    return done();
}
