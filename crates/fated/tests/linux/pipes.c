/* Pipes: what fits, what is whole, what blocks, what the ends are told. */
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char data[1 << 18];
/* An address that nothing is at, unknown to the compiler. */
static void *volatile bad = (void *)16;
static volatile int seen;
static void note(int signal) { seen = signal; }

static int events(int fd) {
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    poll(&entry, 1, 0);
    return entry.revents;
}

static void errors(void) {
    int p[2];
    FAILS(EFAULT, pipe(bad));
    FAILS(EINVAL, pipe2(p, O_APPEND));
    GIVES(0, pipe2(p, O_NONBLOCK | O_CLOEXEC));
    GIVES(O_RDONLY | O_NONBLOCK, fcntl(p[0], F_GETFL));
    GIVES(O_WRONLY | O_NONBLOCK, fcntl(p[1], F_GETFL));
    GIVES(FD_CLOEXEC, fcntl(p[1], F_GETFD));
    FAILS(EBADF, read(p[1], data, 1));
    FAILS(EBADF, write(p[0], data, 1));
    FAILS(EAGAIN, read(p[0], data, 1));
    GIVES(0, read(p[0], data, 0));
    GIVES(0, write(p[1], data, 0));
    FAILS(EFAULT, write(p[1], bad, 5));
    FAILS(EFAULT, syscall(SYS_read, p[0], data, -1L));
    FAILS(EINVAL, syscall(SYS_readv, p[0], data, 1025));
    FAILS(ESPIPE, pread(p[0], data, 1, 0));
    FAILS(ESPIPE, pwrite(p[1], data, 1, 0));
    FAILS(EINVAL, pread(p[0], data, 1, -1));
    FAILS(ESPIPE, lseek(p[0], 0, SEEK_CUR));
    FAILS(EINVAL, lseek(p[0], 0, 9));
    struct stat stat;
    CHECK(!fstat(p[0], &stat) && S_ISFIFO(stat.st_mode) && (stat.st_mode & 0777) == 0600);
    GIVES(3, write(p[1], "abc", 3));
    FAILS(EFAULT, read(p[0], bad, 3));
    int n = -1;
    GIVES(0, ioctl(p[0], FIONREAD, &n));
    GIVES(3, n);
    FAILS(ENOTTY, ioctl(p[0], 0x5401, data));
    close(p[0]), close(p[1]);
}

static void room(void) {
    int p[2];
    pipe2(p, O_NONBLOCK);
    GIVES(65536, fcntl(p[0], F_GETPIPE_SZ));
    GIVES(POLLOUT, events(p[1]));
    GIVES(0, events(p[0]));
    GIVES(65536, write(p[1], data, sizeof data));
    FAILS(EAGAIN, write(p[1], data, 1));
    GIVES(0, events(p[1]));
    GIVES(POLLIN, events(p[0]));
    GIVES(1, read(p[0], data, 1));
    /* The page isn't free yet. */
    FAILS(EAGAIN, write(p[1], data, 1));
    GIVES(0, events(p[1]));
    GIVES(4095, read(p[0], data, 4095));
    GIVES(POLLOUT, events(p[1]));
    GIVES(4096, write(p[1], data, 5000));
    GIVES(65536, read(p[0], data, sizeof data));
    /* Small writes share pages. */
    int count = 0;
    while (write(p[1], data, 1) == 1) count++;
    GIVES(65536, count);
    GIVES(65536, read(p[0], data, sizeof data));
    /* Writes that don't fit into the rest of a page begin a new one. */
    for (count = 0; write(p[1], data, 3000) == 3000;) count++;
    GIVES(16, count);
    FAILS(EAGAIN, write(p[1], data, 1097));
    GIVES(1096, write(p[1], data, 1096));
    GIVES(49096, read(p[0], data, sizeof data));
    GIVES(4096, fcntl(p[1], F_SETPIPE_SZ, 1));
    GIVES(8192, fcntl(p[1], F_SETPIPE_SZ, 4097));
    GIVES(8192, fcntl(p[0], F_GETPIPE_SZ));
    GIVES(8192, write(p[1], data, 10000));
    FAILS(EBUSY, fcntl(p[1], F_SETPIPE_SZ, 4096));
    close(p[0]), close(p[1]);
}

