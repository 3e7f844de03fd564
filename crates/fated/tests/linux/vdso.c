/* The vDSO as programs find it: by the auxiliary vector, in maps, by symbol and version; its functions say what calls say. */
#include "check.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

static const char *base;
static const Elf64_Dyn *dynamic;
static const Elf64_Phdr *load;

static const void *entry(Elf64_Sxword tag) {
    for (const Elf64_Dyn *it = dynamic; it->d_tag != DT_NULL; it++)
        if (it->d_tag == tag) return base + it->d_un.d_ptr;
    return NULL;
}

/* Whether a symbol has this version, by the name of its definition. */
static int has_version(unsigned number, const char *version) {
    const char *strings = entry(DT_STRTAB);
    const Elf64_Half *versions = entry(DT_VERSYM);
    const Elf64_Verdef *def = entry(DT_VERDEF);
    for (;; def = (const void *)((const char *)def + def->vd_next)) {
        const Elf64_Verdaux *name = (const void *)((const char *)def + def->vd_aux);
        if (!(def->vd_flags & VER_FLG_BASE) && def->vd_ndx == (versions[number] & 0x7fff))
            return !strcmp(strings + name->vda_name, version);
        if (!def->vd_next) return 0;
    }
}

static unsigned sysv_hash(const char *name) {
    unsigned hash = 0;
    for (; *name; name++) {
        hash = (hash << 4) + *name;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0xfffffff;
    }
    return hash;
}

/* Along the chain of the table that older linkers use, or, where there is none, through all symbols. */
static void *find(const char *name) {
    const char *strings = entry(DT_STRTAB);
    const Elf64_Sym *symbols = entry(DT_SYMTAB);
    const unsigned *hash = entry(DT_HASH);
    unsigned at = hash ? hash[2 + sysv_hash(name) % hash[0]] : 1;
    for (; at && at < 64; at = hash ? hash[2 + hash[0] + at] : at + 1) {
        const Elf64_Sym *it = &symbols[at];
        int function = ELF64_ST_TYPE(it->st_info) == STT_FUNC && it->st_shndx != SHN_UNDEF;
        if (function && !strcmp(strings + it->st_name, name) && has_version(at, "LINUX_2.6"))
            return (void *)(base + it->st_value - load->p_vaddr);
    }
    return NULL;
}

/* The same through the table that newer linkers use. */
static void *find_gnu(const char *name) {
    const char *strings = entry(DT_STRTAB);
    const Elf64_Sym *symbols = entry(DT_SYMTAB);
    const unsigned *table = entry(DT_GNU_HASH);
    unsigned hash = 5381;
    for (const char *it = name; *it; it++) hash = hash * 33 + *it;
    const uint64_t *bloom = (const void *)(table + 4);
    uint64_t word = bloom[hash / 64 % table[2]];
    if (!(word >> hash % 64 & 1) || !(word >> (hash >> table[3]) % 64 & 1)) return NULL;
    const unsigned *buckets = (const void *)(bloom + table[2]), *chains = buckets + table[0];
    unsigned at = buckets[hash % table[0]];
    if (!at) return NULL;
    for (;; at++) {
        unsigned chain = chains[at - table[1]];
        if ((chain ^ hash) < 2 && !strcmp(strings + symbols[at].st_name, name) && has_version(at, "LINUX_2.6"))
            return (void *)(base + symbols[at].st_value - load->p_vaddr);
        if (chain & 1) return NULL;
    }
}

static int64_t ns(struct timespec time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

static void functions(void) {
    int (*gettime)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    int (*getres)(clockid_t, struct timespec *) = find("__vdso_clock_getres");
    int (*timeofday)(struct timeval *, void *) = find("__vdso_gettimeofday");
    time_t (*seconds)(time_t *) = find("__vdso_time");
    long (*getcpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    CHECK(gettime && getres && timeofday && seconds && getcpu);
    int ordered = 1;
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_MONOTONIC_RAW};
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 5; i++) {
            struct timespec before, between, after;
            ordered &= !syscall(SYS_clock_gettime, clocks[i], &before) && !gettime(clocks[i], &between)
                && !syscall(SYS_clock_gettime, clocks[i], &after);
            ordered &= ns(before) <= ns(between) && ns(between) <= ns(after);
        }
    }
    CHECK(ordered);
    GIVES(-EINVAL, gettime(1000, &(struct timespec){0, 0}));
    struct timespec one = {7, 7}, other = {8, 8};
    GIVES(0, getres(CLOCK_MONOTONIC, &one));
    GIVES(0, syscall(SYS_clock_getres, CLOCK_MONOTONIC, &other));
    CHECK(ns(one) == ns(other));
    GIVES(0, getres(CLOCK_REALTIME_COARSE, &one));
    GIVES(0, syscall(SYS_clock_getres, CLOCK_REALTIME_COARSE, &other));
    CHECK(ns(one) == ns(other));
    struct timeval before, between, after;
    CHECK(!syscall(SYS_gettimeofday, &before, NULL) && !timeofday(&between, NULL));
    CHECK(!syscall(SYS_gettimeofday, &after, NULL));
    CHECK(!timercmp(&before, &between, >) && !timercmp(&between, &after, >));
    struct timezone zone = {1, 1}, other_zone = {2, 2};
    CHECK(!timeofday(NULL, &zone) && !syscall(SYS_gettimeofday, NULL, &other_zone));
    CHECK(zone.tz_minuteswest == other_zone.tz_minuteswest && zone.tz_dsttime == other_zone.tz_dsttime);
    time_t stored, first = syscall(SYS_time, NULL), second = seconds(&stored), third = syscall(SYS_time, NULL);
    CHECK(stored == second && first <= second && second <= third);
    unsigned cpu = 7777, node = 7777;
    GIVES(0, getcpu(&cpu, &node, NULL));
    CHECK(cpu < 4096 && node < 1024);
    GIVES(0, getcpu(NULL, NULL, NULL));
    /* A clock that every second reading is a call of must go on as steadily. */
    int64_t steps = 0, last = 0;
    for (int i = 0; i < 1000; i++) {
        struct timespec now;
        steps += i % 2 ? gettime(CLOCK_MONOTONIC, &now) : syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
        steps += ns(now) < last;
        last = ns(now);
    }
    GIVES(0, steps);
}

