/* What the machine says of itself, limits, nice values, policies, prctl(2): shapes and errors, not values. */
#include "check.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define UNUSED_PID 4194303

static void *name_thread(void *arg) {
    (void)arg;
    char name[16] = "?";
    prctl(PR_GET_NAME, name);
    CHECK(!strcmp(name, "shown in ps at "));
    GIVES(0, prctl(PR_SET_NAME, "thread"));
    return NULL;
}

int main(void) {
    struct utsname uts;
    GIVES(0, uname(&uts));
    CHECK(!strcmp(uts.sysname, "Linux") && !strcmp(uts.machine, "x86_64") && strlen(uts.nodename) > 0);
    CHECK(atoi(uts.release) >= 5);
    FAILS(EFAULT, syscall(SYS_uname, (void *)8));
    struct sysinfo info;
    GIVES(0, sysinfo(&info));
    CHECK(info.uptime > 0 && info.totalram > info.freeram && info.procs > 0 && info.mem_unit > 0);
    FAILS(EFAULT, syscall(SYS_sysinfo, (void *)8));

    unsigned char bytes[300] = {0};
    GIVES(300, getrandom(bytes, 300, 0));
    int zeros = 0;
    for (int i = 0; i < 300; i++) zeros += !bytes[i];
    CHECK(zeros < 20);
    GIVES(0, getrandom(bytes, 0, 0));
    GIVES(16, getrandom(bytes, 16, GRND_NONBLOCK));
    GIVES(16, getrandom(bytes, 16, GRND_RANDOM));
    FAILS(EINVAL, getrandom(bytes, 16, 64));
    FAILS(EINVAL, getrandom(bytes, 16, GRND_RANDOM | GRND_INSECURE));
    FAILS(EFAULT, syscall(SYS_getrandom, (void *)8, 16, 0));
    unsigned cpu = 77, node = 77;
    GIVES(0, syscall(SYS_getcpu, &cpu, &node, NULL));
    CHECK(cpu < 1024 && node < 64);
    FAILS(EFAULT, syscall(SYS_getcpu, (void *)8, NULL, NULL));

    struct rlimit limit, other;
    for (int i = 0; i < 16; i++) {
        GIVES(0, getrlimit(i, &limit));
        CHECK(limit.rlim_cur <= limit.rlim_max);
    }
    FAILS(EINVAL, syscall(SYS_getrlimit, 16, &limit));
    FAILS(EINVAL, syscall(SYS_prlimit64, 0, -1, NULL, &limit));
    FAILS(EFAULT, syscall(SYS_getrlimit, RLIMIT_CPU, (void *)8));
    FAILS(ESRCH, prlimit(UNUSED_PID, RLIMIT_CPU, NULL, &limit));
    FAILS(EINVAL, setrlimit(RLIMIT_CORE, &(struct rlimit){2, 1}));
    GIVES(0, prlimit(0, RLIMIT_NOFILE, &(struct rlimit){20, 40}, &other));
    GIVES(0, prlimit(getpid(), RLIMIT_NOFILE, NULL, &limit));
    CHECK(limit.rlim_cur == 20 && limit.rlim_max == 40);
    int last = 0, opened = 0;
    while ((last = dup(0)) >= 0) opened++;
    CHECK(errno == EMFILE && opened < 20);
    FAILS(EMFILE, pipe((int[2]){0, 0}));
    GIVES(0, setrlimit(RLIMIT_NOFILE, &(struct rlimit){40, 40}));
    CHECK(dup(0) == 20);

    errno = 0;
    int nice_before = getpriority(PRIO_PROCESS, 0);
    CHECK(errno == 0);
    GIVES(0, setpriority(PRIO_PROCESS, 0, nice_before + 3));
    /* Whoever starts this natively may be nice. */
    CHECK(getpriority(PRIO_PROCESS, getpid()) == nice_before + 3);
    CHECK(syscall(SYS_getpriority, PRIO_PROCESS, 0) == 20 - nice_before - 3);
    GIVES(0, setpriority(PRIO_PROCESS, 0, 100));
    GIVES(19, getpriority(PRIO_PROCESS, 0));
    FAILS(EINVAL, setpriority(7, 0, 0));
    FAILS(EINVAL, getpriority(7, 0));
    FAILS(ESRCH, getpriority(PRIO_PROCESS, UNUSED_PID));
    FAILS(ESRCH, getpriority(PRIO_PGRP, UNUSED_PID));

    cpu_set_t set;
    CPU_ZERO(&set);
    GIVES(0, sched_getaffinity(0, sizeof set, &set));
    int cpus = CPU_COUNT(&set);
    CHECK(cpus >= 1);
    CHECK(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) % 8 == 0);
    FAILS(EINVAL, syscall(SYS_sched_getaffinity, 0, 7, &set));
    FAILS(EINVAL, syscall(SYS_sched_getaffinity, 0, 0, &set));
    FAILS(ESRCH, sched_getaffinity(UNUSED_PID, sizeof set, &set));
    FAILS(ESRCH, sched_getaffinity(-5, sizeof set, &set));
    GIVES(0, sched_getaffinity(1, sizeof set, &set));
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    FAILS(EFAULT, syscall(SYS_sched_getaffinity, 0, 128, (void *)8));
    int first = 0;
    while (!CPU_ISSET(first, &set)) first++;
    CPU_ZERO(&set);
    FAILS(EINVAL, sched_setaffinity(0, sizeof set, &set));
    CPU_SET(first, &set);
    GIVES(0, sched_setaffinity(0, sizeof set, &set));
    GIVES(0, sched_getaffinity(0, sizeof set, &set));
    GIVES(1, CPU_COUNT(&set));
    GIVES(0, sched_yield());

    struct sched_param param = {0};
    GIVES(SCHED_OTHER, sched_getscheduler(0));
    GIVES(0, sched_getparam(0, &param));
    CHECK(sched_getscheduler(1) >= 0);
    FAILS(EINVAL, sched_getscheduler(-1));
    GIVES(0, param.sched_priority);
    GIVES(99, sched_get_priority_max(SCHED_FIFO));
    GIVES(1, sched_get_priority_min(SCHED_RR));
    GIVES(0, sched_get_priority_max(SCHED_BATCH));
    FAILS(EINVAL, sched_get_priority_max(99));
    FAILS(EINVAL, sched_setscheduler(0, 99, &param));
    FAILS(EINVAL, sched_setscheduler(0, -1, &param));
    FAILS(EINVAL, sched_setscheduler(0, SCHED_OTHER, NULL));
    FAILS(EINVAL, sched_setscheduler(-1, SCHED_OTHER, &param));
    FAILS(ESRCH, sched_setscheduler(UNUSED_PID, SCHED_OTHER, &param));
    FAILS(EINVAL, sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){5}));
    FAILS(EINVAL, sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){100}));
    GIVES(0, sched_setscheduler(0, SCHED_BATCH, &param));
    GIVES(SCHED_BATCH, sched_getscheduler(0));
    GIVES(0, sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param));
    GIVES(SCHED_OTHER | SCHED_RESET_ON_FORK, sched_getscheduler(0));
    FAILS(EINVAL, sched_getparam(0, NULL));
    FAILS(ESRCH, sched_getparam(UNUSED_PID, &param));
    uint32_t attr[32] = {0};
    GIVES(0, syscall(SYS_sched_getattr, 0, attr, 128, 0));
    CHECK(attr[0] >= 48 && attr[1] == SCHED_OTHER);
    GIVES(19, attr[4]);
    FAILS(EINVAL, syscall(SYS_sched_getattr, 0, attr, 40, 0));
    FAILS(EINVAL, syscall(SYS_sched_getattr, 0, attr, 128, 1));
    FAILS(EINVAL, syscall(SYS_sched_setattr, 0, NULL, 0));
    struct timespec slice;
    GIVES(0, sched_rr_get_interval(0, &slice));
    FAILS(ESRCH, sched_rr_get_interval(UNUSED_PID, &slice));

    CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    FAILS(EPERM, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    GIVES(0, syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    GIVES(0, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    FAILS(EINVAL, syscall(SYS_membarrier, 1 << 30, 0, 0));
    FAILS(EINVAL, syscall(SYS_membarrier, 0, 2, 0));

    char name[16];
    GIVES(0, prctl(PR_SET_NAME, "shown in ps at most"));
    GIVES(0, prctl(PR_GET_NAME, name));
    CHECK(!strcmp(name, "shown in ps at "));
    pthread_t thread;
    pthread_create(&thread, NULL, name_thread, NULL);
    pthread_join(thread, NULL);
    GIVES(0, prctl(PR_GET_NAME, name));
    CHECK(!strcmp(name, "shown in ps at "));
    FAILS(EFAULT, prctl(PR_SET_NAME, 8));
    GIVES(1, prctl(PR_GET_DUMPABLE));
    GIVES(0, prctl(PR_SET_DUMPABLE, 0));
    GIVES(0, prctl(PR_GET_DUMPABLE));
    GIVES(0, prctl(PR_SET_DUMPABLE, 1));
    FAILS(EINVAL, prctl(PR_SET_DUMPABLE, 2));
    GIVES(0, prctl(PR_GET_KEEPCAPS));
    GIVES(0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    FAILS(EINVAL, prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    GIVES(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    GIVES(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    GIVES(50000, prctl(PR_GET_TIMERSLACK));
    GIVES(0, prctl(PR_SET_TIMERSLACK, 1000));
    GIVES(1000, prctl(PR_GET_TIMERSLACK));
    GIVES(0, prctl(PR_GET_TIMING));
    int value = 7;
    GIVES(0, prctl(PR_GET_TSC, &value));
    GIVES(PR_TSC_ENABLE, value);
    GIVES(0, prctl(PR_GET_CHILD_SUBREAPER, &value));
    GIVES(0, value);
    FAILS(EINVAL, prctl(PR_CAPBSET_READ, 1000));
    FAILS(EINVAL, prctl(9999));
    FAILS(EINVAL, prctl(PR_SET_PDEATHSIG, 100));
    GIVES(0, prctl(PR_SET_PDEATHSIG, SIGUSR1));
    GIVES(0, prctl(PR_GET_PDEATHSIG, &value));
    GIVES(SIGUSR1, value);
    pid_t child = fork();
    if (child == 0) {
        GIVES(0, prctl(PR_GET_PDEATHSIG, &value));
        GIVES(0, value);
        GIVES(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        GIVES(SCHED_OTHER, sched_getscheduler(0));
        GIVES(1, getpriority(PRIO_PROCESS, 0) >= 0);
        exit(done());
    }
    reap(child);

    /* A child that wants to hear of its parent's death, and orphans that come to a subreaper. */
    GIVES(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
    GIVES(0, prctl(PR_GET_CHILD_SUBREAPER, &value));
    GIVES(1, value);
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_BLOCK, &usr2, NULL);
    pid_t self = getpid();
    child = fork();
    if (child == 0) {
        pid_t middle = getpid();
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR2);
            siginfo_t how;
            if (getppid() == middle && sigwaitinfo(&usr2, &how) != SIGUSR2) _exit(1);
            _exit(getppid() == self ? 42 : 2);
        }
        sleep_ms(20);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(wait(&status) > 0 && WEXITSTATUS(status) == 42);

    /* What only root may. */
    if (geteuid() == 0) {
        GIVES(0, setpriority(PRIO_PROCESS, 0, -5));
        GIVES(-5, getpriority(PRIO_PROCESS, 0));
        GIVES(0, sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){10}));
        GIVES(SCHED_FIFO, sched_getscheduler(0));
        GIVES(0, sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}));
        FAILS(EPERM, setrlimit(RLIMIT_NOFILE, &(struct rlimit){50, 1 << 30}));
        GIVES(1, prctl(PR_CAPBSET_READ, 40));
        GIVES(0, prctl(PR_CAPBSET_DROP, 40));
        GIVES(0, prctl(PR_CAPBSET_READ, 40));
    } else {
        FAILS(EACCES, setpriority(PRIO_PROCESS, 0, -5));
        FAILS(EPERM, setrlimit(RLIMIT_NOFILE, &(struct rlimit){50, 60}));
        FAILS(EPERM, prctl(PR_CAPBSET_DROP, 40));
    }

    unsigned old = personality(0xffffffff);
    CHECK((old & 0xff) == PER_LINUX);
    CHECK((unsigned)personality(old | ADDR_NO_RANDOMIZE) == old);
    CHECK((unsigned)personality(0xffffffff) == (old | ADDR_NO_RANDOMIZE));
    return done();
}
