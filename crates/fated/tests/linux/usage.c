/* What a process has used follows what it does: memory, page faults, processor time, context switches. RLIMIT_CPU acts on it. */
#include "check.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/times.h>

#define MB (1l << 20)

static long field(const char *name) {
    char text[8192] = "";
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len < 0 ? 0 : len] = 0;
    char *at = strstr(text, name);
    return at ? strtol(at + strlen(name), NULL, 10) << 10 : -1;
}

static struct rusage used(int who) {
    struct rusage usage;
    if (getrusage(who, &usage)) abort();
    return usage;
}

static long maxrss(void) { return used(RUSAGE_SELF).ru_maxrss << 10; }

static double seconds(struct rusage usage) {
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* `bytes` of memory, each page of its own. */
static char *touched(long bytes) {
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    memset(memory, 1, bytes);
    return memory;
}

static void memory(void) {
    puts("-- memory");
    long rss = field("VmRSS:"), size = field("VmSize:"), most = maxrss(), faults = used(RUSAGE_SELF).ru_minflt;
    CHECK(rss > 0 && size >= rss && most >= rss / 2);
    char *block = touched(80 * MB);
    CHECK(maxrss() - most > 70 * MB);
    CHECK(field("VmRSS:") - rss > 70 * MB);
    CHECK(field("VmSize:") - size >= 80 * MB);
    CHECK(used(RUSAGE_SELF).ru_minflt - faults >= 20000);
    CHECK(used(RUSAGE_THREAD).ru_minflt >= 20000);
    unsigned long total = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm && fscanf(statm, "%lu %lu", &total, &resident) == 2 && total >= resident && resident * 4096 > 70 * MB);
    fclose(statm);
    unsigned long minflt = 0, vsize = 0, pages = 0;
    FILE *stat = fopen("/proc/self/stat", "r");
    CHECK(stat && fscanf(stat, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %lu %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %lu %lu",
                         &minflt, &vsize, &pages) == 3);
    CHECK(minflt >= 20000 && vsize > 80 * MB && pages * 4096 > 70 * MB);
    fclose(stat);
    GIVES(0, munmap(block, 80 * MB));
    CHECK(field("VmRSS:") - rss < 10 * MB);
    CHECK(field("VmSize:") - size < 10 * MB);
    CHECK(field("VmHWM:") - rss > 70 * MB);
    CHECK(field("VmPeak:") - size >= 80 * MB);
    CHECK(maxrss() - most > 70 * MB);
    faults = used(RUSAGE_SELF).ru_minflt;
    for (int i = 0; i < 4; i++) munmap(touched(10 * MB), 10 * MB);
    CHECK(used(RUSAGE_SELF).ru_minflt - faults >= 10000);
    CHECK(maxrss() - most < 100 * MB);

    puts("-- reserved, then used");
    most = maxrss();
    block = mmap(NULL, 200 * MB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(block != MAP_FAILED && maxrss() - most < 10 * MB && field("VmSize:") - size >= 200 * MB);
    GIVES(0, mprotect(block, 150 * MB, PROT_READ | PROT_WRITE));
    memset(block, 1, 150 * MB);
    CHECK(maxrss() - most > 50 * MB);
    munmap(block, 200 * MB);

    puts("-- mremap and the heap");
    rss = field("VmRSS:");
    block = mremap(touched(20 * MB), 20 * MB, 60 * MB, MREMAP_MAYMOVE);
    memset(block, 1, 60 * MB);
    CHECK(field("VmRSS:") - rss > 50 * MB);
    block = mremap(block, 60 * MB, 10 * MB, 0);
    CHECK(field("VmRSS:") - rss < 20 * MB);
    munmap(block, 10 * MB);
    char *heap = sbrk(40 * MB);
    memset(heap, 1, 40 * MB);
    CHECK(field("VmRSS:") - rss > 30 * MB);
    GIVES(0, brk(heap));
    CHECK(field("VmRSS:") - rss < 10 * MB);
}

static void children(const char *self) {
    puts("-- children");
    struct rusage usage;
    pid_t child = fork();
    if (!child) {
        touched(300 * MB);
        _exit(0);
    }
    CHECK(wait4(child, NULL, 0, &usage) == child && usage.ru_maxrss > 280 << 10 && usage.ru_minflt > 70000);
    usage = used(RUSAGE_CHILDREN);
    CHECK(usage.ru_maxrss > 280 << 10 && usage.ru_minflt > 70000 && maxrss() < 280 * MB);

    /* The peak of the program before is the process's, too. */
    child = fork();
    if (!child) {
        touched(400 * MB);
        execl(self, self, "hello", NULL);
        _exit(99);
    }
    CHECK(wait4(child, NULL, 0, &usage) == child && usage.ru_maxrss > 380 << 10);

    child = fork();
    if (!child) {
        munmap(touched(500 * MB), 500 * MB);
        raise(SIGKILL);
    }
    CHECK(wait4(child, NULL, 0, &usage) == child && usage.ru_maxrss > 480 << 10);
}

/* Until so many seconds of processor time are used. Under fated the calls take it, readings of the clock in a row more of it. */
static void compute(double until) {
    struct timespec now;
    while (seconds(used(RUSAGE_SELF)) < until)
        for (int i = 0; i < 15000; i++) clock_gettime(CLOCK_MONOTONIC, &now);
}

static void processor(void) {
    puts("-- processor time");
    struct timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    compute(seconds(used(RUSAGE_SELF)) + 0.1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    CHECK(after.tv_sec - before.tv_sec + (after.tv_nsec - before.tv_nsec) / 1e9 >= 0.05);
    struct tms tms;
    times(&tms);
    CHECK(tms.tms_utime + tms.tms_stime >= 5);
    double children = seconds(used(RUSAGE_CHILDREN));
    clock_t ticks = tms.tms_cutime + tms.tms_cstime;
    pid_t child = fork();
    if (!child) {
        compute(0.2);
        _exit(0);
    }
    struct rusage usage;
    CHECK(wait4(child, NULL, 0, &usage) == child && seconds(usage) >= 0.15);
    CHECK(seconds(used(RUSAGE_CHILDREN)) - children >= 0.15);
    times(&tms);
    CHECK(tms.tms_cutime + tms.tms_cstime - ticks >= 15);

    puts("-- context switches");
    long switches = used(RUSAGE_SELF).ru_nvcsw;
    for (int i = 0; i < 5; i++) usleep(1000);
    CHECK(used(RUSAGE_SELF).ru_nvcsw - switches >= 5);
}

static volatile sig_atomic_t xcpu;
static void on_xcpu(int signal) { (void)signal; xcpu++; }

static void limit(void) {
    puts("-- RLIMIT_CPU");
    int pipes[2];
    if (pipe(pipes)) abort();
    pid_t child = fork();
    if (!child) {
        struct rlimit limit = {1, 3};
        if (setrlimit(RLIMIT_CPU, &limit)) abort();
        signal(SIGXCPU, on_xcpu);
        /* The limit is inherited, the time isn't. How exactly Linux keeps to it depends on how busy the machine is. */
        pid_t inner = fork();
        if (!inner) {
            signal(SIGXCPU, SIG_DFL);
            compute(10);
            _exit(0);
        }
        int status;
        waitpid(inner, &status, 0);
        status &= 0x7f;
        if (write(pipes[1], &status, sizeof status) < 0) abort();
        while (xcpu < 2) compute(seconds(used(RUSAGE_SELF)) + 0.01);
        getrlimit(RLIMIT_CPU, &limit);
        status = limit.rlim_cur == 3;
        if (write(pipes[1], &status, sizeof status) < 0) abort();
        compute(10);
        _exit(0);
    }
    int status, told[2] = {0, 0};
    CHECK(waitpid(child, &status, 0) == child);
    GIVES(SIGKILL, status & 0x7f);
    GIVES(sizeof told, read(pipes[0], told, sizeof told));
    GIVES(SIGXCPU, told[0]);
    CHECK(told[1]);
}

int main(int argc, char **argv) {
    if (argc > 1) return 0;
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = 0;
    (void)argv;
    memory();
    children(self);
    processor();
    limit();
    return done();
}
