/* futex(2): errors, counts, order, bits, requeue, the operation in between. */
#include "check.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

static uint32_t word, other;

static long futex(uint32_t *addr, int op, uint32_t value, void *timeout, uint32_t *addr2, uint32_t value3) {
    return syscall(SYS_futex, addr, op, value, timeout, addr2, value3);
}

enum { MAX = 8 };
static struct sleeper {
    pthread_t thread;
    uint32_t *addr;
    uint32_t bits;
    volatile pid_t tid;
    volatile int woken;
} sleepers[MAX];
static volatile int wake_order;

static void *sleep_on(void *arg) {
    struct sleeper *self = arg;
    self->tid = syscall(SYS_gettid);
    while (futex(self->addr, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, self->bits) && errno == EINTR) {}
    self->woken = __atomic_add_fetch(&wake_order, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Waits until the thread sleeps. */
static void await_sleep(pid_t tid) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    for (;;) {
        FILE *file = fopen(path, "r");
        char state = 0;
        if (file && fgets(line, sizeof line, file)) {
            char *end = strrchr(line, ')');
            state = end ? end[2] : 0;
        }
        if (file) fclose(file);
        if (state == 'S') return;
        sleep_ms(1);
    }
}

static void start(int n, uint32_t *addr, uint32_t bits) {
    wake_order = 0;
    for (int i = 0; i < n; i++) {
        sleepers[i] = (struct sleeper){.addr = addr, .bits = bits ? bits : 1u << i};
        pthread_create(&sleepers[i].thread, NULL, sleep_on, &sleepers[i]);
        while (!sleepers[i].tid) sleep_ms(1);
        await_sleep(sleepers[i].tid);
    }
}

static void join(int from, int to) {
    for (int i = from; i < to; i++) pthread_join(sleepers[i].thread, NULL);
}

int main(void) {
    struct timespec t = {0, 10000000};
    FAILS(EAGAIN, futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    FAILS(EAGAIN, futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
    FAILS(EINVAL, futex((void *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
    FAILS(EINVAL, futex((void *)((char *)&word + 2), FUTEX_WAKE, 0, NULL, NULL, 0));
    FAILS(EFAULT, futex((void *)8, FUTEX_WAIT, 0, NULL, NULL, 0));
    FAILS(EFAULT, futex((void *)8, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    FAILS(EFAULT, futex((void *)0xffffffff80000000, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    GIVES(0, futex((void *)8, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    FAILS(EFAULT, futex(&word, FUTEX_WAIT, 0, (void *)8, NULL, 0));
    FAILS(EINVAL, futex(&word, FUTEX_WAIT, 0, &(struct timespec){0, 1000000000}, NULL, 0));
    FAILS(EINVAL, futex(&word, FUTEX_WAIT, 0, &(struct timespec){-1, 0}, NULL, 0));
    FAILS(EINVAL, futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    FAILS(EINVAL, futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    FAILS(ENOSYS, futex(&word, 99, 0, NULL, NULL, 0));
    FAILS(ENOSYS, futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
    FAILS(EINVAL, futex(&word, FUTEX_REQUEUE, 1, (void *)-1L, &other, 0));
    FAILS(EAGAIN, futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 5));
    GIVES(0, futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0));

    /* Timeouts. */
    int64_t begin = now_ns(CLOCK_MONOTONIC);
    FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT, 0, &t, NULL, 0));
    CHECK(now_ns(CLOCK_MONOTONIC) - begin >= 10000000);
    begin = now_ns(CLOCK_MONOTONIC) + 10000000;
    struct timespec at = {begin / 1000000000, begin % 1000000000};
    FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT_BITSET, 0, &at, NULL, ~0u));
    CHECK(now_ns(CLOCK_MONOTONIC) >= begin);
    begin = now_ns(CLOCK_REALTIME) + 10000000;
    at = (struct timespec){begin / 1000000000, begin % 1000000000};
    FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &at, NULL, ~0u));
    CHECK(now_ns(CLOCK_REALTIME) >= begin);
    FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT_BITSET, 0, &(struct timespec){0, 0}, NULL, ~0u));

    /* First come, first served. */
    start(4, &word, ~0u);
    for (int i = 0; i < 4; i++) {
        GIVES(1, futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
        pthread_join(sleepers[i].thread, NULL);
        GIVES(i + 1, sleepers[i].woken);
    }
    /* A private wake doesn't reach a shared wait's futex and the other way round. */
    start(2, &word, ~0u);
    GIVES(0, futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    GIVES(2, futex(&word, FUTEX_WAKE_PRIVATE, 7, NULL, NULL, 0));
    join(0, 2);
    /* Bits. */
    start(4, &word, 0);
    GIVES(0, futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 7, NULL, NULL, 16));
    GIVES(2, futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 7, NULL, NULL, 2 | 8));
    join(1, 2);
    join(3, 4);
    GIVES(2, futex(&word, FUTEX_WAKE_PRIVATE, 7, NULL, NULL, 0));
    join(0, 1);
    join(2, 3);
    /* Requeue: one woken, two moved, two stay. */
    start(5, &word, ~0u);
    GIVES(3, futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &other, 0));
    join(0, 1);
    GIVES(2, futex(&word, FUTEX_WAKE_PRIVATE, 7, NULL, NULL, 0));
    join(3, 5);
    GIVES(2, futex(&other, FUTEX_WAKE_PRIVATE, 7, NULL, NULL, 0));
    join(1, 3);
    start(3, &word, ~0u);
    GIVES(1, futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)0, &other, 0));
    GIVES(2, futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)7, &other, 0));
    GIVES(2, futex(&other, FUTEX_WAKE_PRIVATE, 7, NULL, NULL, 0));
    join(0, 3);
    /* The operation in between. */
    other = 5;
    start(2, &word, ~0u);
    GIVES(1, futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 6)));
    GIVES(8, other);
    GIVES(1, futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)));
    join(0, 2);
    GIVES(0, futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ANDN, 8, FUTEX_OP_CMP_EQ, 0)));
    GIVES(0, other);
    GIVES(0, futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_SET, -1, FUTEX_OP_CMP_LT, 0)));
    GIVES(-1, (int)other);
    GIVES(0, futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &other, FUTEX_OP((FUTEX_OP_XOR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_LT, 0)));
    GIVES(-17, (int)other);
    FAILS(EFAULT, futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, (void *)8, FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_LT, 0)));

    /* Shared, through two mappings of one file, in two processes. */
    int fd = memfd_create("futex", 0);
    CHECK(ftruncate(fd, 8192) == 0);
    uint32_t *one = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t *two = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
    uint32_t *anonymous = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            GIVES(0, futex(i ? anonymous : two, FUTEX_WAIT, 0, NULL, NULL, 0));
            exit(done());
        }
        while (futex(i ? anonymous : one + 1024, FUTEX_WAKE, 1, NULL, NULL, 0) == 0) sleep_ms(1);
        reap(child);
    }
    /* Private memory is another one after fork. */
    pid_t child = fork();
    if (child == 0) {
        FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT, 0, &(struct timespec){0, 50000000}, NULL, 0));
        exit(done());
    }
    sleep_ms(10);
    GIVES(0, futex(&word, FUTEX_WAKE, 7, NULL, NULL, 0));
    reap(child);
    return done();
}
