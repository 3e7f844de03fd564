/* Descriptors: numbers, flags, what is shared and what isn't. */
#include "check.h"
#include "folder.h"
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static int close_range_(unsigned first, unsigned last, int flags) { return syscall(SYS_close_range, first, last, flags); }

static void numbers(void) {
    int p[2], q[2];
    pipe(p);
    GIVES(3, p[0]);
    GIVES(4, p[1]);
    GIVES(5, dup(p[1]));
    GIVES(9, dup2(p[1], 9));
    GIVES(9, dup2(9, 9));
    FAILS(EINVAL, dup3(9, 9, 0));
    FAILS(EINVAL, dup3(p[1], 10, O_APPEND));
    GIVES(10, dup3(p[1], 10, O_CLOEXEC));
    GIVES(FD_CLOEXEC, fcntl(10, F_GETFD));
    GIVES(0, fcntl(9, F_GETFD));
    GIVES(20, fcntl(p[0], F_DUPFD, 20));
    GIVES(21, fcntl(p[0], F_DUPFD_CLOEXEC, 20));
    GIVES(FD_CLOEXEC, fcntl(21, F_GETFD));
    FAILS(EBADF, dup(77));
    FAILS(EBADF, dup2(77, 5));
    FAILS(EBADF, dup2(5, -1));
    FAILS(EBADF, close(77));
    FAILS(EBADF, close(-1));
    FAILS(EBADF, fcntl(77, F_GETFL));
    FAILS(EINVAL, fcntl(p[0], F_DUPFD, -1));
    FAILS(EINVAL, fcntl(p[0], 12345));
    FAILS(EBADF, read(77, p, 1));
    FAILS(EBADF, write(77, p, 1));
    FAILS(EBADF, ioctl(77, FIONREAD, p));
    GIVES(1, write(5, "a", 1));
    GIVES(1, write(9, "b", 1));
    char text[4];
    GIVES(2, read(20, text, 4));
    GIVES(0, close(p[0]));
    pipe(q);
    GIVES(3, q[0]);
    GIVES(6, q[1]);
    /* Replacing a file by a pipe and back. */
    int file = open("f", O_RDWR | O_CREAT, 0600);
    GIVES(7, file);
    GIVES(7, dup2(q[1], 7));
    GIVES(1, write(7, "x", 1));
    GIVES(1, read(q[0], text, 4));
    file = open("f", O_RDWR);
    GIVES(8, file);
    GIVES(7, dup2(file, 7));
    GIVES(3, write(7, "xyz", 3));
    GIVES(3, lseek(file, 0, SEEK_CUR));
    GIVES(0, close_range_(5, 30, 0));
    FAILS(EBADF, fcntl(9, F_GETFD));
    FAILS(EINVAL, close_range_(5, 4, 0));
    FAILS(EINVAL, close_range_(5, 40, 1 << 9));
    GIVES(0, close_range_(3, 4, CLOSE_RANGE_CLOEXEC));
    GIVES(FD_CLOEXEC, fcntl(3, F_GETFD));
    GIVES(0, close_range_(3, ~0u, CLOSE_RANGE_UNSHARE));
    FAILS(EBADF, fcntl(3, F_GETFD));
}

