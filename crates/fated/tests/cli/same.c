/* What a program sees of the sources of chance, one kind at a time, for same.rs to compare. Whatever is printed here differs
   natively from run to run, from shell to shell or from machine to machine. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void show_bytes(const char *what, const void *bytes, size_t count) {
    printf("%s", what);
    for (size_t i = 0; i < count; i++) printf(" %02x", ((const unsigned char *)bytes)[i]);
    printf("\n");
}

static void show_file(const char *path) {
    static char text[1 << 16];
    int fd = open(path, O_RDONLY);
    printf("-- %s%s\n", path, fd < 0 ? " is missing" : "");
    for (ssize_t got; fd >= 0 && (got = read(fd, text, sizeof text)) > 0;) fwrite(text, 1, got, stdout);
    close(fd);
}

static void show_files(const char *const *paths) {
    for (; *paths; paths++) show_file(*paths);
}

static void show_stat(const char *what, const struct stat *it) {
    printf("%s: %lx:%lu size %ld, %ld blocks of 512, best %ld\n", what, it->st_dev, it->st_ino, it->st_size, it->st_blocks,
           it->st_blksize);
    printf("  %ld.%09ld %ld.%09ld %ld.%09ld\n", it->st_atim.tv_sec, it->st_atim.tv_nsec, it->st_mtim.tv_sec,
           it->st_mtim.tv_nsec, it->st_ctim.tv_sec, it->st_ctim.tv_nsec);
}

static void show_stat_of(const char *path) {
    struct stat it;
    if (stat(path, &it)) abort();
    show_stat(path, &it);
}

/* What exec hands over. */
static void start(void) {
    uint64_t *word = (uint64_t *)environ;
    while (*word++) {}
    for (; *word; word += 2) printf("auxv %lu %lx\n", word[0], word[1]);
    printf("%s %s\n", (char *)getauxval(AT_PLATFORM), (char *)getauxval(AT_EXECFN));
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        getrlimit(i, &limit);
        printf("limit %d: %lx %lx\n", i, limit.rlim_cur, limit.rlim_max);
    }
    sigset_t mask;
    sigprocmask(0, NULL, &mask);
    show_bytes("mask", &mask, 8);
    for (int i = 1; i < NSIG; i++) {
        struct sigaction action;
        if (!sigaction(i, NULL, &action) && action.sa_handler != SIG_DFL) printf("signal %d isn't at its default\n", i);
    }
    for (int i = 0; i < 1024; i++)
        if (fcntl(i, F_GETFD) >= 0) printf("descriptor %d\n", i);
    printf("personality %x, nice %d, policy %d, slack %d, dumpable %d\n", personality(0xffffffff), getpriority(PRIO_PROCESS, 0),
           sched_getscheduler(0), prctl(PR_GET_TIMERSLACK), prctl(PR_GET_DUMPABLE));
}

static void show_clocks(void) {
    for (int i = 0; i < 12; i++) {
        struct timespec now;
        if (!clock_gettime(i, &now)) printf("clock %d: %ld.%09ld\n", i, now.tv_sec, now.tv_nsec);
    }
}

static int alarms;
static void count_alarm(int signal) { alarms += signal != 0; }

