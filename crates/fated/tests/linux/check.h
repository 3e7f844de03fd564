/* What all programs here share. Each prints what it checks, in an order that nothing but the program decides, and exits with
   1 if anything failed. */
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int check_failed;

/* Whether the real hard limit on descriptors is lower than a program's own in fated, which can't find that out. */
static inline int few_descriptors(void) { return getenv("FEW_DESCRIPTORS") != NULL; }

/* The condition holds. */
#define CHECK(condition) check_that((condition) != 0, #condition, __LINE__)
/* The call gives this value, or fails with this error. */
#define GIVES(expected, call) check_value((long)(call), (long)(expected), #call, __LINE__)
#define FAILS(error, call) (errno = 0, check_error((long)(call), error, #call, #error, __LINE__))

static inline void check_that(int holds, const char *what, int line) {
    int saved = errno;
    if (holds) {
        printf("ok: %s\n", what);
    } else {
        printf("FAILED in line %d: %s (errno %d)\n", line, what, saved);
        check_failed = 1;
    }
    fflush(stdout);
}

static inline void check_value(long value, long expected, const char *what, int line) {
    int saved = errno;
    if (value == expected) {
        printf("ok: %s = %ld\n", what, expected);
    } else {
        printf("FAILED in line %d: %s is %ld, not %ld (errno %d)\n", line, what, value, expected, saved);
        check_failed = 1;
    }
    fflush(stdout);
}

static inline void check_error(long value, int error, const char *what, const char *name, int line) {
    int saved = errno;
    if (value == -1 && saved == error) {
        printf("ok: %s fails with %s\n", what, name);
    } else {
        printf("FAILED in line %d: %s is %ld with errno %d, not %s\n", line, what, value, saved, name);
        check_failed = 1;
    }
    fflush(stdout);
}

/* The end of main, and of children. */
static inline int done(void) {
    fflush(stdout);
    return check_failed;
}

static inline int64_t now_ns(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now)) abort();
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline void sleep_ms(int ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&time, &time) && errno == EINTR) {}
}

/* Reaps a child and takes over its verdict. */
static inline void reap(pid_t child) {
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) {
        printf("FAILED: a child ended with %#x\n", status);
        check_failed = 1;
    }
}
#endif
