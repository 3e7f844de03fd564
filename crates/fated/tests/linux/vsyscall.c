/* The calls of old programs that lead to a page of Linux's own: they say what other calls say, wherever they are made. */
#include "check.h"

#include <pthread.h>
#include <setjmp.h>

static int (*const old_gettimeofday)(struct timeval *, void *) = (void *)0xffffffffff600000;
static time_t (*const old_time)(time_t *) = (void *)0xffffffffff600400;
static long (*const old_getcpu)(unsigned *, unsigned *, void *) = (void *)0xffffffffff600800;

static sigjmp_buf back;

static void give_up(int signal) {
    (void)signal;
    siglongjmp(back, 1);
}

static void calls(void) {
    time_t first = syscall(SYS_time, NULL), now = old_time(NULL), last = syscall(SYS_time, NULL);
    CHECK(first <= now && now <= last);
    struct timeval of_day;
    GIVES(0, old_gettimeofday(&of_day, NULL));
    /* time tells of the last tick, which may have been in the second before. */
    CHECK(first <= of_day.tv_sec && of_day.tv_sec <= syscall(SYS_time, NULL) + 1);
    unsigned cpu = 12345;
    GIVES(0, old_getcpu(&cpu, NULL, NULL));
    CHECK(cpu < 12345);
}

static void *in_thread(void *argument) {
    calls();
    return argument;
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = give_up}, old;
    sigaction(SIGSEGV, &action, &old);
    if (sigsetjmp(back, 1)) {
        printf("Linux has no such page here\n");
        return 0;
    }
    old_time(NULL);
    sigaction(SIGSEGV, &old, NULL);

    calls();
    if (argc > 1) return done();
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    pid_t child = fork();
    if (child == 0) {
        calls();
        exit(done());
    }
    reap(child);
    child = vfork();
    if (child == 0) {
        /* A process that shares its memory, until it starts a program. */
        calls();
        execl("/proc/self/exe", argv[0], "again", NULL);
        _exit(1);
    }
    reap(child);
    return done();
}
