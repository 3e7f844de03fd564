/* Damaged programs, segment registers, credentials. */
#include "story.h"
#include <asm/prctl.h>
#include <elf.h>
#include <grp.h>
#include <sys/fsuid.h>

/* Headers are damaged, nothing else: what executes afterwards is the small program's code, which only writes and exits. */
static void damaged(void) {
    static unsigned char image[1 << 16];
    static const uint64_t odd[] = {0, 1, 7, 4095, 4096, 65536, 0x400000, 0x401000, 0x500000, 1UL << 31, 1UL << 40, 0x7ffffffff000, 0x7fffffffe000, 1UL << 47, -4096UL, -1UL};
    int pie = below(3) == 0, fd = open(beside(pie ? "victim-pie" : "victim"), O_RDONLY);
    long size = read(fd, image, sizeof image);
    close(fd);
    if (size < (long)sizeof(Elf64_Ehdr)) return say("no victim", 0, 0);
    Elf64_Ehdr *header = (Elf64_Ehdr *)image;
    for (int i = 1 + below(2); i; i--) {
        Elf64_Phdr *table = (Elf64_Phdr *)(image + sizeof *header), *one = table + below(header->e_phnum ? header->e_phnum % 16 : 1);
        uint64_t value = PICK(odd);
        switch (1 + below(11)) {
        case 1: image[below(64)] = (unsigned char)below(256); break;
        case 2: size = below((int)size); break;
        case 3: one->p_type = below(8); break;
        case 4: one->p_flags = below(8); break;
        case 5: one->p_offset = value; break;
        /* Addresses below the lowest that prctl(PR_SET_MM_MAP) takes: the engine inside can't start a program there, which root can. */
        case 6: one->p_vaddr = value < 65536 ? 1UL << 31 : value; break;
        case 7: one->p_filesz = value; break;
        case 8: one->p_memsz = value; break;
        /* This one moves a program there, too. */
        case 9: one->p_align = value == 1UL << 47 ? 1UL << 31 : value; break;
        case 10: header->e_entry = value; break;
        default: header->e_type = below(5);
        }
    }
    /* A program with page 0 can be started by root, but not by the engine inside. */
    if (image[EI_NIDENT] == ET_EXEC && pie) image[EI_NIDENT] = ET_DYN;
    unlink("damaged");
    fd = open("damaged", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    if (write(fd, image, size) != size) say("short", 0, 0);
    close(fd);
    told("execl", execl("./damaged", "damaged", (char *)0));
}

static long raw(long number, long a, long b) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(0) : "rcx", "r11", "memory");
    return result;
}
static int selector;
static void load_gs(void) { __asm__ volatile("mov %0, %%gs" ::"r"(selector)); }
static void load_ds(void) { __asm__ volatile("mov %0, %%ds" ::"r"(selector)); }
static void load_es(void) { __asm__ volatile("mov %0, %%es" ::"r"(selector)); }
/* Between the two nothing may use thread-local memory. */
static __attribute__((noinline, optimize("no-stack-protector"))) long with_fs(unsigned long base, int which) {
    unsigned long before = 0, there = 1;
    raw(SYS_arch_prctl, ARCH_GET_FS, (long)&before);
    long result = 0;
    if (which) __asm__ volatile("mov %0, %%fs" ::"r"(selector & 3));
    else result = raw(SYS_arch_prctl, ARCH_SET_FS, (long)base);
    raw(SYS_getppid, 0, 0);
    raw(SYS_sched_yield, 0, 0);
    raw(SYS_arch_prctl, ARCH_GET_FS, (long)&there);
    raw(SYS_arch_prctl, ARCH_SET_FS, (long)before);
    /* Whether a null selector clears the base is the processor's maker's. */
    return result ? result : which ? 0 : there == base;
}
static void segments(void) {
    static const unsigned long bases[] = {0, 1, 0x1000, 0x123456789000, 0x7fffffffe000, 0x7ffffffff000, 0x800000000000, 0xffff800000000000, -1UL};
    /* 0x63, 0x6b, 0x73: the task's own segments, empty; 0x7b: the processor's number. */
    static const int selectors[] = {0, 1, 2, 3, 0x23, 0x2b, 0x33, 0x10, 0x18, 0x63, 0x6b, 0x7b, 0x7f, 0xffff};
    unsigned long there = 0;
    selector = PICK(selectors);
    for (int i = 1 + below(6); i; i--)
        switch (below(7)) {
        case 0: told("ARCH_SET_GS", syscall(SYS_arch_prctl, ARCH_SET_GS, PICK(bases))); break;
        case 1: told("ARCH_GET_GS", syscall(SYS_arch_prctl, ARCH_GET_GS, below(8) ? &there : (void *)8)), say("gs", (long)there, 0); break;
        case 2: told("load gs", fault_of(load_gs)), told("raise", raise(SIGURG)); break;
        case 3: told("load ds", fault_of(load_ds)); break;
        case 4: told("load es", fault_of(load_es)); break;
        case 5: say("fs", with_fs(PICK(bases), below(2)), 0); break;
        default: told("arch_prctl", syscall(SYS_arch_prctl, 0x1005 + below(4), 0)); break;
        }
}

static void users(void) {
    static const int ids[] = {0, 1, 1234, 1235, 65534, -1, -2};
    gid_t groups[3] = {0, 1234, 77};
    for (int i = 2 + below(8); i; i--) {
        int a = PICK(ids), b = PICK(ids), c = PICK(ids), had[3];
        switch (below(14)) {
        case 0: told("setuid", syscall(SYS_setuid, a)); break;
        case 1: told("setgid", syscall(SYS_setgid, a)); break;
        case 2: told("setreuid", syscall(SYS_setreuid, a, b)); break;
        case 3: told("setregid", syscall(SYS_setregid, a, b)); break;
        case 4: told("setresuid", syscall(SYS_setresuid, a, b, c)); break;
        case 5: told("setresgid", syscall(SYS_setresgid, a, b, c)); break;
        case 6: told("setgroups", syscall(SYS_setgroups, below(5) - 1, groups)); break;
        case 7: told("setfsuid", setfsuid(a)); break;
        case 8: told("setfsgid", setfsgid(a)); break;
        case 9: getresuid((uid_t *)had, (uid_t *)had + 1, (uid_t *)had + 2), say("uids", had[0], (long)had[1] << 32 ^ had[2]); break;
        case 10: getresgid((gid_t *)had, (gid_t *)had + 1, (gid_t *)had + 2), say("gids", had[0], (long)had[1] << 32 ^ had[2]); break;
        case 11: told("kill", kill(below(2) ? getppid() : 1, 0)); break;
        case 12: {
            int fd = open(below(2) ? "f0" : "f7", O_RDWR | (below(2) ? O_CREAT : 0), 0600);
            told("open", fd);
            close(fd);
            told("chown", chown("f0", a, b));
            break;
        }
        default: told("access", access("f0", R_OK)), told("chmod", chmod("f0", 0400 | below(0400)));
        }
    }
}

void odd_programs(void) {
    if (below(3)) return in_child("damaged", damaged);
    in_child("segments", segments);
}
void odd_users(void) { in_child("users", users); }
