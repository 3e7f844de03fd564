/* Threads that take turns as the scheduler likes: prints the order in which they ran, and what unlocked counting loses. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char order[256];
static int used;
static volatile int counter;

static void *worker(void *arg)
{
    for (int i = 0; i < 20; i++) {
        int seen = counter;
        sched_yield();
        counter = seen + 1;
        pthread_mutex_lock(&lock);
        order[used++] = "ABCD"[(long)arg];
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

int main(void)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], 0, worker, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    printf("%s %d\n", order, counter);
}
