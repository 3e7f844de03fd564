/* Odd mappings and protections. */
#include "story.h"
#include <sys/mman.h>

enum { ROOM = 16 };
static char *room;
static int place;

/* Not in the list: MADV_HWPOISON and MADV_SOFT_OFFLINE, which take real memory out of use; MADV_COLLAPSE, which depends on the
   host's huge pages. */
static const int advices[] = {0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 77, -1};
static const int protections[] = {PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
    PROT_READ | PROT_WRITE | PROT_EXEC, PROT_GROWSDOWN | PROT_READ, 0x40, -1};
/* Not in the list: sizes for which the address space has room, but the engine inside less of it, such as 1 << 46. */
static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 3 * 4096, 1 << 20, 1UL << 40, 0x7fffffffe000, 0x7ffffffff000,
    0x800000000000, -4096UL, -1UL};

static size_t few(void) { return (size_t)(1 + below(4)) * PAGE; }
static char *some_place(void) {
    switch (below(8)) {
    case 0: return 0;
    case 1: return room + below(ROOM * PAGE);
    case 2: return (char *)0x7ffffffff000;
    case 3: return (char *)0xffff800000000000;
    case 4: return (char *)(16UL * PAGE);
    default: return room + (long)below(ROOM) * PAGE;
    }
}
static void touch(void) { ((volatile char *)room)[place] = 1; }
static void look(void) { (void)((volatile char *)room)[place]; }
static void go(void) { ((void (*)(void))(room + place))(); }

static void one_act(void) {
    long at = (long)below(ROOM) * PAGE;
    place = (int)at + below(PAGE);
    switch (below(14)) {
    case 0: return told("map", syscall(SYS_mmap, some_place(), PICK(sizes), PICK(protections),
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L) < 0 ? -1 : 0);
    case 1: return told("map here", (long)mmap(room + at, few(), PICK(protections), MAP_FIXED | MAP_ANONYMOUS |
        (below(2) ? MAP_PRIVATE : MAP_SHARED), -1, 0) - (long)room);
    case 2: return told("map where nothing is", syscall(SYS_mmap, room + at, few(), PICK(protections),
        MAP_FIXED_NOREPLACE | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0L));
    case 3: return told("protect", mprotect(room + at, few(), PICK(protections)));
    case 4: return told("protect odd", syscall(SYS_mprotect, some_place() , below(2) ? few() : 0, PICK(protections)));
    case 5: return told("unmap", munmap(room + at, few()));
    case 6: return told("unmap odd", syscall(SYS_munmap, room + below(ROOM * PAGE), below(2) ? 0 : few()));
    case 7: {
        static const int flags[] = {0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 8};
        return told("remap", syscall(SYS_mremap, room + at, below(8) ? few() : 0UL, below(8) ? few() : PICK(sizes), PICK(flags),
            room + (long)below(ROOM) * PAGE));
    }
    case 8: return told("advise", madvise(room + at, few(), PICK(advices)));
    case 9: return told("advise odd", madvise(room + below(ROOM * PAGE), below(2) ? few() : 0, PICK(advices)));
    case 10: return told("sync", syscall(SYS_msync, room + at, few(), below(8)));
    case 11: return told("store", fault_of(touch));
    case 12: return told("load", fault_of(look));
    default: {
        /* Only what can do nothing but return or fault is executed. */
        int fd = open("f0", O_RDWR | O_CREAT, 0644);
        static const char ret[8] = "\xc3\xc3\xc3\xc3\xc3\xc3\xc3";
        long got = read(fd, room + at, 4), sent = write(fd, room + at, 4);
        close(fd);
        place = (int)at;
        int before = mprotect(room + at, PAGE, PROT_READ | PROT_WRITE);
        if (before == 0) memcpy(room + at, ret, sizeof ret), mprotect(room + at, PAGE, PICK(protections));
        say("through memory", got, sent);
        return told("execute", before == 0 ? fault_of(go) : 0);
    }
    }
}
static void many_acts(void) {
    for (int i = 2 + below(12); i; i--) one_act();
}

void odd_memory(void) {
    room = mmap(0, ROOM * PAGE, PICK(protections) & 7, (below(2) ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return told("room", -1);
    in_child("memory", many_acts);
    munmap(room, ROOM * PAGE);
}
