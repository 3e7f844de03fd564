/* Threads and processes together: who ends with whom, who execs, what fork, vfork and exec keep. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/resource.h>

static volatile int stage;
static volatile pid_t seen_tid;
static char *program;

static void *forever(void *arg) {
    for (;;) pause();
    return arg;
}

static void *end_process(void *arg) {
    (void)arg;
    sleep_ms(5);
    exit(7);
}

static void *end_late(void *arg) {
    (void)arg;
    sleep_ms(30);
    stage = 1;
    syscall(SYS_exit_group, 8);
    return NULL;
}

static void *run_program(void *arg) {
    (void)arg;
    char fd[8], pid[16];
    snprintf(fd, sizeof fd, "%d", open("/dev/null", O_RDONLY | O_CLOEXEC));
    snprintf(pid, sizeof pid, "%d", getpid());
    execl(program, program, "after-exec", pid, fd, NULL);
    _exit(99);
}

/* The program itself, after exec by a thread that doesn't lead. */
static int after_exec(char **argv) {
    pid_t pid = atoi(argv[2]);
    CHECK(getpid() == pid && syscall(SYS_gettid) == pid);
    FAILS(EBADF, fcntl(atoi(argv[3]), F_GETFD));
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    CHECK(action.sa_handler == SIG_DFL);
    sigaction(SIGUSR2, NULL, &action);
    CHECK(action.sa_handler == SIG_IGN);
    sigset_t set;
    sigprocmask(SIG_SETMASK, NULL, &set);
    CHECK(sigismember(&set, SIGHUP) && !sigismember(&set, SIGINT));
    sigpending(&set);
    CHECK(sigismember(&set, SIGHUP));
    struct itimerval timer;
    getitimer(ITIMER_REAL, &timer);
    CHECK(timer.it_value.tv_sec > 50);
    struct itimerspec spec;
    FAILS(EINVAL, syscall(SYS_timer_gettime, 0, &spec));
    stack_t stack;
    sigaltstack(NULL, &stack);
    CHECK(stack.ss_flags & SS_DISABLE);
    return done();
}

static void handler(int signal) { (void)signal; }

static void *tell_tid(void *arg) {
    seen_tid = syscall(SYS_gettid);
    return arg;
}

static int fork_from_thread_status;
static void *fork_here(void *arg) {
    pid_t child = fork();
    if (child == 0) {
        /* It is alone in its process, and leads it. */
        _exit(syscall(SYS_gettid) == getpid() ? 5 : 6);
    }
    waitpid(child, &fork_from_thread_status, 0);
    return arg;
}

static int in_clone(void *arg) {
    *(volatile int *)arg = 77;
    close(50);
    return 4;
}

