/* Signals at their limits: stacks that hold no frame, queues that are full, and who may send. */
#include "check.h"
#include "folder.h"
#include <alloca.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void end_with(int expected, void (*act)(void), const char *what) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        act();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%s: %#x\n", what, status & ~0x80);
    GIVES(expected, status & ~0x80);
}

static void leave(int signal) { _exit(40 + signal % 3); }

static char *stack;

static void bad_stack(void) {
    struct sigaction on_usr = {.sa_handler = leave, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &on_usr, 0);
    char *gone = mmap(0, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t other = {.ss_sp = gone, .ss_size = 65536};
    if (sigaltstack(&other, 0)) _exit(99);
    raise(SIGUSR1);
}
static void bad_stack_ignored(void) {
    signal(SIGSEGV, SIG_IGN);
    bad_stack();
}
static void bad_stack_caught(void) {
    struct sigaction on_segv = {.sa_handler = leave};
    sigaction(SIGSEGV, &on_segv, 0);
    bad_stack();
}

/* A handler's frame that would leave the stack it is on. */
static void again(int signal) {
    static int depth;
    if (depth++) _exit(33);
    /* What is left of the stack takes this call, but no frame. */
    volatile char *room = alloca((char *)__builtin_frame_address(0) - (stack + 65536 - 16384) - 600);
    room[0] = 1;
    syscall(SYS_tgkill, getpid(), getpid(), signal);
}
static void deep_stack(void) {
    struct sigaction on_usr = {.sa_handler = again, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaction(SIGUSR1, &on_usr, 0);
    stack_t small = {.ss_sp = stack + 65536 - 16384, .ss_size = 16384};
    if (sigaltstack(&small, 0)) _exit(99);
    raise(SIGUSR1);
}

static void pending(void) {
    puts("-- RLIMIT_SIGPENDING");
    pid_t child = fork();
    if (!child) {
        sigset_t set;
        sigfillset(&set);
        sigprocmask(SIG_BLOCK, &set, 0);
        /* Linux counts what all processes of a user have pending: a user of its own has none but these. */
        if (!getuid() && setresuid(54321, 54321, 54321)) abort();
        const char *queued = strstr(get("/proc/self/status"), "SigQ:");
        struct rlimit limit, few = {0, 0};
        long before = queued ? atol(queued + 5) : 0;
        getrlimit(RLIMIT_SIGPENDING, &limit);
        few.rlim_max = limit.rlim_max, few.rlim_cur = before + 5;
        GIVES(0, setrlimit(RLIMIT_SIGPENDING, &few));
        union sigval value = {7};
        for (int i = 0; i < 5; i++) GIVES(0, sigqueue(getpid(), SIGRTMIN, value));
        FAILS(EAGAIN, sigqueue(getpid(), SIGRTMIN, value));
        /* kill needs no place in the queue for an ordinary signal, and has one for a real-time signal or does without. */
        GIVES(0, kill(getpid(), SIGUSR1));
        GIVES(0, kill(getpid(), SIGRTMIN + 1));
        FAILS(EAGAIN, sigqueue(getpid(), SIGRTMIN + 1, value));
        siginfo_t info;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        GIVES(SIGUSR1, sigwaitinfo(&set, &info));
        sigaddset(&set, SIGRTMIN);
        GIVES(SIGRTMIN, sigwaitinfo(&set, &info));
        GIVES(0, sigqueue(getpid(), SIGRTMIN, value));
        FAILS(EAGAIN, sigqueue(getpid(), SIGRTMIN, value));
        few.rlim_cur = few.rlim_max;
        GIVES(0, setrlimit(RLIMIT_SIGPENDING, &few));
        int sent = 0;
        while (sent < 2000 && !sigqueue(getpid(), SIGRTMIN, value)) sent++;
        GIVES(2000, sent);
        const char *text = strstr(get("/proc/self/status"), "SigQ:");
        printf("%s\n", text ? "counted" : "?");
        GIVES(2005, text ? atol(text + 5) - before : -1);
        exit(done());
    }
    reap(child);
}

static int chlds;
static void count(int signal) { (void)signal; chlds++; }
static void no_zombies(void) {
    puts("-- SA_NOCLDWAIT");
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, 0);
    int status;
    pid_t child = fork();
    if (!child) _exit(3);
    FAILS(ECHILD, waitpid(child, &status, 0));
    GIVES(1, chlds);
    child = fork();
    if (!child) { sleep_ms(50); _exit(3); }
    FAILS(ECHILD, waitpid(-1, &status, 0));
    GIVES(2, chlds);
    child = fork();
    if (!child) { sleep_ms(50); _exit(3); }
    FAILS(ECHILD, wait(&status));
    signal(SIGCHLD, SIG_DFL);
}

static void die(void) { abort(); }
static void core(void) {
    /* Linux asks the limit where cores are files. */
    if (get("/proc/sys/kernel/core_pattern")[0] == '|') return;
    puts("-- core");
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            struct rlimit limit = {i == 0 ? 0 : RLIM_INFINITY, RLIM_INFINITY};
            setrlimit(RLIMIT_CORE, &limit);
            if (i == 2) raise(SIGKILL);
            die();
        }
        int status;
        waitpid(child, &status, 0);
        printf("core of %d: %d\n", i, WCOREDUMP(status) != 0);
    }
}

static void who_may(void) {
    if (getuid()) {
        fprintf(stderr, "skipped: other users need root\n");
        return;
    }
    puts("-- who may send");
    int ends[2];
    if (pipe(ends)) abort();
    pid_t other = fork();
    if (!other) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    pid_t child = fork();
    if (!child) {
        if (setresuid(1234, 1234, 1234)) abort();
        FAILS(EPERM, kill(1, 0));
        FAILS(EPERM, kill(getppid(), SIGTERM));
        FAILS(EPERM, kill(other, SIGTERM));
        FAILS(EPERM, kill(other, 0));
        FAILS(EPERM, syscall(SYS_tkill, other, SIGTERM));
        FAILS(EPERM, syscall(SYS_tgkill, other, other, 0));
        union sigval value = {1};
        FAILS(EPERM, sigqueue(other, SIGTERM, value));
        GIVES(0, kill(getpid(), 0));
        FAILS(ESRCH, kill(99999999, 0));
        FAILS(EPERM, setpriority(PRIO_PROCESS, other, 5));
        struct rlimit limit;
        FAILS(EPERM, prlimit(other, RLIMIT_NOFILE, 0, &limit));
        exit(done());
    }
    reap(child);
    close(ends[0]), close(ends[1]);
    reap(other);
}

int main(void) {
    enter_folder();
    stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    end_with(SIGSEGV, bad_stack, "a stack that isn't there");
    end_with(SIGSEGV, bad_stack_ignored, "the same, SIGSEGV ignored");
    end_with((40 + SIGSEGV % 3) << 8, bad_stack_caught, "the same, SIGSEGV caught");
    end_with(SIGSEGV, deep_stack, "handlers one in another");
    pending();
    no_zombies();
    core();
    who_may();
    leave_folder();
    return done();
}
