/* Segment registers, flags and what else of the processor a program may set. */
#include "check.h"
#include <asm/prctl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static int get_gs(void) { int gs; asm volatile("mov %%gs, %0" : "=r"(gs)); return gs; }
static void set_gs(int gs) { asm volatile("mov %0, %%gs" ::"r"(gs)); }
static unsigned long base(int which) { unsigned long at = 1; return syscall(SYS_arch_prctl, which, &at) ? 2 : at; }

#define AC(on) asm volatile("pushf; andq $~0x40000, (%%rsp); orq %0, (%%rsp); popf" ::"r"((on) ? 0x40000L : 0L) : "memory", "cc")
static volatile int handled_gs;
static void on_usr(int signal) { AC(0); (void)signal; handled_gs = get_gs(); }

static sigjmp_buf out;
static void on_bus(int signal, siginfo_t *info, void *context) {
    AC(0);
    ucontext_t *at = context;
    printf("signal %d code %d trap %ld flag %d\n", signal, info->si_code, (long)at->uc_mcontext.gregs[REG_TRAPNO],
           (int)(at->uc_mcontext.gregs[REG_EFL] >> 18 & 1));
    siglongjmp(out, 1);
}
static long flags(void) { long f; asm volatile("pushf; popq %0" : "=r"(f)); return f; }
static long raw(long number, long a, long b) {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(0) : "rcx", "r11", "memory");
    return result;
}

static void gs(void) {
    puts("-- gs");
    for (int selector = 0; selector < 4; selector++) {
        /* A processor may drop such a selector at any interrupt. */
        set_gs(selector);
        getppid();
        raise(SIGUSR1);
        CHECK(get_gs() <= selector && handled_gs <= selector);
    }
    set_gs(0);
    GIVES(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123456789000));
    GIVES(0x123456789000, base(ARCH_GET_GS));
    FAILS(EPERM, syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffff800000000000));
    FAILS(EPERM, syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffff800000000000));
    FAILS(EPERM, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7ffffffff000));
    GIVES(0x123456789000, base(ARCH_GET_GS));
    if (__builtin_cpu_supports("avx2")) {
        /* With FSGSBASE a program may have any canonical base. */
        asm volatile("wrgsbase %0" ::"r"(0xffff812345678000UL));
        getppid();
        raise(SIGUSR1);
        unsigned long now;
        asm volatile("rdgsbase %0" : "=r"(now));
        CHECK(now == 0xffff812345678000UL);
        CHECK(base(ARCH_GET_GS) == 0xffff812345678000UL);
        pid_t child = fork();
        if (!child) {
            asm volatile("rdgsbase %0" : "=r"(now));
            _exit(now != 0xffff812345678000UL);
        }
        reap(child);
    }
    GIVES(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0));
}

static void cpuid(void) {
    puts("-- cpuid");
    GIVES(1, syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0));
    GIVES(0, syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1) && errno != ENODEV);
}

static void alignment(void) {
    puts("-- alignment checks");
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, 0);
    _Alignas(8) char buf[16];
    fflush(stdout);
    if (!sigsetjmp(out, 1)) {
        AC(1);
        asm volatile("movl $1, 1(%0)" ::"r"(buf) : "memory");
        AC(0);
        puts("no fault");
    }
    AC(0);
    AC(1);
    long with = 0;
    for (int i = 0; i < 100; i++) with += raw(SYS_getppid, 0, 0) == 0;
    long after = flags();
    AC(0);
    GIVES(0x40000, after & 0x40000);
    GIVES(0, with);
    AC(1);
    raw(SYS_tgkill, getpid(), 0);
    AC(0);
    pid_t self = getpid();
    AC(1);
    raw(SYS_kill, self, SIGUSR1);
    after = flags();
    AC(0);
    GIVES(0x40000, after & 0x40000);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        signal(SIGBUS, SIG_DFL);
        AC(1);
        asm volatile("movl $1, 1(%0)" ::"r"(buf) : "memory");
        AC(0);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    GIVES(SIGBUS, status & 0x7f);
}

static volatile int change_cs, change_ss, seen_segv;
static void change(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ucontext_t *at = context;
    unsigned short *segments = (unsigned short *)&at->uc_mcontext.gregs[REG_CSGSFS];
    printf("cs %#x gs %#x fs %#x ss %#x\n", segments[0], segments[1], segments[2], segments[3]);
    if (change_cs >= 0) segments[0] = change_cs;
    if (change_ss >= 0) segments[3] = change_ss;
}
static void on_segv(int signal, siginfo_t *info, void *context) {
    ucontext_t *at = context;
    printf("signal %d code %d trap %ld error %#lx\n", signal, info->si_code, (long)at->uc_mcontext.gregs[REG_TRAPNO],
           (long)at->uc_mcontext.gregs[REG_ERR]);
    fflush(stdout);
    _exit(7);
}
static void selectors(void) {
    puts("-- selectors in a frame");
    int tries[][2] = {{-1, -1}, {0x30, 0x28}, {0x33, 0}, {0x33, 0x2b}, {0, 0x2b}, {0x3b, 0x2b}, {0x33, 0x33}};
    for (unsigned i = 0; i < sizeof tries / sizeof *tries; i++) {
        printf("%#x %#x\n", tries[i][0], tries[i][1]);
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            struct sigaction on = {.sa_sigaction = change, .sa_flags = SA_SIGINFO};
            sigaction(SIGUSR1, &on, 0);
            on.sa_sigaction = on_segv;
            sigaction(SIGSEGV, &on, 0);
            change_cs = tries[i][0], change_ss = tries[i][1];
            raise(SIGUSR1);
            int cs, ss;
            asm volatile("mov %%cs, %0; mov %%ss, %1" : "=r"(cs), "=r"(ss));
            printf("continues with cs %#x ss %#x\n", cs, ss);
            fflush(stdout);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        printf("status %#x\n", status & ~0x80);
    }
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    signal(SIGUSR1, on_usr);
    gs();
    cpuid();
    alignment();
    selectors();
    return done();
}
