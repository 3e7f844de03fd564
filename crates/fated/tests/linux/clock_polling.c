/* Loops that do nothing but read a clock end when the time has come. */
#include "check.h"

#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t handled;
static void handle(int signal) { (void)signal, handled++; }

int main(void) {
    int64_t start = now_ns(CLOCK_MONOTONIC), now, before = start;
    int backwards = 0;
    while ((now = now_ns(CLOCK_MONOTONIC)) - start < 2000000000) {
        backwards += now < before;
        before = now;
    }
    CHECK(!backwards);

    /* Timers expire meanwhile. */
    signal(SIGALRM, handle);
    GIVES(0, setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 300000}}, NULL));
    struct timeval tv;
    while (!handled) gettimeofday(&tv, NULL);
    CHECK(handled == 1);

    /* Processor time is part of it. */
    start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    while (now_ns(CLOCK_PROCESS_CPUTIME_ID) - start < 100000000) continue;
    CHECK(now_ns(CLOCK_PROCESS_CPUTIME_ID) <= now_ns(CLOCK_MONOTONIC));
    return done();
}
