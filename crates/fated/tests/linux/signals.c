/* Sending, blocking, queueing and handling signals. */
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>

static volatile int order[64], taken;
static siginfo_t infos[64];
static void note(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (taken < 64) order[taken] = signal, infos[taken] = *info;
    taken++;
}

static void handler_of(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    sigaction(signal, &action, NULL);
}

static sigset_t set_of(int one, int two) {
    sigset_t set;
    sigemptyset(&set);
    if (one) sigaddset(&set, one);
    if (two) sigaddset(&set, two);
    return set;
}

static volatile int depth, deepest, entries;
static void nest(int signal, siginfo_t *info, void *context) {
    (void)info, (void)context;
    if (++depth > deepest) deepest = depth;
    if (++entries < 5 && depth < 3) raise(signal);
    depth--;
}

static sigjmp_buf jump;
static void leap(int signal, siginfo_t *info, void *context) {
    (void)info, (void)context;
    siglongjmp(jump, signal);
}

static void *volatile fault_address;
static void catch_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    fault_address = info->si_addr;
    siglongjmp(jump, signal);
}

static volatile sig_atomic_t on_altstack;
static char altstack[65536];
static void look_at_stack(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    char here;
    on_altstack = &here >= altstack && &here < altstack + sizeof altstack;
    stack_t now;
    sigaltstack(NULL, &now);
    if (on_altstack != !!(now.ss_flags & SS_ONSTACK)) abort();
}

static volatile long eaters;
static int overflow(volatile char *up) {
    volatile char room[1024];
    room[0] = *up;
    /* It never gets so far. */
    return ++eaters > 100000 ? 0 : overflow(room) + room[0];
}

static void *wait_for_usr1(void *arg) {
    sigset_t set = set_of(SIGUSR1, 0);
    siginfo_t info;
    *(int *)arg = sigwaitinfo(&set, &info);
    return NULL;
}

