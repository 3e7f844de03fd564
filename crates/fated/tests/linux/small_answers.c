/* Single calls whose answers are easily forgotten. */
#include "check.h"
#include "folder.h"
#include <linux/futex.h>
#include <sched.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <pthread.h>

static long clone3_with(struct clone_args *args) { return syscall(SYS_clone3, args, sizeof *args); }

static void chosen_ids(void) {
    pid_t ids[40] = {1};
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)ids, .set_tid_size = 1};
    puts("-- chosen ids");
    FAILS(geteuid() == 0 ? EEXIST : EPERM, clone3_with(&args));
    ids[0] = 0;
    FAILS(EINVAL, clone3_with(&args));
    ids[0] = -1;
    FAILS(EINVAL, clone3_with(&args));
    args.set_tid_size = 33;
    FAILS(EINVAL, clone3_with(&args));
    args.set_tid_size = 0;
    FAILS(EINVAL, clone3_with(&args));
    args.set_tid_size = 1, args.set_tid = 0;
    FAILS(EINVAL, clone3_with(&args));
    args.set_tid = 16;
    FAILS(EFAULT, clone3_with(&args));
    args.set_tid = (uintptr_t)ids, args.set_tid_size = 2;
    ids[0] = 1, ids[1] = 1;
    FAILS(EINVAL, clone3_with(&args));
}

static void *slack_of_thread(void *to) {
    *(long *)to = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, 777);
    return 0;
}

static void timer_slack(void) {
    puts("-- timer slack");
    GIVES(50000, prctl(PR_GET_TIMERSLACK));
    GIVES(0, prctl(PR_SET_TIMERSLACK, 1234));
    GIVES(1234, prctl(PR_GET_TIMERSLACK));
    long slack = 0;
    pthread_t thread;
    pthread_create(&thread, 0, slack_of_thread, &slack);
    pthread_join(thread, 0);
    GIVES(1234, slack);
    GIVES(1234, prctl(PR_GET_TIMERSLACK));
    pid_t child = fork();
    if (!child) {
        GIVES(1234, prctl(PR_GET_TIMERSLACK));
        GIVES(0, prctl(PR_SET_TIMERSLACK, 99));
        GIVES(0, prctl(PR_SET_TIMERSLACK, 0));
        /* The default is what its maker had. */
        GIVES(1234, prctl(PR_GET_TIMERSLACK));
        exit(done());
    }
    reap(child);
    printf("timerslack_ns: %s", get("/proc/self/timerslack_ns"));
    int fd = open("/proc/self/timerslack_ns", O_WRONLY);
    GIVES(4, write(fd, "4321", 4));
    close(fd);
    GIVES(4321, prctl(PR_GET_TIMERSLACK));
    GIVES(0, prctl(PR_SET_TIMERSLACK, 0));
    GIVES(50000, prctl(PR_GET_TIMERSLACK));
}

static void futexes(void) {
    puts("-- futexes");
    char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page, 4096);
    FAILS(EFAULT, syscall(SYS_futex, page, FUTEX_WAKE, 1, 0, 0, 0));
    GIVES(0, syscall(SYS_futex, page, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0));
    FAILS(EFAULT, syscall(SYS_futex, page, FUTEX_WAKE_BITSET, 1, 0, 0, -1));
    FAILS(EFAULT, syscall(SYS_futex, page, FUTEX_WAIT, 1, 0, 0, 0));
    FAILS(EINVAL, syscall(SYS_futex, page + 1, FUTEX_WAKE, 1, 0, 0, 0));
    FAILS(EFAULT, syscall(SYS_futex, (char *)-4096, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0));
    int word = 0;
    FAILS(EFAULT, syscall(SYS_futex, &word, FUTEX_REQUEUE, 1, (void *)1L, page, 0));
    FAILS(EFAULT, syscall(SYS_futex, page, FUTEX_REQUEUE, 1, (void *)1L, &word, 0));
    page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(EFAULT, syscall(SYS_futex, page, FUTEX_WAKE, 1, 0, 0, 0));
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    GIVES(0, syscall(SYS_futex, page, FUTEX_WAKE, 1, 0, 0, 0));
}

static char state_of(pid_t pid) {
    char path[64];
    sprintf(path, "/proc/%d/stat", pid);
    return strrchr(get(path), ')')[2];
}

static void states(void) {
    puts("-- states");
    GIVES('R', state_of(getpid()));
    int ends[2];
    if (pipe(ends)) abort();
    pid_t sleeper = fork();
    if (!sleeper) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    while (state_of(sleeper) != 'S') sched_yield();
    GIVES('S', state_of(sleeper));
    kill(sleeper, SIGSTOP);
    while (state_of(sleeper) != 'T') sched_yield();
    kill(sleeper, SIGCONT);
    close(ends[1]);
    reap(sleeper);
    pid_t runner = fork();
    if (!runner) for (;;) getppid();
    int states = 0;
    for (int i = 0; i < 100; i++) states |= state_of(runner) == 'R' ? 1 : 2;
    GIVES(1, states);
    kill(runner, SIGKILL);
    while (state_of(runner) != 'Z') sched_yield();
    waitpid(runner, 0, 0);
}