struct mapping {
    unsigned long from, to;
    char perms[5], name[32];
};

static int read_maps(struct mapping *maps, int most) {
    static char text[1 << 16];
    size_t len = 0;
    ssize_t got;
    int count = 0, fd = open("/proc/self/maps", O_RDONLY);
    while ((got = read(fd, text + len, sizeof text - 1 - len)) > 0) len += got;
    close(fd);
    text[len] = 0;
    for (char *line = text; *line && count < most; line = strchr(line, '\n') + 1) {
        struct mapping *it = &maps[count++];
        it->name[0] = 0;
        sscanf(line, "%lx-%lx %4s %*s %*s %*s%*[ ]%31[^\n]", &it->from, &it->to, it->perms, it->name);
    }
    return count;
}

static struct mapping maps[500];

static int count_in_maps(void) {
    int count = 0, right = 0;
    for (int i = read_maps(maps, 500) - 1; i >= 0; i--) {
        if (strcmp(maps[i].name, "[vdso]")) continue;
        count++;
        right += maps[i].from == (unsigned long)base && maps[i].to > maps[i].from && !strcmp(maps[i].perms, "r-xp");
    }
    return count == 1 ? right : -count;
}

/* How many pages before the vDSO can be read though maps does not show them, or can't though it does. Linux's own clocks, which
   it shows, are not counted. */
static int hidden_pages(void) {
    int fds[2], hidden = 0, count = read_maps(maps, 500);
    if (pipe(fds)) return -1;
    for (unsigned long at = (unsigned long)base - (16 << 12); at < (unsigned long)base; at += 4096) {
        int shown = 0, clocks = 0;
        for (int i = 0; i < count; i++) {
            if (at < maps[i].from || at >= maps[i].to) continue;
            shown = maps[i].perms[0] == 'r';
            clocks = !strncmp(maps[i].name, "[vvar", 5);
        }
        hidden += !clocks && shown != (write(fds[1], (void *)at, 1) == 1);
    }
    close(fds[0]);
    close(fds[1]);
    return hidden;
}