static void ends(void) {
    int p[2];
    pipe(p);
    GIVES(2, write(p[1], "xy", 2));
    close(p[1]);
    GIVES(POLLIN | POLLHUP, events(p[0]));
    GIVES(2, read(p[0], data, 10));
    GIVES(POLLHUP, events(p[0]));
    GIVES(0, read(p[0], data, 10));
    close(p[0]);
    pipe(p);
    close(p[0]);
    GIVES(POLLOUT | POLLERR, events(p[1]));
    signal(SIGPIPE, note);
    GIVES(0, write(p[1], "x", 0));
    FAILS(EPIPE, write(p[1], "x", 1));
    GIVES(SIGPIPE, seen);
    signal(SIGPIPE, SIG_IGN);
    FAILS(EPIPE, write(p[1], "x", 1));
    close(p[1]);
    pipe(p);
    if (fork() == 0) {
        signal(SIGPIPE, SIG_DFL);
        close(p[0]);
        sleep_ms(50);
        write(p[1], "x", 1);
        _exit(0);
    }
    close(p[0]);
    int status;
    wait(&status);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    close(p[1]);
}

static void blocking(void) {
    int p[2];
    pipe(p);
    pid_t child = fork();
    if (child == 0) {
        long got = 0, n;
        close(p[1]);
        while ((n = read(p[0], data, 1000)) > 0) {
            for (long i = 0; i < n; i++)
                if (data[i] != (char)((got + i) % 251)) _exit(2);
            got += n;
        }
        _exit(got != sizeof data);
    }
    close(p[0]);
    for (unsigned i = 0; i < sizeof data; i++) data[i] = i % 251;
    GIVES(sizeof data, write(p[1], data, sizeof data));
    close(p[1]);
    reap(child);

    /* A signal ends a write that has begun with what is done. */
    pipe(p);
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 0}, {0, 50000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    GIVES(65536, write(p[1], data, sizeof data));
    GIVES(SIGALRM, seen);
    /* One that has done nothing is made again with SA_RESTART, and fails without. */
    child = fork();
    if (child == 0) {
        sleep_ms(200);
        _exit(read(p[0], data, 65536) != 65536);
    }
    setitimer(ITIMER_REAL, &timer, NULL);
    GIVES(10, write(p[1], data, 10));
    reap(child);
    action.sa_flags = 0;
    sigaction(SIGALRM, &action, NULL);
    GIVES(10, read(p[0], data, 100));
    setitimer(ITIMER_REAL, &timer, NULL);
    FAILS(EINTR, read(p[0], data, 100));
    close(p[0]), close(p[1]);

    /* The last writer's end wakes readers. */
    pipe(p);
    child = fork();
    if (child == 0) {
        sleep_ms(50);
        _exit(0);
    }
    close(p[1]);
    GIVES(0, read(p[0], data, 100));
    reap(child);
    close(p[0]);
}

static void packets(void) {
    int p[2];
    GIVES(0, pipe2(p, O_DIRECT));
    GIVES(O_WRONLY | O_DIRECT, fcntl(p[1], F_GETFL));
    write(p[1], "one", 3);
    write(p[1], "three", 5);
    GIVES(3, read(p[0], data, 100));
    GIVES(2, read(p[0], data, 2));
    GIVES(1, (write(p[1], "x", 1)));
    GIVES(1, read(p[0], data, 100));
    close(p[0]), close(p[1]);
}

static void vectors(void) {
    int p[2];
    pipe(p);
    char a[4], b[8] = {0};
    struct iovec out[] = {{"ab", 2}, {NULL, 0}, {"cdef", 4}}, in[] = {{a, 3}, {b, 8}};
    GIVES(6, writev(p[1], out, 3));
    GIVES(6, readv(p[0], in, 2));
    CHECK(!memcmp(a, "abc", 3) && !memcmp(b, "def", 3));
    GIVES(6, pwritev2(p[1], out, 3, -1, 0));
    GIVES(6, preadv2(p[0], in, 2, -1, 0));
    FAILS(ESPIPE, preadv(p[0], in, 2, 0));
    FAILS(EAGAIN, preadv2(p[0], in, 2, -1, RWF_NOWAIT));
    FAILS(EOPNOTSUPP, preadv2(p[0], in, 2, -1, 0x40000000));
    FAILS(EOPNOTSUPP, pwritev2(p[1], out, 3, -1, 0x40000000));
    close(p[0]), close(p[1]);
}

int main(void) {
    errors();
    room();
    ends();
    blocking();
    packets();
    vectors();
    return done();
}