static long kb_of(const char *field) {
    const char *text = strstr(get("/proc/self/status"), field);
    return text ? atol(text + strlen(field)) : -1;
}

static void locked(void) {
    puts("-- locked memory");
    char *pages = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    GIVES(0, kb_of("VmLck:"));
    GIVES(0, mlock(pages, 4 * 4096));
    GIVES(16, kb_of("VmLck:"));
    GIVES(0, mlock(pages + 2 * 4096, 4 * 4096));
    GIVES(24, kb_of("VmLck:"));
    pid_t child = fork();
    if (!child) {
        GIVES(0, kb_of("VmLck:"));
        exit(done());
    }
    reap(child);
    GIVES(0, munlock(pages, 4096));
    GIVES(20, kb_of("VmLck:"));
    GIVES(0, munmap(pages, 8 * 4096));
    GIVES(0, kb_of("VmLck:"));
    pages = mmap(0, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    GIVES(8, kb_of("VmLck:"));
    GIVES(0, munlockall());
    GIVES(0, kb_of("VmLck:"));
}

static void limits_of_child(void) {
    puts("-- limits of a child");
    int down[2], up[2];
    if (few_descriptors()) return;
    if (pipe(down) || pipe(up)) abort();
    pid_t child = fork();
    if (!child) {
        char byte;
        if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) != 1) abort();
        FAILS(EMFILE, dup(0));
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        GIVES(7, limit.rlim_cur);
        if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) != 1) abort();
        GIVES(1100, dup2(0, 1100));
        GIVES(1101, fcntl(0, F_DUPFD, 1101));
        FAILS(EBADF, dup2(0, 2000));
        exit(done());
    }
    char byte;
    if (read(up[0], &byte, 1) != 1) abort();
    struct rlimit limit = {7, 1500}, old;
    GIVES(0, prlimit(child, RLIMIT_NOFILE, &limit, &old));
    if (write(down[1], "x", 1) != 1 || read(up[0], &byte, 1) != 1) abort();
    limit.rlim_cur = 1500;
    GIVES(0, prlimit(child, RLIMIT_NOFILE, &limit, &old));
    GIVES(7, old.rlim_cur);
    if (write(down[1], "x", 1) != 1) abort();
    reap(child);
    close(up[0]), close(up[1]), close(down[0]), close(down[1]);
}

static void nameless(void) {
    puts("-- files without a name");
    char link[64], name[256], expected[256];
    struct stat stat;
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK(fd > 0);
    fstat(fd, &stat);
    sprintf(link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, name, sizeof name - 1);
    name[len < 0 ? 0 : len] = 0;
    sprintf(expected, "%s/#%ld (deleted)", folder, (long)stat.st_ino);
    CHECK(!strcmp(name, expected));
    if (ftruncate(fd, 4096)) abort();
    char *mapped = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(strstr(get("/proc/self/maps"), expected));
    munmap(mapped, 4096);
    close(fd);
    put("named", "x");
    fd = open("named", O_RDWR);
    sprintf(link, "/proc/self/fd/%d", fd);
    unlink("named");
    len = readlink(link, name, sizeof name - 1);
    name[len < 0 ? 0 : len] = 0;
    sprintf(expected, "%s/named (deleted)", folder);
    CHECK(!strcmp(name, expected));
    close(fd);
}

static int exclusive_fds[4], woken_pipe[2];
static void *exclusive_waiter(void *arg) {
    struct epoll_event event;
    long index = (long)arg;
    if (epoll_wait(exclusive_fds[index], &event, 1, -1) == 1 && write(woken_pipe[1], "w", 1) != 1) abort();
    return 0;
}

static void exclusive(void) {
    puts("-- EPOLLEXCLUSIVE");
    int event = eventfd(0, EFD_NONBLOCK);
    pthread_t threads[4];
    if (pipe2(woken_pipe, O_NONBLOCK)) abort();
    for (long i = 0; i < 4; i++) {
        struct epoll_event wanted = {EPOLLIN | EPOLLEXCLUSIVE, {0}};
        exclusive_fds[i] = epoll_create1(0);
        GIVES(0, epoll_ctl(exclusive_fds[i], EPOLL_CTL_ADD, event, &wanted));
        FAILS(EINVAL, epoll_ctl(exclusive_fds[i], EPOLL_CTL_MOD, event, &wanted));
        pthread_create(&threads[i], 0, exclusive_waiter, (void *)i);
    }
    sleep_ms(100);
    uint64_t one = 1;
    char buf[8];
    for (int i = 0; i < 4; i++) {
        if (write(event, &one, 8) != 8) abort();
        sleep_ms(50);
        GIVES(1, read(woken_pipe[0], buf, sizeof buf));
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
}

int main(void) {
    enter_folder();
    chosen_ids();
    timer_slack();
    futexes();
    states();
    locked();
    limits_of_child();
    nameless();
    exclusive();
    leave_folder();
    return done();
}
