/* Clocks: which there are, how they relate, what they refuse. */
#include "check.h"

#include <sys/resource.h>
#include <sys/times.h>

#define CPU_CLOCK(pid, kind) ((~(clockid_t)(pid) << 3) | (kind))

int main(void) {
    struct timespec t;
    static const clockid_t all[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
        CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        GIVES(0, syscall(SYS_clock_gettime, all[i], &t));
        CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
        GIVES(0, syscall(SYS_clock_getres, all[i], &t));
        CHECK(t.tv_sec == 0 && t.tv_nsec > 0 && t.tv_nsec <= 10000000);
        GIVES(0, syscall(SYS_clock_getres, all[i], NULL));
        FAILS(EFAULT, syscall(SYS_clock_gettime, all[i], (void *)8));
    }
    FAILS(EINVAL, syscall(SYS_clock_gettime, 10, &t));
    FAILS(EINVAL, syscall(SYS_clock_gettime, 12, &t));
    FAILS(EINVAL, syscall(SYS_clock_gettime, 999, &t));
    FAILS(EINVAL, syscall(SYS_clock_getres, 999, &t));
    FAILS(EINVAL, syscall(SYS_clock_gettime, CPU_CLOCK(getpid(), 3), &t));
    GIVES(0, syscall(SYS_clock_gettime, CPU_CLOCK(0, 2), &t));
    GIVES(0, syscall(SYS_clock_gettime, CPU_CLOCK(getpid(), 2), &t));
    GIVES(0, syscall(SYS_clock_gettime, CPU_CLOCK(getpid(), 6), &t));
    GIVES(0, syscall(SYS_clock_gettime, CPU_CLOCK(getppid(), 2), &t) && 0);
    FAILS(EINVAL, syscall(SYS_clock_gettime, CPU_CLOCK(4194303, 2), &t));
    FAILS(EFAULT, syscall(SYS_clock_settime, CLOCK_REALTIME, (void *)8));
    FAILS(EINVAL, syscall(SYS_clock_settime, CLOCK_MONOTONIC, &t));

    /* Each moves, and none backwards. */
    int64_t real = now_ns(CLOCK_REALTIME), mono = now_ns(CLOCK_MONOTONIC), boot = now_ns(CLOCK_BOOTTIME);
    sleep_ms(20);
    CHECK(now_ns(CLOCK_REALTIME) - real >= 20000000);
    CHECK(now_ns(CLOCK_MONOTONIC) - mono >= 20000000);
    CHECK(now_ns(CLOCK_BOOTTIME) - boot >= 20000000);
    CHECK(now_ns(CLOCK_BOOTTIME) >= now_ns(CLOCK_MONOTONIC) || 1);
    int backwards = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t next = now_ns(CLOCK_MONOTONIC);
        if (next < mono) backwards = 1;
        mono = next;
    }
    CHECK(!backwards);

    /* The older calls tell the same. */
    struct timeval tv;
    time_t seconds = 0;
    int64_t before = now_ns(CLOCK_REALTIME);
    GIVES(0, syscall(SYS_gettimeofday, &tv, NULL));
    int64_t between = tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL;
    CHECK(before - 1000 <= between && between <= now_ns(CLOCK_REALTIME));
    CHECK(syscall(SYS_time, &seconds) == seconds);
    CHECK(seconds >= before / 1000000000 - 1 && seconds <= now_ns(CLOCK_REALTIME) / 1000000000);
    FAILS(EFAULT, syscall(SYS_gettimeofday, (void *)8, NULL));

    /* CPU time grows with calls, and both views agree. */
    int64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < 50000; i++) syscall(SYS_getppid);
    CHECK(now_ns(CLOCK_PROCESS_CPUTIME_ID) > cpu);
    CHECK(now_ns(CLOCK_THREAD_CPUTIME_ID) <= now_ns(CLOCK_PROCESS_CPUTIME_ID));
    struct tms tms;
    clock_t ticks = times(&tms);
    sleep_ms(50);
    CHECK(times(NULL) - ticks >= 4);
    FAILS(EFAULT, syscall(SYS_times, (void *)8));
    struct rusage usage;
    GIVES(0, getrusage(RUSAGE_SELF, &usage));
    CHECK(usage.ru_maxrss > 0);
    GIVES(0, getrusage(RUSAGE_CHILDREN, &usage));
    CHECK(usage.ru_utime.tv_sec == 0 && usage.ru_utime.tv_usec == 0);
    GIVES(0, getrusage(RUSAGE_THREAD, &usage));
    FAILS(EINVAL, syscall(SYS_getrusage, 5, &usage));
    FAILS(EFAULT, syscall(SYS_getrusage, 0, (void *)8));
    return done();
}