int main(void) {
    sigset_t all, old, pending;
    sigfillset(&all);
    FAILS(EINVAL, kill(getpid(), 65));
    FAILS(EINVAL, kill(getpid(), -1));
    GIVES(0, kill(getpid(), 0));
    FAILS(ESRCH, kill(4194303, 0));
    FAILS(ESRCH, kill(-4194303, SIGTERM));
    FAILS(EINVAL, syscall(SYS_tgkill, 0, 1, SIGTERM));
    FAILS(ESRCH, syscall(SYS_tgkill, getpid(), 4194303, SIGTERM));
    FAILS(EINVAL, sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
    FAILS(EINVAL, sigaction(SIGSTOP, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
    FAILS(EINVAL, syscall(SYS_rt_sigprocmask, 7, &all, NULL, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 16));
    FAILS(EFAULT, syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8));

    /* Unblocked at once, standard signals come once and by number, real-time ones queue. */
    int noted[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM};
    for (int i = 0; i < 4; i++) handler_of(noted[i], note, 0);
    for (int i = SIGRTMIN; i <= SIGRTMIN + 2; i++) handler_of(i, note, 0);
    sigprocmask(SIG_SETMASK, &all, &old);
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGHUP);
    for (int i = 0; i < 3; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 100 + i});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7});
    syscall(SYS_tgkill, getpid(), getpid(), SIGTERM);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN + 1) && !sigismember(&pending, SIGINT));
    /* Taken in order, one handler is entered on top of the other, so they run in the opposite one. */
    sigset_t unblock = set_of(SIGRTMIN + 1, 0);
    handler_of(SIGRTMIN + 1, note, 0);
    sigprocmask(SIG_UNBLOCK, &unblock, NULL);
    CHECK(taken == 3);
    CHECK(infos[0].si_value.sival_int == 100 && infos[1].si_value.sival_int == 101 && infos[2].si_value.sival_int == 102);
    CHECK(infos[0].si_code == SI_QUEUE && infos[0].si_pid == getpid() && infos[0].si_uid == getuid());
    taken = 0;
    unblock = set_of(SIGUSR1, SIGUSR2);
    struct sigaction masked = {.sa_sigaction = note, .sa_flags = SA_SIGINFO, .sa_mask = all};
    sigaction(SIGUSR1, &masked, NULL);
    sigaction(SIGUSR2, &masked, NULL);
    sigaction(SIGHUP, &masked, NULL);
    sigprocmask(SIG_UNBLOCK, &unblock, NULL);
    CHECK(taken == 2 && order[0] == SIGUSR1 && order[1] == SIGUSR2);
    CHECK(infos[0].si_code == SI_USER && infos[0].si_pid == getpid());
    taken = 0;
    sigprocmask(SIG_SETMASK, &old, NULL);
    CHECK(taken == 3);
    int seen_term = 0;
    for (int i = 0; i < 3; i++) if (order[i] == SIGTERM) seen_term = infos[i].si_code;
    GIVES(SI_TKILL, seen_term);

    /* SA_NODEFER, and without it. */
    handler_of(SIGUSR1, nest, SA_NODEFER);
    raise(SIGUSR1);
    GIVES(3, deepest);
    deepest = entries = 0;
    handler_of(SIGUSR1, nest, 0);
    raise(SIGUSR1);
    GIVES(1, deepest);
    /* SA_RESETHAND. */
    handler_of(SIGCHLD, note, SA_RESETHAND);
    struct sigaction now;
    raise(SIGCHLD);
    sigaction(SIGCHLD, NULL, &now);
    CHECK(now.sa_handler == SIG_DFL);
    /* Ignored while blocked: gone when the action says so. */
    sigset_t usr1 = set_of(SIGUSR1, 0);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &usr1, NULL);

    /* Out of a handler by a jump: the mask comes back. */
    handler_of(SIGUSR2, leap, 0);
    int jumped = 0;
    for (int i = 0; i < 3; i++) {
        if (sigsetjmp(jump, 1) == SIGUSR2) jumped++;
        else raise(SIGUSR2);
    }
    GIVES(3, jumped);
    sigprocmask(SIG_SETMASK, NULL, &pending);
    CHECK(!sigismember(&pending, SIGUSR2));

    /* Faults. */
    handler_of(SIGSEGV, catch_fault, 0);
    handler_of(SIGFPE, catch_fault, 0);
    handler_of(SIGILL, catch_fault, 0);
    handler_of(SIGTRAP, catch_fault, 0);
    if (sigsetjmp(jump, 1) == 0) *(volatile int *)0x1234 = 1;
    CHECK(fault_address == (void *)0x1234);
    volatile int zero = 0, signal_of_division = 0;
    if ((signal_of_division = sigsetjmp(jump, 1)) == 0) zero = 7 / zero;
    GIVES(SIGFPE, signal_of_division);
    volatile int got;
    if ((got = sigsetjmp(jump, 1)) == 0) __asm__ volatile("ud2");
    GIVES(SIGILL, got);
    if ((got = sigsetjmp(jump, 1)) == 0) __asm__ volatile("int3");
    GIVES(SIGTRAP, got);

    /* The alternate stack; and the only way to survive an overflow. */
    stack_t stack = {.ss_sp = altstack, .ss_size = sizeof altstack}, previous;
    GIVES(0, sigaltstack(&stack, &previous));
    CHECK(previous.ss_flags & SS_DISABLE);
    FAILS(ENOMEM, sigaltstack(&(stack_t){.ss_sp = altstack, .ss_size = 100}, NULL));
    FAILS(EINVAL, sigaltstack(&(stack_t){.ss_sp = altstack, .ss_size = sizeof altstack, .ss_flags = 77}, NULL));
    handler_of(SIGUSR1, look_at_stack, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK(on_altstack);
    handler_of(SIGUSR1, look_at_stack, 0);
    raise(SIGUSR1);
    CHECK(!on_altstack);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20});
        handler_of(SIGSEGV, catch_fault, SA_ONSTACK);
        if (sigsetjmp(jump, 1) == 0) overflow(altstack);
        CHECK(eaters > 100);
        exit(done());
    }
    reap(child);
    /* Without one it dies. */
    child = fork();
    if (child == 0) {
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, NULL);
        setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20});
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        overflow(altstack);
    }
    int status;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

    /* sigsuspend, sigwait, sigtimedwait. */
    handler_of(SIGUSR1, note, 0);
    taken = 0;
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    GIVES(0, taken);
    sigset_t none = set_of(0, 0);
    FAILS(EINTR, sigsuspend(&none));
    GIVES(1, taken);
    sigprocmask(SIG_SETMASK, NULL, &pending);
    CHECK(sigismember(&pending, SIGUSR1));
    siginfo_t info;
    FAILS(EAGAIN, sigtimedwait(&usr1, &info, &(struct timespec){0, 0}));
    FAILS(EAGAIN, sigtimedwait(&usr1, &info, &(struct timespec){0, 10000000}));
    FAILS(EINVAL, sigtimedwait(&usr1, &info, &(struct timespec){0, -1}));
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 9});
    GIVES(SIGUSR1, sigtimedwait(&usr1, &info, &(struct timespec){0, 0}));
    CHECK(info.si_value.sival_int == 9 && info.si_code == SI_QUEUE);
    GIVES(1, taken);
    int got_by_thread = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_usr1, &got_by_thread);
    sleep_ms(5);
    kill(getpid(), SIGUSR1);
    pthread_join(thread, NULL);
    GIVES(SIGUSR1, got_by_thread);
    GIVES(1, taken);
    FAILS(EPERM, syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &(siginfo_t){.si_code = SI_USER}));

    /* Blocked and ignored masks over fork and exec. */
    signal(SIGUSR2, SIG_IGN);
    child = fork();
    if (child == 0) {
        sigpending(&pending);
        CHECK(!sigismember(&pending, SIGUSR1));
        /* SIGUSR1 and SIGUSR2; whoever started this may have ignored others. */
        execl("/bin/grep", "grep", "-cE", "^(SigBlk:.*2..|SigIgn:.*[89a-f]..)$", "/proc/self/status", NULL);
    }
    waitpid(child, &status, 0);
    GIVES(0, status);
    return done();
}