int main(int argc, char **argv) {
    if (argc > 1) return after_exec(argv);
    program = argv[0];
    int status;
    pthread_t thread;

    /* One ends the process for all. */
    pid_t child = fork();
    if (child == 0) {
        pthread_create(&thread, NULL, forever, NULL);
        pthread_create(&thread, NULL, end_process, NULL);
        for (;;) pause();
    }
    waitpid(child, &status, 0);
    GIVES(7 << 8, status);
    /* The leader ends first: the process goes on, and is reaped once the last thread ends. */
    child = fork();
    if (child == 0) {
        pthread_create(&thread, NULL, end_late, NULL);
        pthread_exit(NULL);
    }
    sleep_ms(10);
    GIVES(0, waitpid(child, &status, WNOHANG));
    GIVES(0, kill(child, 0));
    CHECK(waitpid(child, &status, 0) == child);
    GIVES(8 << 8, status);
    /* All leave by themselves. */
    child = fork();
    if (child == 0) {
        pthread_create(&thread, NULL, tell_tid, NULL);
        pthread_exit(NULL);
    }
    CHECK(waitpid(child, &status, 0) == child);
    GIVES(0, status);
    /* A signal kills all. */
    child = fork();
    if (child == 0) {
        pthread_create(&thread, NULL, forever, NULL);
        pthread_create(&thread, NULL, forever, NULL);
        raise(SIGTERM);
        for (;;) pause();
    }
    waitpid(child, &status, 0);
    GIVES(SIGTERM, status);

    /* Exec by a thread that doesn't lead. */
    child = fork();
    if (child == 0) {
        signal(SIGUSR1, handler);
        signal(SIGUSR2, SIG_IGN);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        kill(getpid(), SIGHUP);
        alarm(100);
        timer_t timer;
        timer_create(CLOCK_MONOTONIC, NULL, &timer);
        pthread_create(&thread, NULL, forever, NULL);
        pthread_create(&thread, NULL, run_program, NULL);
        for (;;) pause();
    }
    reap(child);

    /* Ids of threads, and a process of a thread. */
    pthread_create(&thread, NULL, tell_tid, NULL);
    pthread_join(thread, NULL);
    CHECK(seen_tid > 0 && seen_tid != getpid());
    /* Who joins it is woken before it is gone. */
    while (syscall(SYS_tgkill, getpid(), seen_tid, 0) == 0) sched_yield();
    FAILS(ESRCH, syscall(SYS_tgkill, getpid(), seen_tid, 0));
    FAILS(ECHILD, waitpid(seen_tid, &status, 0));
    pthread_create(&thread, NULL, fork_here, NULL);
    pthread_join(thread, NULL);
    GIVES(5 << 8, fork_from_thread_status);

    /* vfork waits for its child, which borrows the memory. */
    volatile int borrowed = 0;
    child = vfork();
    if (child == 0) {
        borrowed = 1;
        _exit(3);
    }
    GIVES(1, borrowed);
    CHECK(waitpid(child, &status, 0) == child && status == 3 << 8);
    /* Memory, and descriptors, in common or not. */
    char *stack = malloc(65536);
    dup2(0, 50);
    int shared = 0;
    child = clone(in_clone, stack + 65536, CLONE_VM | SIGCHLD, &shared);
    CHECK(waitpid(child, &status, 0) == child && status == 4 << 8);
    GIVES(77, shared);
    CHECK(fcntl(50, F_GETFD) == 0);
    shared = 0;
    child = clone(in_clone, stack + 65536, CLONE_FILES | SIGCHLD, &shared);
    CHECK(waitpid(child, &status, 0) == child && status == 4 << 8);
    GIVES(0, shared);
    FAILS(EBADF, fcntl(50, F_GETFD));
    /* An exit signal of one's own, and none. */
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    child = clone(in_clone, stack + 65536, SIGUSR1, &shared);
    siginfo_t info;
    GIVES(SIGUSR1, sigwaitinfo(&usr1, &info));
    CHECK(info.si_pid == child && info.si_status == 4 && info.si_code == CLD_EXITED);
    FAILS(ECHILD, waitpid(child, &status, 0));
    CHECK(waitpid(child, &status, __WCLONE) == child);
    child = clone(in_clone, stack + 65536, 0, &shared);
    CHECK(waitpid(child, &status, __WALL) == child);
    /* Wrong combinations. */
    FAILS(EINVAL, syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0));
    FAILS(EINVAL, syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
    FAILS(EINVAL, syscall(SYS_clone, CLONE_FS | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
    FAILS(EINVAL, syscall(SYS_clone3, (void *)8, 8));
    FAILS(E2BIG, syscall(SYS_clone3, (void *)8, 5000));
    FAILS(EFAULT, syscall(SYS_clone3, (void *)8, 88));

    /* Where exec fails nothing changes. */
    FAILS(ENOENT, execl("/nowhere", "nowhere", NULL));
    FAILS(EACCES, execl("/etc/passwd", "passwd", NULL));
    FAILS(EACCES, execl("/", "/", NULL));
    FAILS(ENOTDIR, execl("/etc/passwd/x", "x", NULL));
    FAILS(EFAULT, syscall(SYS_execve, 8, NULL, NULL));
    int fd = memfd_create("empty", 0);
    fchmod(fd, 0700);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FAILS(ENOEXEC, execl(path, "x", NULL));
    return done();
}
