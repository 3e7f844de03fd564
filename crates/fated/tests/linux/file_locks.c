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

/* The lock that keeps one on these bytes from being granted, as a line; each time from a child, which holds none. */
static const char *blocker(int fd, int kind, int start, int len) {
    static char text[100];
    int to_parent[2];
    pid_t self = getpid();
    pipe(to_parent);
    pid_t child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
        int result = fcntl(fd, F_GETLK, &lock);
        if (result || lock.l_type == F_UNLCK)
            snprintf(text, sizeof text, "%s", result ? "failed" : "free");
        else
            snprintf(text, sizeof text, "%s %ld+%ld of %s", lock.l_type == F_RDLCK ? "read" : "write", (long)lock.l_start,
                     (long)lock.l_len, lock.l_pid == self ? "parent" : lock.l_pid == -1 ? "none" : "another");
        write(to_parent[1], text, sizeof text);
        _exit(0);
    }
    close(to_parent[1]);
    read(to_parent[0], text, sizeof text);
    close(to_parent[0]);
    reap(child);
    return text;
}

#define BLOCKER(expected, fd, kind, start, len) CHECK(strcmp(blocker(fd, kind, start, len), expected) == 0)

/* Ranges are split and merged, and their owner is known. */
static void ranges(void) {
    int file = open("f", O_RDWR), same = dup(file), p[2];
    GIVES(0, record(file, F_SETLK, F_WRLCK, 10, 20));
    BLOCKER("write 10+20 of parent", file, F_RDLCK, 0, 0);
    BLOCKER("free", file, F_WRLCK, 0, 10);
    BLOCKER("free", file, F_WRLCK, 30, 0);
    GIVES(0, record(file, F_SETLK, F_RDLCK, 15, 5));
    BLOCKER("write 10+5 of parent", file, F_RDLCK, 0, 0);
    BLOCKER("read 15+5 of parent", file, F_WRLCK, 15, 1);
    BLOCKER("free", file, F_RDLCK, 15, 5);
    BLOCKER("write 20+10 of parent", file, F_RDLCK, 15, 6);
    GIVES(0, record(file, F_SETLK, F_UNLCK, 12, 1));
    BLOCKER("write 10+2 of parent", file, F_RDLCK, 0, 0);
    BLOCKER("write 13+2 of parent", file, F_RDLCK, 12, 0);
    GIVES(0, record(file, F_SETLK, F_WRLCK, 12, 8));
    BLOCKER("write 10+20 of parent", file, F_RDLCK, 25, 1);
    GIVES(0, record(file, F_SETLK, F_WRLCK, 25, 0));
    BLOCKER("write 10+0 of parent", file, F_RDLCK, 1000, 1);
    GIVES(0, record(file, F_SETLK, F_UNLCK, 20, 10));
    BLOCKER("write 30+0 of parent", file, F_RDLCK, 20, 0);
    /* From where the file stands, from its end, and backwards. */
    GIVES(0, record(file, F_SETLK, F_UNLCK, 0, 0));
    put("f", "0123456789");
    GIVES(4, lseek(file, 4, SEEK_SET));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 2, .l_len = 3};
    GIVES(0, fcntl(file, F_SETLK, &lock));
    BLOCKER("write 6+3 of parent", file, F_RDLCK, 0, 0);
    lock = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_END, .l_start = -1, .l_len = -2};
    GIVES(0, fcntl(file, F_SETLK, &lock));
    BLOCKER("write 6+1 of parent", file, F_RDLCK, 0, 0);
    BLOCKER("read 7+2 of parent", file, F_WRLCK, 7, 0);
    lock = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = -6};
    FAILS(EINVAL, fcntl(file, F_SETLK, &lock));
    lock = (struct flock){.l_type = 7, .l_whence = SEEK_SET};
    FAILS(EINVAL, fcntl(file, F_SETLK, &lock));
    FAILS(EBADF, record(77, F_SETLK, F_WRLCK, 0, 1));
    int reader = open("f", O_RDONLY);
    FAILS(EBADF, record(reader, F_SETLK, F_WRLCK, 0, 1));
    close(reader);
    BLOCKER("free", file, F_WRLCK, 0, 0);
    /* All that closes a descriptor of the file drops them. */
    put("g", "");
    pipe(p);
    for (int way = 0; way < 4; way++) {
        GIVES(0, record(file, F_SETLK, F_WRLCK, 0, 1));
        int other = open("f", O_RDONLY), unrelated = open("g", O_RDONLY);
        close(unrelated);
        BLOCKER("write 0+1 of parent", file, F_RDLCK, 0, 1);
        switch (way) {
        case 0: close(other); break;
        case 1: dup2(p[0], other), close(other); break;
        case 2: dup2(same, other), close(other); break;
        case 3: syscall(SYS_close_range, other, other, 0); break;
        }
        BLOCKER("free", file, F_WRLCK, 0, 0);
    }
    close(p[0]), close(p[1]), close(same);
    /* Those of an open file have no process. */
    GIVES(0, record(file, F_OFD_SETLK, F_RDLCK, 3, 4));
    BLOCKER("read 3+4 of none", file, F_WRLCK, 0, 0);
    GIVES(F_RDLCK, record(file, F_GETLK, F_WRLCK, 0, 0));
    FAILS(EAGAIN, record(file, F_SETLK, F_WRLCK, 3, 1));
    GIVES(0, record(file, F_SETLK, F_RDLCK, 3, 1));
    GIVES(0, record(file, F_OFD_SETLK, F_UNLCK, 0, 0));
    BLOCKER("read 3+1 of parent", file, F_WRLCK, 0, 0);
    close(file);
}