/* Clocks, timers, processor time, and the times of a new file. */
static void passing(void) {
    show_clocks();
    signal(SIGALRM, count_alarm);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 700}, {0, 700}}, NULL);
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), epoll = epoll_create1(0);
    timerfd_settime(fd, 0, &(struct itimerspec){{0, 300000}, {0, 300000}}, NULL);
    for (int i = 0; i < 5; i++) {
        uint64_t expired = 0;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        ssize_t got = read(fd, &expired, 8);
        struct epoll_event event;
        int ready = epoll_wait(epoll, &event, 1, 3);
        printf("%d alarms, %zd bytes: expired %lu times, %d ready\n", alarms, got, expired, ready);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    for (volatile int i = 0; i < 10000000; i++) {}
    struct rusage usage;
    struct tms times_now;
    getrusage(RUSAGE_SELF, &usage);
    show_bytes("usage", &usage, sizeof usage);
    printf("times %ld", times(&times_now));
    printf(" %ld %ld, clock %ld\n", times_now.tms_utime, times_now.tms_stime, clock());
    close(open("/tmp/new", O_CREAT | O_WRONLY, 0600));
    struct stat it;
    if (stat("/tmp/new", &it)) abort();
    printf("new file: %ld.%09ld\n", it.st_mtim.tv_sec, it.st_mtim.tv_nsec);
    unlink("/tmp/new");
    show_clocks();
    show_files((const char *const[]){"/proc/uptime", "/proc/loadavg", "/proc/stat", "/proc/self/stat", "/proc/self/schedstat", NULL});
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static volatile int x, y, seen_x, seen_y;

static void *contend(void *name) {
    for (int i = 0; i < 30; i++) {
        pthread_mutex_lock(&mutex);
        char line[32];
        int len = sprintf(line, "%s %d\n", (char *)name, i);
        if (write(1, line, len) != len) abort();
        if (i % 3) pthread_cond_signal(&turn);
        if (i % 5 == 4) pthread_cond_timedwait(&turn, &mutex, &(struct timespec){0, 0});
        pthread_mutex_unlock(&mutex);
        if (i % 7 == 0) sched_yield();
    }
    return NULL;
}

/* Each of two threads stores to one place and loads from the other: the order of stores is the processor's. */
static void *store_x(void *none) {
    x = 1;
    seen_y = y;
    return none;
}

static void *store_y(void *none) {
    y = 1;
    seen_x = x;
    return none;
}

/* Threads, processes, and who gets a byte or a lock first. */
static void order(void) {
    int ends[2];
    if (pipe(ends)) abort();
    for (int i = 0; i < 4; i++) {
        if (fork()) continue;
        char line[64];
        for (int j = 0; j < 20; j++) {
            char byte = 'a' + i;
            if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) _exit(1);
            int len = sprintf(line, "child %d got %c\n", i, byte);
            if (write(1, line, len) != len) _exit(1);
        }
        _exit(i);
    }
    pthread_t threads[5];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, contend, (char *[]){"one", "two", "three"}[i]);
    pthread_create(&threads[3], NULL, store_x, NULL);
    pthread_create(&threads[4], NULL, store_y, NULL);
    for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
    printf("stores seen: %d %d\n", seen_x, seen_y);
    for (int status; wait(&status) > 0;) printf("a child ended with %x\n", status);
}

static void *thread_id(void *none) {
    printf("thread %ld\n", syscall(SYS_gettid));
    return none;
}

/* Whatever is numbered. */
static void ids(void) {
    int ends[2];
    struct stat it;
    printf("process %d, parent %d, group %d, session %d\n", getpid(), getppid(), getpgrp(), getsid(0));
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        printf("child %d\n", child);
        waitpid(child, NULL, 0);
        pthread_t thread;
        pthread_create(&thread, NULL, thread_id, NULL);
        pthread_join(thread, NULL);
        timer_t timer;
        timer_create(CLOCK_MONOTONIC, NULL, &timer);
        printf("timer %p\n", timer);
        if (pipe(ends) || fstat(ends[0], &it)) abort();
        printf("pipe %d %d is %lu on %lx\n", ends[0], ends[1], it.st_ino, it.st_dev);
        int fd = open("new", O_CREAT | O_WRONLY, 0600);
        fstat(fd, &it);
        printf("file %d is %lu on %lx\n", fd, it.st_ino, it.st_dev);
        unlink("new");
    }
}

static void randomness(void) {
    unsigned char bytes[16];
    show_bytes("AT_RANDOM", (void *)getauxval(AT_RANDOM), 16);
    if (getrandom(bytes, 16, 0) != 16) abort();
    show_bytes("getrandom", bytes, 16);
    const char *devices[] = {"/dev/urandom", "/dev/random"};
    for (int i = 0; i < 2; i++) {
        int fd = open(devices[i], O_RDONLY);
        if (read(fd, bytes, 16) != 16) abort();
        show_bytes(devices[i], bytes, 16);
    }
    show_files((const char *const[]){"/proc/sys/kernel/random/uuid", "/proc/sys/kernel/random/uuid",
                                     "/proc/sys/kernel/random/boot_id", NULL});
}

/* What lies on the stack below what is in use. */
static __attribute__((noinline)) uint64_t left_on_the_stack(void) {
    const char *top = __builtin_frame_address(0);
    uint64_t hash = 0;
    for (const char *at = top - 32768; at < top - 256; at++) hash = hash * 31 + (unsigned char)*at;
    return hash;
}

