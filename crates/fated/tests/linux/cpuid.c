/* cpuid answers alike whatever follows it, changes four registers and no flag, and what follows can be jumped to. */
#include "check.h"
#include <sched.h>
#include <ucontext.h>

struct answer {
    uint64_t a, b, c, d;
};

int stored;

/* No engine can put a jump in the place of the first; the others are followed by an instruction that can be displaced. */
#define SITE(name, behind)                                                                                                 \
    __attribute__((noinline)) static struct answer name(uint64_t leaf, uint64_t sub) {                                     \
        struct answer it = {leaf, ~0ull, sub, ~0ull};                                                                      \
        asm volatile("cpuid\n" behind : "+a"(it.a), "+b"(it.b), "+c"(it.c), "+d"(it.d) : : "r8", "r9", "cc", "memory");    \
        return it;                                                                                                         \
    }
SITE(before_little, "nop\n nop\n nop\n")
SITE(before_much, "mov $0x12345678, %%r8d\n")
SITE(before_move, "mov %%edx, %%r9d\n")
SITE(before_data, "movl $7, stored(%%rip)\n")

static const uint32_t leaves[] = {0, 1, 2, 3, 4, 6, 7, 0xb, 0xd, 0x40000000, 0x80000000, 0x80000001, 0x80000002, 0x80000003,
                                  0x80000004, 0x80000006, 0x80000007, 0x80000008, 0xc0000000, 0xffffffff};

static int alike(struct answer one, struct answer other) {
    return one.a == other.a && one.b == other.b && one.c == other.c && one.d == other.d;
}

static void answers(void) {
    int differ = 0, wide = 0, asked = 0;
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        for (uint64_t sub = 0; sub < 70; sub++, asked++) {
            uint64_t leaf = leaves[i] | 0xabcdull << 32;
            struct answer it = before_little(leaf, sub | 0x1234ull << 32);
            differ += !alike(it, before_much(leaf, sub)) + !alike(it, before_move(leaf, sub)) + !alike(it, before_data(leaf, sub));
            wide += (it.a | it.b | it.c | it.d) >> 32 != 0;
        }
    }
    GIVES(20 * 70, asked);
    GIVES(0, differ);
    GIVES(0, wide);
    GIVES(7, stored);
    struct answer it = before_much(0xd, 0xffffffff);
    CHECK(alike(it, before_little(0xd, 0xffffffff)));
}

/* Flags and the other registers. */
static void nothing_else_changes(void) {
    static const uint64_t flags[] = {0x202, 0xad7, 0xa02, 0xa57, 0x602};
    int lost = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        uint64_t after, at[2];
        asm volatile("mov %%rsp, %[rsp]\n push %[flags]\n popfq\n"
                     "mov $1, %%eax\n mov $0, %%ecx\n mov $8, %%r8\n mov $15, %%r15\n mov $6, %%rsi\n mov $5, %%rdi\n"
                     "cpuid\n"
                     "mov $77, %%r9d\n"
                     "pushfq\n pop %[after]\n cld\n"
                     "lea (%%r8, %%r15), %%r8\n lea (%%r8, %%rsi), %%r8\n lea (%%r8, %%rdi), %%r8\n mov %%r8, %[sum]\n"
                     : [after] "=m"(after), [rsp] "=m"(at[0]), [sum] "=m"(at[1])
                     : [flags] "r"(flags[i])
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r15", "cc", "memory");
        lost += after != flags[i] || at[1] != 8 + 15 + 6 + 5;
    }
    GIVES(0, lost);
}

/* Also by who skips the instruction. */
static void what_follows(void) {
    uint64_t first, second;
    asm volatile("mov $0, %%eax\n mov $0, %%ecx\n mov $1, %[first]\n"
                 "1: mov $0, %%r8d\n jmp 3f\n"
                 "2: cpuid\n"
                 "3: mov $42, %%r8d\n"
                 "mov %%r8, %[second]\n"
                 "test %[first], %[first]\n mov $0, %[first]\n jnz 2b\n"
                 : [first] "=&r"(first), [second] "=&r"(second)
                 :
                 : "rax", "rbx", "rcx", "rdx", "r8", "cc");
    GIVES(42, second);
    GIVES(0, first);
}

static volatile int steps;
static void on_step(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    steps = 1;
}

/* By a program that single-steps itself. */
static void stepped(void) {
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    struct answer it = {0x80000002, 0, 0, 0};
    asm volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n"
                 "cpuid\n"
                 "mov $1, %%r8d\n"
                 "pushfq\n andq $~0x100, (%%rsp)\n popfq\n"
                 : "+a"(it.a), "+b"(it.b), "+c"(it.c), "+d"(it.d)
                 :
                 : "r8", "cc", "memory");
    GIVES(1, steps);
    CHECK(alike(it, before_little(0x80000002, 0)));
}

int main(void) {
    /* The number of the processor is an answer, too. */
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    answers();
    nothing_else_changes();
    what_follows();
    stepped();
    return done();
}