/* Locks stay over an exec, but not those of files that it closes. */
static void over_exec(const char *self) {
    int file = open("f", O_RDWR), up[2], down[2];
    char byte;
    for (int way = 0; way < 2; way++) {
        pipe(up), pipe(down);
        pid_t child = fork();
        if (child == 0) {
            if (record(file, F_SETLK, F_WRLCK, 0, 1)) _exit(2);
            if (way) open("f", O_RDONLY | O_CLOEXEC);
            dup2(up[1], 50), dup2(down[0], 51);
            execl(self, self, "hold", NULL);
            _exit(3);
        }
        GIVES(1, read(up[0], &byte, 1));
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        GIVES(0, fcntl(file, F_GETLK, &lock));
        GIVES(way ? F_UNLCK : F_WRLCK, lock.l_type);
        CHECK(way || lock.l_pid == child);
        write(down[1], "x", 1);
        reap(child);
        close(up[0]), close(up[1]), close(down[0]), close(down[1]);
    }
    close(file);
}

static int hold(void) {
    char byte;
    return write(50, "x", 1) != 1 || read(51, &byte, 1) != 1;
}

/* Processes that would wait for each other for ever. */
static void deadlocks(void) {
    int file = open("f", O_RDWR), up[2];
    char byte;
    pipe(up);
    GIVES(0, record(file, F_SETLK, F_WRLCK, 0, 1));
    pid_t child = fork();
    if (child == 0) {
        if (record(file, F_SETLK, F_WRLCK, 1, 1)) _exit(2);
        write(up[1], "x", 1);
        _exit(record(file, F_SETLKW, F_WRLCK, 0, 1) != 0);
    }
    read(up[0], &byte, 1);
    pid_t third = fork();
    if (third == 0) {
        if (record(file, F_SETLK, F_WRLCK, 2, 1)) _exit(2);
        write(up[1], "x", 1);
        _exit(record(file, F_SETLKW, F_WRLCK, 1, 1) != 0);
    }
    read(up[0], &byte, 1);
    sleep_ms(100);
    FAILS(EAGAIN, record(file, F_SETLK, F_WRLCK, 1, 1));
    FAILS(EDEADLK, record(file, F_SETLKW, F_WRLCK, 1, 1));
    FAILS(EDEADLK, record(file, F_SETLKW, F_RDLCK, 2, 1));
    GIVES(0, record(file, F_SETLKW, F_WRLCK, 3, 1));
    GIVES(0, record(file, F_SETLK, F_UNLCK, 0, 1));
    reap(child);
    reap(third);
    GIVES(0, record(file, F_SETLKW, F_WRLCK, 0, 0));
    close(file), close(up[0]), close(up[1]);
}

/* Who is in nobody's way gets on, first come first served. */
static void turns(void) {
    int file = open("f", O_RDWR), done[2];
    pid_t children[3];
    char names[4] = {0};
    pipe(done);
    GIVES(0, record(file, F_SETLK, F_WRLCK, 0, 30));
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            if (record(file, F_SETLKW, F_WRLCK, 10 * i, 10)) _exit(1);
            write(done[1], &"abc"[i], 1);
            _exit(0);
        }
    }
    sleep_ms(50);
    for (int i = 2; i >= 0; i--) {
        GIVES(0, record(file, F_SETLK, F_UNLCK, 10 * i, 10));
        read(done[0], names + 2 - i, 1);
        reap(children[i]);
    }
    CHECK(strcmp(names, "cba") == 0);
    /* A flock that can't become exclusive is lost; forks have the same. */
    int one = open("f", O_RDONLY), other = open("f", O_RDONLY), third = open("f", O_RDONLY);
    GIVES(0, flock(one, LOCK_SH));
    GIVES(0, flock(other, LOCK_SH));
    FAILS(EAGAIN, flock(one, LOCK_EX | LOCK_NB));
    GIVES(0, flock(other, LOCK_EX | LOCK_NB));
    FAILS(EAGAIN, flock(third, LOCK_SH | LOCK_NB));
    pid_t child = fork();
    if (child == 0) _exit(flock(other, LOCK_UN));
    reap(child);
    GIVES(0, flock(third, LOCK_SH | LOCK_NB));
    GIVES(0, record(file, F_SETLK, F_WRLCK, 0, 0));
    close(one), close(other), close(third), close(file), close(done[0]), close(done[1]);
}

int main(int count, char **args) {
    (void)args;
    if (count == 2) return hold();
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = 0;
    enter_folder();
    put("f", "");
    whole();
    records();
    ranges();
    over_exec(self);
    deadlocks();
    turns();
    leave_folder();
    return done();
}
