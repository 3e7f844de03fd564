/* What a call keeps: everything but rax, rcx and r11, whoever runs meanwhile, and however the call is made. An engine may rewrite
   the code around a `syscall` that is made often, so each kind of site makes many calls, and is entered in its middle too. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>

#define ROUNDS 200

/* Loads a pattern into all registers, makes a call, and stores what is there then. */
struct state {
    unsigned char vectors[16][32];
    uint64_t general[13]; /* rbx rbp r12 r13 r14 r15 r8 r9 r10 rdx rdi rsi flags */
    uint64_t x87, mxcsr, control;
    uint64_t red_zone[16];
} __attribute__((aligned(64)));

typedef long site(const struct state *in, struct state *out, long number);
long before_sse(const struct state *, struct state *, long), before_avx(const struct state *, struct state *, long);
long over_sse(const struct state *, struct state *, long), over_avx(const struct state *, struct state *, long);
long into_syscall(long number), into_displaced(long value);

asm(".macro vectors_move avx, store\n"
    ".set number, 0\n"
    ".rept 16\n"
    ".altmacro\n"
    "vector_move \\avx, \\store, %number\n"
    ".noaltmacro\n"
    ".set number, number + 1\n"
    ".endr\n"
    ".endm\n"
    ".macro vector_move avx, store, n\n"
    ".if \\avx\n"
    ".if \\store\n vmovdqu %ymm\\n, \\n*32(%rsi)\n .else\n vmovdqu \\n*32(%rdi), %ymm\\n\n .endif\n"
    ".else\n"
    ".if \\store\n movups %xmm\\n, \\n*32(%rsi)\n .else\n movups \\n*32(%rdi), %xmm\\n\n .endif\n"
    ".endif\n"
    ".endm\n"
    ".macro site name, avx, over\n"
    "\\name:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rsi\n push %rdi\n push %rdx\n"
    "vectors_move \\avx, 0\n"
    "fninit\n fldcw 632(%rdi)\n fildll 616(%rdi)\n ldmxcsr 624(%rdi)\n"
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "mov 640+8*\\n(%rdi), %rax\n mov %rax, -128+8*\\n(%rsp)\n"
    ".endr\n"
    "mov 512(%rdi), %rbx\n mov 528(%rdi), %r12\n mov 536(%rdi), %r13\n mov 544(%rdi), %r14\n mov 552(%rdi), %r15\n"
    "mov 560(%rdi), %r8\n mov 568(%rdi), %r9\n mov 576(%rdi), %r10\n"
    /* Overflow, sign, parity and carry are set, zero isn't. */
    "mov $0xd5, %ah\n mov $1, %al\n add $0x7f, %al\n mov $0x85, %ah\n sahf\n"
    ".if \\over\n"
    "mov %edx, %ebp\n mov 584(%rdi), %rdx\n mov 600(%rdi), %rsi\n mov 592(%rdi), %rdi\n"
    "mov %ebp, %eax\n syscall\n cmp $-4095, %rax\n"
    ".else\n"
    "mov 520(%rdi), %rbp\n mov 584(%rdi), %rdx\n mov 600(%rdi), %rsi\n mov 592(%rdi), %rdi\n"
    "mov $24, %eax\n syscall\n"
    ".endif\n"
    /* Neither flags nor the red zone are touched before they are stored. */
    "mov %rsp, %rcx\n lea -256(%rsp), %rsp\n pushf\n pop %r11\n mov %rcx, %rsp\n"
    "mov 16(%rsp), %rcx\n"
    "mov %rbx, 512(%rcx)\n mov %rbp, 520(%rcx)\n mov %r12, 528(%rcx)\n mov %r13, 536(%rcx)\n mov %r14, 544(%rcx)\n"
    "mov %r15, 552(%rcx)\n mov %r8, 560(%rcx)\n mov %r9, 568(%rcx)\n mov %r10, 576(%rcx)\n mov %rdx, 584(%rcx)\n"
    "mov %rdi, 592(%rcx)\n mov %rsi, 600(%rcx)\n mov %r11, 608(%rcx)\n"
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "mov -128+8*\\n(%rsp), %rdx\n mov %rdx, 640+8*\\n(%rcx)\n"
    ".endr\n"
    "mov %rcx, %rsi\n fistpll 616(%rsi)\n fnstcw 632(%rsi)\n stmxcsr 624(%rsi)\n"
    "vectors_move \\avx, 1\n"
    "fninit\n pushq $0x1f80\n ldmxcsr (%rsp)\n pop %rdx\n"
    ".if \\avx\n vzeroupper\n .endif\n"
    "pop %rdx\n pop %rdi\n pop %rsi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
    ".endm\n"
    ".text\n"
    "site before_sse, 0, 0\n site before_avx, 1, 0\n site over_sse, 0, 1\n site over_avx, 1, 1\n"
    /* A site of each kind that is also entered in its middle. */
    "into_syscall:\n mov %edi, %eax\n test %edi, %edi\n jns 1f\n mov $39, %eax\n 1: syscall\n ret\n"
    "into_displaced:\n mov %rdi, %rax\n test %rdi, %rdi\n js 1f\n push %r12\n pop %r12\n syscall\n"
    "1: cmp $-4095, %rax\n jae 2f\n ret\n 2: neg %rax\n ret\n");

static int has_avx;

