/* What the C library makes of futexes: mutexes, conditions, barriers, read-write locks, semaphores, once, keys. */
#include "check.h"

#include <pthread.h>
#include <semaphore.h>

enum { THREADS = 8, ROUNDS = 500 };
static pthread_t threads[THREADS];
static long counter, inside, crowd;

static void run(void *(*body)(void *)) {
    for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, body, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void *lock_often(void *arg) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        long seen = counter;
        if (i % 16 == (long)arg) sched_yield();
        counter = seen + 1;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

/* A bounded buffer. */
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;
static int slots[4], used, produced, consumed;
static long sum;
static void *produce_or_consume(void *arg) {
    long number = (long)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        if (number % 2) {
            while (used == 4) pthread_cond_wait(&emptied, &mutex);
            slots[used++] = ++produced;
            pthread_cond_signal(&filled);
        } else {
            while (used == 0) pthread_cond_wait(&filled, &mutex);
            sum += slots[--used];
            consumed++;
            pthread_cond_signal(&emptied);
        }
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static pthread_barrier_t barrier;
static int serial, torn;
static void *meet(void *arg) {
    (void)arg;
    for (int i = 1; i <= 50; i++) {
        __atomic_add_fetch(&crowd, 1, __ATOMIC_SEQ_CST);
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
        if (crowd < (long)i * THREADS) torn = 1;
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long pair[2];
static void *read_or_write(void *arg) {
    for (int i = 0; i < ROUNDS; i++) {
        if ((long)arg < 2) {
            pthread_rwlock_wrlock(&rwlock);
            pair[0]++;
            if (i % 32 == 0) sched_yield();
            pair[1]++;
            pthread_rwlock_unlock(&rwlock);
        } else {
            pthread_rwlock_rdlock(&rwlock);
            if (pair[0] != pair[1]) torn = 1;
            if (i % 64 == 0) sched_yield();
            pthread_rwlock_unlock(&rwlock);
        }
    }
    return NULL;
}

static sem_t semaphore;
static void *pass(void *arg) {
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        sem_wait(&semaphore);
        if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) > 3) torn = 1;
        if (i % 50 == 0) sched_yield();
        __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
        sem_post(&semaphore);
    }
    return NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int once_runs, key_ends;
static void key_end(void *value) { __atomic_add_fetch(&key_ends, (int)(long)value, __ATOMIC_SEQ_CST); }
static void init(void) {
    once_runs++;
    pthread_key_create(&key, key_end);
}
static void *use_key(void *arg) {
    (void)arg;
    pthread_once(&once, init);
    pthread_setspecific(key, (void *)2);
    return NULL;
}

static void *await(void *arg) {
    pthread_mutex_lock(&mutex);
    crowd++;
    while (!*(volatile int *)arg) pthread_cond_wait(&filled, &mutex);
    pthread_mutex_unlock(&mutex);
    return (void *)7;
}

static void *lock_with_timeout(void *arg) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 20000000;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    return (void *)(long)pthread_mutex_timedlock(arg, &at);
}

static void *sleep_long(void *arg) {
    (void)arg;
    for (;;) sleep(1000);
    return NULL;
}

int main(void) {
    run(lock_often);
    GIVES(THREADS * ROUNDS, counter);
    run(produce_or_consume);
    CHECK(produced == consumed && produced == THREADS / 2 * ROUNDS);
    GIVES((long)produced * (produced + 1) / 2, sum);
    pthread_barrier_init(&barrier, NULL, THREADS);
    run(meet);
    GIVES(50, serial);
    CHECK(!torn);
    run(read_or_write);
    CHECK(pair[0] == 2 * ROUNDS && pair[1] == pair[0] && !torn);
    sem_init(&semaphore, 0, 3);
    run(pass);
    CHECK(!torn && inside == 0);
    run(use_key);
    GIVES(1, once_runs);
    GIVES(2 * THREADS, key_ends);

    /* Broadcast, exit values, detached threads. */
    volatile int go = 0;
    crowd = 0;
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, await, (void *)&go);
    for (;;) {
        pthread_mutex_lock(&mutex);
        if (crowd == THREADS) break;
        pthread_mutex_unlock(&mutex);
        sched_yield();
    }
    go = 1;
    pthread_cond_broadcast(&filled);
    pthread_mutex_unlock(&mutex);
    void *result;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        if (result != (void *)7) torn = 1;
    }
    CHECK(!torn);

    /* Timeouts. */
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec -= 1;
    pthread_mutex_lock(&mutex);
    GIVES(ETIMEDOUT, pthread_cond_timedwait(&filled, &mutex, &at));
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 10000000;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    GIVES(ETIMEDOUT, pthread_cond_timedwait(&filled, &mutex, &at));
    clock_gettime(CLOCK_MONOTONIC, &at);
    GIVES(ETIMEDOUT, pthread_cond_clockwait(&filled, &mutex, CLOCK_MONOTONIC, &at));
    pthread_create(threads, NULL, lock_with_timeout, &mutex);
    pthread_join(*threads, &result);
    GIVES(ETIMEDOUT, (long)result);
    pthread_mutex_unlock(&mutex);
    sem_init(&semaphore, 0, 0);
    clock_gettime(CLOCK_REALTIME, &at);
    FAILS(ETIMEDOUT, sem_timedwait(&semaphore, &at));
    FAILS(EAGAIN, sem_trywait(&semaphore));

    /* Kinds of mutexes. */
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutex_t special;
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&special, &attr);
    GIVES(0, pthread_mutex_lock(&special));
    GIVES(0, pthread_mutex_lock(&special));
    GIVES(0, pthread_mutex_unlock(&special));
    GIVES(0, pthread_mutex_unlock(&special));
    GIVES(EPERM, pthread_mutex_unlock(&special));
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&special, &attr);
    GIVES(0, pthread_mutex_lock(&special));
    GIVES(EDEADLK, pthread_mutex_lock(&special));
    GIVES(0, pthread_mutex_unlock(&special));

    /* With priority inheritance. */
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_NORMAL);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex, &attr);
    counter = 0;
    run(lock_often);
    GIVES(THREADS * ROUNDS, counter);
    pthread_mutex_lock(&mutex);
    pthread_create(threads, NULL, lock_with_timeout, &mutex);
    pthread_join(*threads, &result);
    GIVES(ETIMEDOUT, (long)result);
    pthread_mutex_unlock(&mutex);

    /* Cancellation wakes a sleeper. */
    pthread_create(threads, NULL, sleep_long, NULL);
    GIVES(0, pthread_cancel(*threads));
    GIVES(0, pthread_join(*threads, &result));
    CHECK(result == PTHREAD_CANCELED);
    return done();
}
