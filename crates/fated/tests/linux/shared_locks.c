/* Locks between processes, and locks whose owner dies. */
#include "check.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

static struct {
    pthread_mutex_t mutex, robust, robust_pi;
    pthread_cond_t cond;
    pthread_barrier_t barrier;
    sem_t semaphore, second;
    long counter;
    volatile int state;
} *shared;

static void *lock_and_leave(void *mutex) {
    pthread_mutex_lock(mutex);
    return NULL;
}

static void *lock_and_tell(void *mutex) {
    int error = pthread_mutex_lock(mutex);
    if (error == EOWNERDEAD) pthread_mutex_consistent(mutex);
    pthread_mutex_unlock(mutex);
    return (void *)(long)error;
}

int main(void) {
    shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->robust, &attr);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&shared->robust_pi, &attr);
    pthread_condattr_t cond;
    pthread_condattr_init(&cond);
    pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&shared->cond, &cond);
    pthread_barrierattr_t barrier;
    pthread_barrierattr_init(&barrier);
    pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->barrier, &barrier, 4);
    sem_init(&shared->semaphore, 1, 0);
    sem_init(&shared->second, 1, 0);

    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        if ((children[i] = fork()) == 0) {
            for (int j = 0; j < 300; j++) {
                pthread_mutex_lock(&shared->mutex);
                long seen = shared->counter;
                if (j % 16 == i) sched_yield();
                shared->counter = seen + 1;
                pthread_mutex_unlock(&shared->mutex);
            }
            for (int j = 0; j < 20; j++) pthread_barrier_wait(&shared->barrier);
            exit(0);
        }
    }
    for (int i = 0; i < 4; i++) reap(children[i]);
    GIVES(1200, shared->counter);

    /* Ping, pong. */
    if ((children[0] = fork()) == 0) {
        for (int i = 0; i < 200; i++) {
            sem_wait(&shared->semaphore);
            sem_post(&shared->second);
        }
        exit(0);
    }
    for (int i = 0; i < 200; i++) {
        sem_post(&shared->semaphore);
        sem_wait(&shared->second);
    }
    reap(children[0]);
    if ((children[0] = fork()) == 0) {
        pthread_mutex_lock(&shared->mutex);
        shared->state = 1;
        pthread_cond_signal(&shared->cond);
        while (shared->state != 2) pthread_cond_wait(&shared->cond, &shared->mutex);
        pthread_mutex_unlock(&shared->mutex);
        exit(0);
    }
    pthread_mutex_lock(&shared->mutex);
    while (shared->state != 1) pthread_cond_wait(&shared->cond, &shared->mutex);
    shared->state = 2;
    pthread_cond_signal(&shared->cond);
    pthread_mutex_unlock(&shared->mutex);
    reap(children[0]);

    /* The owner exits, is killed, execs; the next one learns it. */
    pthread_mutex_t *robust[] = {&shared->robust, &shared->robust_pi};
    for (int kind = 0; kind < 2; kind++) {
        for (int how = 0; how < 3; how++) {
            shared->state = 0;
            if ((children[0] = fork()) == 0) {
                pthread_mutex_lock(robust[kind]);
                shared->state = 1;
                if (how == 0) _exit(0);
                if (how == 1) pause();
                execl("/bin/sleep", "sleep", "1", NULL);
                _exit(9);
            }
            while (!shared->state) sleep_ms(1);
            if (how == 1) {
                sleep_ms(5);
                kill(children[0], SIGKILL);
            }
            GIVES(EOWNERDEAD, pthread_mutex_lock(robust[kind]));
            GIVES(0, pthread_mutex_consistent(robust[kind]));
            GIVES(0, pthread_mutex_unlock(robust[kind]));
            int status;
            GIVES(children[0] > 0, waitpid(children[0], &status, 0) == children[0]);
            GIVES(how == 1 ? SIGKILL : 0, status);
        }
    }
    /* A thread that ends with it, and one that waits meanwhile. */
    pthread_t thread, waiter;
    for (int kind = 0; kind < 2; kind++) {
        pthread_create(&thread, NULL, lock_and_leave, robust[kind]);
        pthread_join(thread, NULL);
        pthread_create(&waiter, NULL, lock_and_tell, robust[kind]);
        void *error;
        pthread_join(waiter, &error);
        GIVES(EOWNERDEAD, (long)error);
        GIVES(0, pthread_mutex_lock(robust[kind]));
        pthread_create(&waiter, NULL, lock_and_tell, robust[kind]);
        sleep_ms(5);
        GIVES(0, pthread_mutex_unlock(robust[kind]));
        pthread_join(waiter, &error);
        GIVES(0, (long)error);
    }
    /* Not made consistent, it can't be had any more. */
    pthread_create(&thread, NULL, lock_and_leave, &shared->robust);
    pthread_join(thread, NULL);
    GIVES(EOWNERDEAD, pthread_mutex_lock(&shared->robust));
    GIVES(0, pthread_mutex_unlock(&shared->robust));
    GIVES(ENOTRECOVERABLE, pthread_mutex_lock(&shared->robust));
    return done();
}