/* Moves it, with the pages that it reads, as programs do that put a process back to where it was. */
static void move_away(void) {
    unsigned long begin = (unsigned long)base, end = 0;
    int count = read_maps(maps, 500);
    for (int i = 0; i < count; i++) {
        if (strncmp(maps[i].name, "[v", 2) || maps[i].to > 1UL << 47) continue;
        if (maps[i].from < begin) begin = maps[i].from;
        if (maps[i].to > end) end = maps[i].to;
    }
    char *to = mmap(NULL, end - begin, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int moved = 1;
    for (int i = 0; i < count; i++) {
        if (maps[i].from < begin || maps[i].to > end || strncmp(maps[i].name, "[v", 2)) continue;
        size_t size = maps[i].to - maps[i].from;
        char *at = to + (maps[i].from - begin);
        moved &= mremap((void *)maps[i].from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at;
        if (!strcmp(maps[i].name, "[vdso]")) base = at;
    }
    CHECK(moved);
    load = (const void *)(base + ((const Elf64_Ehdr *)base)->e_phoff);
    for (const Elf64_Phdr *it = load; dynamic && it < load + ((const Elf64_Ehdr *)base)->e_phnum; it++)
        if (it->p_type == PT_DYNAMIC) dynamic = (const void *)(base + it->p_offset);
    GIVES(1, count_in_maps());
}

static int listed(struct dl_phdr_info *info, size_t size, void *count) {
    (void)size;
    if (info->dlpi_addr == (unsigned long)base) *(int *)count += info->dlpi_phnum;
    return 0;
}

static void interrupt(int signal) { (void)signal; }

static volatile sig_atomic_t steps;

static void step(int signal) { steps += signal == SIGTRAP; }

/* Calls that trap behind each of their instructions, when they are made for the first time and when they have been made often. */
static void single_step(void) {
    long (*getcpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    int (*gettime)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    sigaction(SIGTRAP, &(struct sigaction){.sa_handler = step}, NULL);
    for (int i = 0; i < 20; i++) getppid();
    unsigned cpu = 7777;
    struct timespec before, now = {0, 0};
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before);
    asm volatile("sub $128, %%rsp; pushfq; orl $0x100, (%%rsp); popfq; add $128, %%rsp" ::: "memory", "cc");
    long got = getcpu(&cpu, NULL, NULL);
    int failed = gettime(CLOCK_MONOTONIC, &now);
    pid_t parent = getppid();
    asm volatile("sub $128, %%rsp; pushfq; andl $~0x100, (%%rsp); popfq; add $128, %%rsp" ::: "memory", "cc");
    GIVES(0, got);
    GIVES(0, failed);
    CHECK(cpu < 4096 && ns(now) >= ns(before) && parent == getppid());
    CHECK(steps > 12);
}

int main(int argc, char **argv) {
    base = (const char *)getauxval(AT_SYSINFO_EHDR);
    CHECK(base != NULL && (unsigned long)base % 4096 == 0);
    if (!base) return done();
    const Elf64_Ehdr *header = (const void *)base;
    CHECK(!memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == ELFCLASS64);
    CHECK(header->e_type == ET_DYN && header->e_machine == EM_X86_64 && header->e_version == EV_CURRENT);
    const Elf64_Phdr *headers = (const void *)(base + header->e_phoff), *frames = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (headers[i].p_type == PT_LOAD && !load) load = &headers[i];
        if (headers[i].p_type == PT_DYNAMIC) dynamic = (const void *)(base + headers[i].p_offset);
        if (headers[i].p_type == PT_GNU_EH_FRAME) frames = &headers[i];
    }
    CHECK(load && load->p_vaddr == 0 && load->p_flags == (PF_R | PF_X));
    CHECK(dynamic != NULL && frames != NULL && base[frames->p_offset] == 1);
    const char *strings = entry(DT_STRTAB);
    int soname = 0;
    for (const Elf64_Dyn *it = dynamic; it->d_tag != DT_NULL; it++)
        if (it->d_tag == DT_SONAME) soname = !strcmp(strings + it->d_un.d_val, "linux-vdso.so.1");
    CHECK(soname);
    static const char *const names[] = {"clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"};
    for (int i = 0; i < 5; i++) {
        char name[32] = "__vdso_";
        strcat(name, names[i]);
        printf("%s\n", name);
        CHECK(find(name) != NULL && find(name) == find(names[i]));
        CHECK(!entry(DT_GNU_HASH) || (find_gnu(name) == find(name) && find_gnu(names[i]) == find(name)));
    }
    CHECK(!find("__vdso_nothing") && !find("ime"));

    GIVES(1, count_in_maps());
    int segments = 0;
    dl_iterate_phdr(listed, &segments);
    CHECK(segments == header->e_phnum);
    Dl_info info;
    CHECK(dladdr(find("__vdso_time"), &info) && info.dli_fbase == base && strstr(info.dli_sname, "time"));
    functions();
    if (argc > 1) return done();

    /* It is there for children, and for programs that they start. */
    pid_t child = fork();
    if (child == 0) {
        functions();
        GIVES(1, count_in_maps());
        execl("/proc/self/exe", argv[0], "again", NULL);
    }
    reap(child);
    child = vfork();
    if (child == 0) {
        execl("/proc/self/exe", argv[0], "again", NULL);
        _exit(1);
    }
    reap(child);

    /* A signal that comes meanwhile is handled. */
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &soon, NULL);
    functions();
    setitimer(ITIMER_REAL, &never, NULL);

    single_step();

    /* It is only to be read. */
    int fds[2];
    CHECK(pipe(fds) == 0);
    CHECK(write(fds[1], base, 64) == 64);
    FAILS(EFAULT, read(fds[0], (void *)base, 64));
    GIVES(0, hidden_pages());

    /* Whoever moves it can use it where it is then, and whoever takes it away can do without. */
    child = fork();
    if (child == 0) {
        move_away();
        functions();
        move_away();
        functions();
        CHECK(munmap((void *)base, 4096) == 0 || errno == EINVAL);
        exit(done());
    }
    reap(child);
    child = fork();
    if (child == 0) {
        for (int i = read_maps(maps, 500) - 1; i >= 0; i--)
            if (!strcmp(maps[i].name, "[vdso]")) GIVES(0, munmap((void *)base, maps[i].to - maps[i].from));
        GIVES(0, count_in_maps());
        struct timespec now;
        GIVES(0, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now));
        exit(done());
    }
    reap(child);
    return done();
}
