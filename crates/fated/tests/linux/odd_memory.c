/* Memory that may only be written, only be executed or not be touched, and calls on ranges that no program has. */
#include "check.h"
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { PAGE = 4096 };
static sigjmp_buf out;
static volatile long trapno, error_code, cr2, code, fault_address;
static volatile int fault_signal;

static void on_fault(int signal, siginfo_t *info, void *context) {
    ucontext_t *at = context;
    trapno = at->uc_mcontext.gregs[REG_TRAPNO];
    error_code = at->uc_mcontext.gregs[REG_ERR];
    cr2 = at->uc_mcontext.gregs[REG_CR2];
    code = info->si_code;
    fault_address = (long)info->si_addr;
    fault_signal = signal;
    siglongjmp(out, 1);
}

static char *page;
static void show(const char *what) {
    long at = fault_address - (long)page, second = cr2 - (long)page;
    /* ptrace doesn't report whether a page was there and whether it was to be written. */
    printf("%s: signal %d code %ld trap %ld error %#lx address %s cr2 %s\n", what, fault_signal, code, trapno, trapno == 14 ? error_code & ~3L & ~0x10L : error_code,
           at >= 0 && at < 65536 ? "there" : "elsewhere", second >= 0 && second < 65536 ? "there" : "elsewhere");
    fflush(stdout);
}
#define FAULTS(act) \
    if (!sigsetjmp(out, 1)) { act; printf("no fault: %s\n", #act); fflush(stdout); } else show(#act)

static void protections(void) {
    puts("-- protections");
    volatile char *p = page = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char here[16] = "";
    int ends[2];
    if (pipe(ends)) abort();
    p[0] = 'a';
    mprotect(page, PAGE, PROT_WRITE);
    GIVES('a', p[0]);
    p[0] = 'b';
    GIVES(1, write(ends[1], page, 1));
    GIVES(1, read(ends[0], here, 1));
    GIVES('b', here[0]);
    GIVES(1, write(ends[1], "c", 1));
    GIVES(1, read(ends[0], page, 1));
    GIVES('c', p[0]);
    struct timespec *time = (struct timespec *)page;
    GIVES(0, clock_gettime(CLOCK_MONOTONIC, time));
    GIVES(0, syscall(SYS_uname, page));
    mprotect(page, PAGE, PROT_NONE);
    FAILS(EFAULT, write(ends[1], page, 1));
    GIVES(1, write(ends[1], "d", 1));
    FAILS(EFAULT, read(ends[0], page, 1));
    FAILS(EFAULT, syscall(SYS_uname, page));
    FAILS(EFAULT, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, page));
    FAULTS(p[0]);
    FAULTS(p[0] = 1);
    mprotect(page, PAGE, PROT_READ);
    FAILS(EFAULT, read(ends[0], page, 1));
    FAILS(EFAULT, syscall(SYS_uname, page));
    FAULTS(p[0] = 1);
    FAULTS(((void (*)(void))page)());
    mprotect(page, PAGE, PROT_READ | PROT_WRITE);
    p[0] = (char)0xc3;
    mprotect(page, PAGE, PROT_EXEC);
    ((void (*)(void))page)();
    FAULTS(p[0] = 1);
    FAILS(EFAULT, syscall(SYS_uname, page));
    munmap(page, PAGE);
    FAULTS(p[0]);
    FAULTS(p[0] = 1);
    FAULTS(((void (*)(void))page)());
    FAILS(EFAULT, write(ends[1], page, 1));
    page = 0;
    FAULTS(*(volatile char *)0x8000000000001000);
    FAULTS(asm volatile("ud2"));
    FAULTS(asm volatile("int3"));
    FAULTS(asm volatile("hlt"));
    FAULTS(asm volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idiv %%ecx" ::: "eax", "ecx", "edx"));
    /* A signal that nothing of the processor's has raised shows the last fault. */
    if (!sigsetjmp(out, 1)) raise(SIGSEGV);
    printf("raised: trap %ld error %ld\n", trapno, error_code);
}

static void ranges(void) {
    puts("-- ranges");
    const size_t huge[] = {0x7fffffffe000, 0x7ffffffff000, 0x800000000000, (size_t)-PAGE, (size_t)-1, (size_t)1 << 46};
    for (unsigned i = 0; i < sizeof huge / sizeof *huge; i++) {
        errno = 0;
        long value = mlock(0, huge[i]);
        printf("mlock %#zx: %ld (%d)\n", huge[i], value, errno);
        errno = 0;
        value = munlock((void *)0, huge[i]);
        printf("munlock %#zx: %ld (%d)\n", huge[i], value, errno);
        errno = 0;
        value = msync(0, huge[i], MS_ASYNC);
        printf("msync %#zx: %ld (%d)\n", huge[i], value, errno);
        errno = 0;
        value = madvise(0, huge[i], MADV_NORMAL);
        printf("madvise %#zx: %ld (%d)\n", huge[i], value, errno);
        errno = 0;
        value = mprotect(0, huge[i], PROT_READ);
        printf("mprotect %#zx: %ld (%d)\n", huge[i], value, errno);
    }
    FAILS(EINVAL, (long)mremap(page, PAGE, 0x800000000000, MREMAP_FIXED, page));
    FAILS(EINVAL, (long)mremap(page, PAGE, 0x7fffffffe000, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x10000));
    FAILS(EINVAL, (long)mremap(page, PAGE, (size_t)-PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x10000));
    FAILS(EINVAL, (long)mmap((void *)0x10000000, -100l, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0x3e8));
    FAILS(ENOMEM, (long)mmap((void *)0x10000000, -PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    FAILS(EINVAL, (long)mmap((void *)0x10000001, -PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 1));
    FAILS(EINVAL, (long)mremap((void *)0x1001, -1, PAGE, 0));
    FAILS(EINVAL, (long)mremap((void *)0x10000000, -100l, 1ul << 63, 0));
    FAILS(EINVAL, munmap(0, (size_t)-PAGE));
    FAILS(EINVAL, munmap(0, 0x800000000000));
    FAILS(EINVAL, munmap(0, 0));
    FAILS(EINVAL, munmap((void *)1, PAGE));
    GIVES(0, munmap(0, PAGE));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        munmap(0, 0x7fffffffe000);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    GIVES(SIGSEGV, status & 0x7f);
}

static void on_usr(int signal) { (void)signal; }
static int down(int n) {
    volatile char room[1000];
    room[0] = n;
    raise(SIGUSR1);
    return n ? down(n - 1) + room[0] - room[0] + 1 : 1;
}
static void growing(void) {
    puts("-- a stack that grows");
    signal(SIGUSR1, on_usr);
    GIVES(1001, down(1000));
}

static void moved_vdso(void) {
    puts("-- a part of the vDSO, moved");
    char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
    char *place = mmap(0, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(!memcmp(vdso, "\177ELF", 4));
    FAILS(EINVAL, (long)mremap(vdso, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
    CHECK(!memcmp(vdso, "\177ELF", 4));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
    protections();
    ranges();
    growing();
    moved_vdso();
    return done();
}