static struct state pattern(unsigned seed) {
    struct state state;
    for (unsigned i = 0; i < sizeof state.vectors; i++) state.vectors[i / 32][i % 32] = (unsigned char)(seed * 31 + i * 7);
    for (unsigned i = 0; i < 13; i++) state.general[i] = (uint64_t)seed << 40 | i * 0x01010101u;
    for (unsigned i = 0; i < 16; i++) state.red_zone[i] = ~((uint64_t)seed << 32 | i);
    state.x87 = 1000000007ull * seed;
    state.mxcsr = 0x1f80 | (seed & 3) << 13;
    state.control = 0x037f | (seed >> 2 & 3) << 10;
    return state;
}

/* Whether a call has kept everything. */
static int keeps(site *call, unsigned seed, long number, int over) {
    struct state in = pattern(seed), out;
    memset(&out, 0, sizeof out);
    call(&in, &out, number);
    int same = 1;
    for (int i = 0; i < 16; i++) same &= memcmp(in.vectors[i], out.vectors[i], has_avx ? 32 : 16) == 0;
    for (int i = 0; i < 12; i++) {
        /* One kind of site needs rbp for the number. */
        uint64_t expected = over && i == 1 ? (uint64_t)number : in.general[i];
        same &= out.general[i] == expected;
    }
    same &= over || (out.general[12] & 0x8d5) == 0x885;
    same &= in.x87 == out.x87 && in.mxcsr == (out.mxcsr & 0xffc0) && in.control == out.control;
    return same && memcmp(in.red_zone, out.red_zone, sizeof in.red_zone) == 0;
}

static void *all_kept(void *seed) {
    long kept = 0;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned number = (unsigned)(long)seed * 1000 + (unsigned)i;
        kept += keeps(has_avx ? before_avx : before_sse, number, SYS_sched_yield, 0);
        kept += keeps(has_avx ? over_avx : over_sse, number, i & 1 ? SYS_sched_yield : SYS_getppid, 1);
    }
    return (void *)kept;
}

/* rcx and r11 hold where the call returns to and the flags, for calls that an engine answers without the kernel, too. */
static long returns(long number, long clock, void *at) {
    long right = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t rcx, r11, here, flags, rax = (uint64_t)number;
        asm volatile("mov %[i], %%r8d\n add $0x7fffffff, %%r8d\n"
                     "syscall\n"
                     "1: mov %%rcx, %[rcx]\n mov %%r11, %[r11]\n pushf\n pop %[flags]\n lea 1b(%%rip), %[here]\n"
                     : "+a"(rax), [rcx] "=&r"(rcx), [r11] "=&r"(r11), [flags] "=&r"(flags), [here] "=&r"(here)
                     : "D"(clock), "S"(at), [i] "r"(i)
                     : "rcx", "r8", "r11", "memory", "cc");
        right += rax == 0 && rcx == here && r11 == flags;
    }
    return right;
}

static int caught;
static void count(int signal) { caught += signal != 0; }

static sigjmp_buf back;
static void jump_back(int signal) { siglongjmp(back, signal); }

static void restarts(int flags) {
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
    int ends[2], interrupted = 0, read_all = 0;
    if (pipe(ends)) abort();
    caught = 0;
    for (int i = 0; i < 30; i++) {
        pid_t parent = getpid(), child = fork();
        if (child == 0) {
            sleep_ms(10);
            kill(parent, SIGUSR1);
            sleep_ms(10);
            _exit(write(ends[1], "x", 1) != 1);
        }
        char byte;
        ssize_t got;
        while ((got = read(ends[0], &byte, 1)) < 0) interrupted += errno == EINTR;
        read_all += got == 1;
        reap(child);
    }
    CHECK(caught == 30 && read_all == 30);
    CHECK((interrupted > 0) == (flags == 0));
}

int main(void) {
    has_avx = __builtin_cpu_supports("avx");
    CHECK((long)all_kept((void *)1) == 2 * ROUNDS);

    /* Each turn goes to another thread, or to another process, which has other things in its registers. */
    pthread_t threads[3];
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0) _exit(all_kept((void *)(long)(20 + i)) != (void *)(2L * ROUNDS));
    }
    for (long i = 0; i < 3; i++) pthread_create(&threads[i], NULL, all_kept, (void *)(10 + i));
    for (int i = 0; i < 3; i++) {
        void *kept;
        pthread_join(threads[i], &kept);
        CHECK((long)kept == 2 * ROUNDS);
    }
    for (int i = 0; i < 2; i++) reap(children[i]);

    long right = 0;
    for (int i = 0; i < ROUNDS; i++) right += into_syscall(-1) == getpid() && into_syscall(SYS_getppid) == getppid();
    CHECK(right == ROUNDS);
    right = 0;
    for (int i = 0; i < ROUNDS; i++) right += into_displaced(SYS_getpid) == getpid() && into_displaced(-EIO) == EIO;
    CHECK(right == ROUNDS);

    struct timespec now;
    GIVES(ROUNDS, returns(SYS_clock_gettime, CLOCK_MONOTONIC, &now));
    GIVES(ROUNDS, returns(SYS_clock_gettime, CLOCK_REALTIME, &now));
    GIVES(ROUNDS, returns(SYS_clock_getres, CLOCK_REALTIME, &now));

    restarts(SA_RESTART);
    restarts(0);

    struct sigaction action = {.sa_handler = jump_back, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    volatile int jumps = 0;
    while (jumps < 50) {
        if (sigsetjmp(back, 1) == 0) *(volatile int *)8 = 0;
        jumps++;
    }
    CHECK(jumps == 50);
    return done();
}
