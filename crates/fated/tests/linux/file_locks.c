/* flock and record locks: who waits for whom. */
#include "check.h"
#include "folder.h"
#include <sys/file.h>

static volatile int seen;
static void note(int signal) { seen = signal; }

static int record(int fd, int command, int kind, int start, int len) {
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    int result = fcntl(fd, command, &lock);
    return result == 0 && command == F_GETLK ? lock.l_type : result;
}

/* A child that holds the lock of a file until it is told, with a byte each way. */
static pid_t holder(int (*take)(void), int to_child[2], int to_parent[2]) {
    pipe(to_child), pipe(to_parent);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(to_child[1]);
        if (take()) _exit(2);
        write(to_parent[1], "x", 1);
        read(to_child[0], &byte, 1);
        sleep_ms(100);
        _exit(0);
    }
    char byte;
    read(to_parent[0], &byte, 1);
    return child;
}

static int take_flock(void) { return flock(open("f", O_RDWR), LOCK_EX); }
static int take_record(void) { return record(open("f", O_RDWR), F_SETLK, F_WRLCK, 0, 10); }

static void whole(void) {
    int down[2], up[2], file = open("f", O_RDONLY);
    FAILS(EBADF, flock(77, LOCK_EX));
    FAILS(EINVAL, flock(file, 0));
    pid_t child = holder(take_flock, down, up);
    FAILS(EWOULDBLOCK, flock(file, LOCK_EX | LOCK_NB));
    FAILS(EWOULDBLOCK, flock(file, LOCK_SH | LOCK_NB));
    int64_t start = now_ns(CLOCK_MONOTONIC);
    write(down[1], "x", 1);
    GIVES(0, flock(file, LOCK_EX));
    CHECK(now_ns(CLOCK_MONOTONIC) - start >= 90000000);
    reap(child);
    /* A lock is the open file's: a dup has it, another open doesn't. */
    int same = dup(file), other = open("f", O_RDONLY);
    GIVES(0, flock(same, LOCK_EX | LOCK_NB));
    FAILS(EWOULDBLOCK, flock(other, LOCK_SH | LOCK_NB));
    close(file);
    FAILS(EWOULDBLOCK, flock(other, LOCK_SH | LOCK_NB));
    close(same);
    GIVES(0, flock(other, LOCK_SH | LOCK_NB));
    GIVES(0, flock(other, LOCK_UN));
    close(other);
    /* A handler interrupts the wait. */
    child = holder(take_flock, down, up);
    file = open("f", O_RDWR);
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 0}, {0, 50000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    FAILS(EINTR, flock(file, LOCK_SH));
    write(down[1], "x", 1);
    GIVES(0, flock(file, LOCK_SH));
    reap(child);
    close(file);
}

static void records(void) {
    int down[2], up[2], file = open("f", O_RDWR);
    pid_t child = holder(take_record, down, up);
    FAILS(EAGAIN, record(file, F_SETLK, F_WRLCK, 5, 1));
    GIVES(0, record(file, F_SETLK, F_WRLCK, 10, 5));
    GIVES(F_WRLCK, record(file, F_GETLK, F_RDLCK, 0, 1));
    GIVES(F_UNLCK, record(file, F_GETLK, F_RDLCK, 20, 1));
    int64_t start = now_ns(CLOCK_MONOTONIC);
    write(down[1], "x", 1);
    GIVES(0, record(file, F_SETLKW, F_WRLCK, 0, 20));
    CHECK(now_ns(CLOCK_MONOTONIC) - start >= 90000000);
    reap(child);
    /* A child has none of them; any close of the file drops them all. */
    child = fork();
    if (child == 0) _exit(record(file, F_SETLK, F_WRLCK, 0, 1) != -1 || errno != EAGAIN);
    reap(child);
    close(open("f", O_RDONLY));
    child = fork();
    if (child == 0) _exit(record(file, F_SETLK, F_WRLCK, 0, 1) != 0);
    reap(child);
    /* A waiter goes on when the holder unlocks. */
    record(file, F_SETLK, F_WRLCK, 0, 10);
    child = fork();
    if (child == 0) _exit(record(file, F_SETLKW, F_WRLCK, 0, 10) != 0);
    sleep_ms(50);
    GIVES(0, record(file, F_SETLK, F_UNLCK, 0, 10));
    reap(child);
    /* Locks of open files. */
    int other = open("f", O_RDWR);
    GIVES(0, record(file, F_OFD_SETLK, F_WRLCK, 0, 10));
    FAILS(EAGAIN, record(other, F_OFD_SETLK, F_WRLCK, 0, 10));
    child = fork();
    if (child == 0) _exit(record(other, F_OFD_SETLKW, F_WRLCK, 0, 10) != 0);
    sleep_ms(50);
    record(file, F_OFD_SETLK, F_UNLCK, 0, 10);
    reap(child);
    close(file), close(other);
}

int main(void) {
    enter_folder();
    put("f", "");
    whole();
    records();
    leave_folder();
    return done();
}
