/* Handlers, masks, an alternate stack, a fault that is caught, queued signals with values, an interval timer. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t ticks, usr1;
static sigjmp_buf back;

static void tick(int signal) { (void)signal, ticks++; }
static void count(int signal) { (void)signal, usr1++; }
static void fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    siglongjmp(back, info->si_addr == (void *)8 ? 1 : 2);
}

int main(void)
{
    stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
    sigaltstack(&stack, 0);
    sigaction(SIGSEGV, &(struct sigaction){ .sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK }, 0);
    int at = sigsetjmp(back, 1);
    if (at == 0)
        *(volatile int *)8 = 1;
    printf("fault at the right address: %s\n", at == 1 ? "yes" : "no");

    sigaction(SIGALRM, &(struct sigaction){ .sa_handler = tick, .sa_flags = SA_RESTART }, 0);
    setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 10000 }, { 0, 10000 } }, 0);
    while (ticks < 10)
        pause();
    setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, 0);
    printf("ticks: %d\n", ticks);

    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, 0);
    signal(SIGUSR1, count);
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 100 + i });
    }
    sigpending(&pending);
    printf("pending: %d %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGRTMIN));
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGRTMIN);
    siginfo_t info;
    while (sigtimedwait(&only, &info, &(struct timespec){ 0, 1000000 }) > 0)
        printf("queued: %d\n", info.si_value.sival_int);
    sigprocmask(SIG_UNBLOCK, &set, 0);
    printf("usr1: %d\n", usr1);
    fflush(stdout);
    abort();
}