static void flags(void) {
    int p[2];
    pipe(p);
    int other = dup(p[0]);
    GIVES(0, fcntl(p[0], F_SETFL, O_NONBLOCK));
    GIVES(O_NONBLOCK, fcntl(other, F_GETFL));
    char text[4];
    FAILS(EAGAIN, read(other, text, 1));
    int off = 0, on = 1;
    GIVES(0, ioctl(p[0], FIONBIO, &off));
    GIVES(0, fcntl(other, F_GETFL));
    GIVES(0, ioctl(p[0], FIONBIO, &on));
    /* A fork shares them. */
    pid_t child = fork();
    if (child == 0) _exit(fcntl(other, F_GETFL) != O_NONBLOCK || fcntl(other, F_SETFL, 0) != 0);
    reap(child);
    GIVES(0, fcntl(p[0], F_GETFL));
    GIVES(0, ioctl(p[0], FIOCLEX));
    GIVES(FD_CLOEXEC, fcntl(p[0], F_GETFD));
    GIVES(0, fcntl(other, F_GETFD));
    GIVES(0, ioctl(p[0], FIONCLEX));
    GIVES(0, fcntl(p[0], F_GETFD));
    GIVES(0, fcntl(p[0], F_SETFD, FD_CLOEXEC));
    GIVES(FD_CLOEXEC, fcntl(p[0], F_GETFD));
    int event = eventfd(0, 0), epoll = epoll_create1(0);
    GIVES(O_RDWR, fcntl(event, F_GETFL));
    GIVES(O_RDWR, fcntl(epoll, F_GETFL));
    FAILS(EBADF, fcntl(event, F_GETPIPE_SZ));
    FAILS(EINVAL, fcntl(event, F_SETFL, O_DIRECT));
    FAILS(EINVAL, fcntl(event, F_GET_SEALS));
    FAILS(ENOTTY, ioctl(event, FIONREAD, text));
    GIVES(0, lseek(event, 5, SEEK_SET));
    GIVES(0, close(event) | close(epoll) | close(p[0]) | close(p[1]) | close(other));
}

/* What exec closes. */
static void exec(char *self) {
    int p[2], q[2];
    pipe(p);
    pipe2(q, O_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        char numbers[32];
        dup2(p[1], 40);
        snprintf(numbers, sizeof numbers, "%d,%d", p[1], q[1]);
        execl(self, self, "exec", numbers, NULL);
        _exit(9);
    }
    close(p[1]);
    char text[8] = {0};
    reap(child);
    GIVES(2, read(p[0], text, 8));
    GIVES(0, read(p[0], text, 8));
    close(p[0]), close(q[0]), close(q[1]);
}

static int after_exec(const char *numbers) {
    int kept, closed;
    sscanf(numbers, "%d,%d", &kept, &closed);
    if (fcntl(closed, F_GETFD) != -1 || fcntl(kept, F_GETFL) != O_WRONLY) return 3;
    return write(kept, "a", 1) != 1 || write(40, "b", 1) != 1;
}

/* Every number is given out, and holds what was put there, in forks and after an exec too. */
static void many(const char *self) {
    int p[2];
    GIVES(0, pipe(p));
    for (int fd = 5; fd < 100; fd++)
        if (dup(p[1]) != fd) GIVES(fd, -1);
    GIVES(100, dup(p[1]));
    close_range_(5, ~0u, 0);
    FAILS(EBADF, fcntl(62, F_GETFD));
    FAILS(EBADF, close(63));
    GIVES(63, dup2(p[1], 63));
    GIVES(62, fcntl(p[1], F_DUPFD, 62));
    GIVES(64, fcntl(p[1], F_DUPFD, 62));
    close_range_(62, 64, 0);
    for (int number = 62; number < 64; number++) {
        pid_t child = fork();
        if (child == 0) {
            char numbers[32];
            snprintf(numbers, sizeof numbers, "%d,%d", dup2(p[1], number), dup3(p[1], 125 - number, O_CLOEXEC));
            dup2(p[1], 40);
            execl(self, self, "exec", numbers, NULL);
            _exit(9);
        }
        CHECK(waitpid(child, NULL, 0) == child);
        char text[8] = {0};
        GIVES(2, read(p[0], text, 8));
    }
    /* A limit below all of them. */
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {10, 10};
        if (setrlimit(RLIMIT_NOFILE, &limit) || dup2(p[1], 9) != 9 || dup2(p[1], 10) != -1) _exit(1);
        execl(self, self, "exec", "4,8", NULL);
        _exit(9);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    close_range_(3, ~0u, 0);
}

int main(int count, char **args) {
    if (count == 3) return after_exec(args[2]);
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = 0;
    enter_folder();
    close_range_(3, ~0u, 0);
    numbers();
    flags();
    exec(self);
    many(self);
    return done();
}