static void memory(void) {
    /* Before anything is printed: stdio asks for the status of standard output, and leaves it on the stack. */
    uint64_t left = left_on_the_stack();
    printf("left on the stack: %lx\n", left);
    int local;
    printf("stack %p, text %p, break %p, vdso %lx\n", (void *)&local, (void *)memory, sbrk(0), getauxval(AT_SYSINFO_EHDR));
    char *maps[8];
    for (int i = 0; i < 8; i++) {
        maps[i] = mmap(NULL, 4096 << i, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        printf("mapping %p, ", (void *)maps[i]);
        if (i & 1) munmap(maps[i - 1], 4096 << (i - 1));
    }
    printf("malloc %p %p\n", malloc(100), malloc(1 << 20));
    unsigned char pages[8];
    long in_core = syscall(SYS_mincore, maps[7], 4096, pages);
    printf("mincore %ld, pagemap %d, idle %d\n", in_core, open("/proc/self/pagemap", O_RDONLY),
           open("/sys/kernel/mm/page_idle/bitmap", O_RDONLY));
    memset(maps[7], 1, 4096 << 7);
    show_files((const char *const[]){"/proc/self/maps", "/proc/self/statm", "/proc/self/status", "/proc/self/smaps",
                                     "/proc/self/oom_score", NULL});
}

static void machine(void) {
    struct utsname name;
    struct sysinfo info;
    uname(&name);
    sysinfo(&info);
    printf("%s %s %s %s %s\n", name.sysname, name.nodename, name.release, name.version, name.machine);
    show_bytes("sysinfo", &info, sizeof info);
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    show_bytes("affinity", &cpus, 8);
    printf("on processor %d\n", sched_getcpu());
    show_files((const char *const[]){"/proc/cpuinfo", "/proc/meminfo", "/proc/version", "/proc/vmstat", "/proc/filesystems",
                                     "/proc/self/mountinfo", "/proc/sys/kernel/osrelease", "/proc/interrupts", "/proc/net/dev",
                                     "/sys/devices/system/cpu/online", "/sys/class/net/eth0/address",
                                     "/sys/class/dmi/id/product_uuid", "/sys/kernel/mm/transparent_hugepage/enabled", NULL});
}

/* Stands in a folder that same.rs has filled. */
static void files(void) {
    DIR *folder = opendir(".");
    for (struct dirent *it; (it = readdir(folder));) {
        struct stat status;
        /* The parent isn't part of what is compared. */
        if (!strcmp(it->d_name, "..")) continue;
        if (stat(it->d_name, &status)) abort();
        show_stat(it->d_name, &status);
    }
    rewinddir(folder);
    for (struct dirent *it; (it = readdir(folder));) printf("%s at %ld, kind %d\n", it->d_name, telldir(folder), it->d_type);
    char byte;
    int fd = open("b", O_RDONLY);
    if (read(fd, &byte, 1) != 1) abort();
    show_stat_of("b");
    fd = open("sparse", O_CREAT | O_WRONLY, 0600);
    if (pwrite(fd, "x", 1, 1 << 20) != 1) abort();
    show_stat_of("sparse");
    unlink("sparse");
    struct statfs disk;
    statfs(".", &disk);
    show_bytes("disk", &disk, sizeof disk);
}

/* Reads standard input, and says when it has had each part. */
static void input(void) {
    static char bytes[10000];
    for (ssize_t got; (got = read(0, bytes, sizeof bytes)) > 0;) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        printf("%zd bytes at %ld.%09ld\n", got, now.tv_sec, now.tv_nsec);
    }
}

static sigjmp_buf back;
static void jump_back(int signal) { siglongjmp(back, signal); }

static void try(const char *name, void (*instruction)(void)) {
    int signal = sigsetjmp(back, 1);
    if (!signal) instruction();
    printf("%s: signal %d\n", name, signal);
}

static void counter(void) { asm volatile("rdpmc" : : "c"(0) : "eax", "edx"); }
static void port(void) { asm volatile("inb $0x80, %%al" : : : "eax"); }

/* Time stamps, what only the kernel may execute, and what a call leaves in the registers that it may change. */
static void instructions(void) {
    signal(SIGSEGV, jump_back);
    for (int i = 0; i < 20; i++) {
        unsigned long address, flags, result = SYS_getpid;
        asm volatile("syscall; mov %%rcx, %1; mov %%r11, %2" : "+a"(result), "=r"(address), "=r"(flags) : : "rcx", "r11", "memory");
        printf("call %lx %lx\n", address, flags);
    }
    for (int i = 0; i < 5; i++) {
        unsigned low, high, processor;
        asm volatile("rdtsc" : "=a"(low), "=d"(high));
        printf("rdtsc %x %x\n", high, low);
        asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(processor));
        printf("rdtscp %x %x on %x\n", high, low, processor);
    }
    try("rdpmc", counter);
    try("in", port);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*show)(void);
    } kinds[] = {
        {"start", start},     {"passing", passing}, {"order", order}, {"ids", ids},
        {"random", randomness}, {"memory", memory},   {"machine", machine}, {"files", files},
        {"input", input},     {"instructions", instructions},
    };
    for (unsigned i = 0; argc == 2 && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, argv[1])) continue;
        kinds[i].show();
        return 0;
    }
    return 2;
}
