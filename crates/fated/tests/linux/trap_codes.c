/* What the processor says of a fault: trap number, error code and address in the signal's frame, and that nothing else changes. */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf out;
static char *page;

static void on(int signal, siginfo_t *info, void *context) {
    long long *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    printf("  signal %d code %d trap %d error %#x address %d", signal, info->si_code, (int)regs[REG_TRAPNO], (int)regs[REG_ERR], info->si_addr != 0);
    if (regs[REG_CR2] < 4096) printf(" cr2 %#x\n", (int)regs[REG_CR2]);
    else printf(" cr2 %s\n", (long)regs[REG_CR2] == (long)page ? "page" : "other");
    siglongjmp(out, 1);
}

#define TRY(...) do { puts(#__VA_ARGS__); if (!sigsetjmp(out, 1)) { __VA_ARGS__; puts("  no fault"); } } while (0)
#define READ(at) (void)*(volatile char *)(at)
#define WRITE(at) *(volatile char *)(at) = 1
#define CALL(at) ((void (*)(void))(at))()

static char *map(int prot, int touched) {
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (touched) *at = 1;
    mprotect(at, 4096, prot);
    return at;
}

/* The page that was read, written and executed, which it doesn't permit, or doesn't in part. */
static void accesses(char *at) {
    page = at;
    TRY(READ(page));
    TRY(WRITE(page));
    TRY(CALL(page));
}

static void skip(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3;
}

/* A handler that steps over the instruction: vectors, the other registers and the stack are as before. */
static void kept(void) {
    struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    char *next = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(next, 4096);
    unsigned char in[32], after[32], below[256];
    for (int i = 0; i < 32; i++) in[i] = (unsigned char)(i * 7 + 1);
    memset(below, 0x5a, sizeof below);
    unsigned long sum = 0;
    asm volatile("movups (%[in]), %%xmm3\n movups 16(%[in]), %%xmm15\n fldpi\n mov $0x77, %%r12d\n xor %%ebx, %%ebx\n mov $8, %%ecx\n"
                 "mov %%rcx, (%%rbx)\n"
                 "add %%r12, %[sum]\n movups %%xmm3, (%[out])\n movups %%xmm15, 16(%[out])\n fldpi\n fcompp\n fnstsw %%ax\n"
                 : [sum] "+r"(sum) : [in] "r"(in), [out] "r"(after) : "rax", "rbx", "rcx", "r12", "xmm3", "xmm15", "memory", "cc");
    CHECK(memcmp(in, after, sizeof in) == 0 && sum == 0x77);
    CHECK(below[0] == 0x5a && below[255] == 0x5a);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    CHECK(!sigismember(&mask, SIGSEGV));
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == next);
    signal(SIGSEGV, SIG_DFL);
    struct sigaction old;
    CHECK(sigaction(SIGSEGV, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = on, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (int signal = 1; signal < 32; signal++)
        if (strchr("\x04\x05\x07\x08\x0a\x0b", signal)) sigaction(signal, &action, NULL);

    puts("-- no page");
    accesses((char *)8);
    puts("-- no rights");
    accesses(map(PROT_NONE, 0));
    accesses(map(PROT_NONE, 1));
    puts("-- read only");
    accesses(map(PROT_READ, 1));
    puts("-- not executable");
    accesses(map(PROT_READ | PROT_WRITE, 1));
    puts("-- behind the end of a file");
    int file = memfd_create("file", 0);
    accesses(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    puts("-- the kernel's");
    accesses((char *)0xffffffff81000000);
    page = (char *)8;
    puts("-- no address");
    TRY(READ(0x800000000000));
    TRY(WRITE(0x8000000000000000));

    puts("-- other instructions");
    TRY(READ(8));
    TRY(asm volatile("addl $1, (%0)" ::"r"(8L) : "memory", "cc"));
    TRY(asm volatile("movsb" ::"S"(8L), "D"(map(PROT_READ | PROT_WRITE, 1)) : "memory"));
    TRY(asm volatile("movsb" ::"S"(map(PROT_READ | PROT_WRITE, 1)), "D"(8L) : "memory"));
    TRY(asm volatile("mov %%rsp, %%rdx; mov %0, %%rsp; push %%rax; mov %%rdx, %%rsp" ::"r"(16L) : "rdx", "memory"));
    TRY(asm volatile("hlt"));
    TRY(asm volatile("ud2"));
    TRY(asm volatile("int3"));
    TRY(asm volatile("int $5"));
    TRY(asm volatile("int $4"));
    TRY(asm volatile("int $0xff"));
    TRY(asm volatile("mov %0, %%ds" ::"r"(0x1230)));
    TRY(asm volatile("idivl %0" ::"m"((int){0}), "a"(1), "d"(0)));
    TRY(asm volatile("ldmxcsr %0; divss %1, %1" ::"m"((unsigned){0x1f00}), "x"(0.0f)));
    TRY(asm volatile("ldmxcsr %0" ::"m"((unsigned){0x1f80})));
    TRY(asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"((short){0x37b})));
    asm volatile("fninit");

    puts("-- a signal shows the last fault");
    TRY(WRITE(8));
    TRY(raise(SIGUSR1));
    kept();
    return done();
}
