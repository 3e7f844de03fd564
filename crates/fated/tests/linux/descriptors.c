/* Descriptors: numbers, flags, what is shared and what isn't. */
#include "check.h"
#include "folder.h"
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <dirent.h>
#include <poll.h>

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

/* The numbers in /proc/self/fd, with that of the listing itself. */
static const char *listed(void) {
    static char text[256];
    int numbers[64], count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.' && count < 64) numbers[count++] = atoi(entry->d_name);
    closedir(dir);
    text[0] = 0;
    for (int next = 0; next < 64; next++)
        for (int i = 0; i < count; i++)
            if (numbers[i] == next) sprintf(text + strlen(text), "%d ", next);
    return text;
}

/* Files that are only read, some of which can't be opened. */
static void read_only(void) {
    char text[4];
    put("r", "abcdef");
    for (int round = 0; round < 3; round++) {
        GIVES(3, open("r", O_RDONLY));
        FAILS(ENOENT, open("none", O_RDONLY));
        FAILS(EISDIR, open(".", O_WRONLY));
        FAILS(ENOTDIR, open("r/x", O_RDONLY));
        GIVES(4, open("r", O_RDONLY | O_CLOEXEC));
        GIVES(5, dup(4));
        GIVES(FD_CLOEXEC, fcntl(4, F_GETFD));
        GIVES(0, fcntl(5, F_GETFD));
        GIVES(2, read(4, text, 2));
        GIVES(2, lseek(5, 0, SEEK_CUR));
        GIVES(0, close(3));
        GIVES(3, fcntl(5, F_DUPFD_CLOEXEC, 0));
        GIVES(FD_CLOEXEC, fcntl(3, F_GETFD));
        GIVES(0, fcntl(3, F_SETFD, 0));
        GIVES(0, fcntl(3, F_GETFD));
        GIVES(0, ioctl(3, FIOCLEX));
        GIVES(FD_CLOEXEC, fcntl(3, F_GETFD));
        GIVES(9, dup2(5, 9));
        GIVES(6, open("r", O_RDONLY));
        GIVES(9, dup3(6, 9, O_CLOEXEC));
        GIVES(0, lseek(9, 0, SEEK_CUR));
        GIVES(FD_CLOEXEC, fcntl(9, F_GETFD));
        CHECK(strcmp(listed(), "0 1 2 3 4 5 6 7 9 ") == 0);
        struct pollfd polled[2] = {{.fd = 6, .events = POLLIN}, {.fd = 8, .events = POLLIN}};
        GIVES(2, poll(polled, 2, -1));
        GIVES(POLLIN, polled[0].revents);
        GIVES(POLLNVAL, polled[1].revents);
        FAILS(ENOTSOCK, send(9, text, 1, 0));
        FAILS(EBADF, send(8, text, 1, 0));
        FAILS(EBADF, dup2(8, 9));
        FAILS(EBADF, dup2(8, 8));
        GIVES(9, dup2(9, 9));
        FAILS(EBADF, fcntl(8, F_DUPFD, 0));
        GIVES(7, memfd_create("m", MFD_CLOEXEC));
        GIVES(FD_CLOEXEC, fcntl(7, F_GETFD));
        GIVES(0, fcntl(dup(7), F_GETFD));
        pid_t child = fork();
        if (child == 0) _exit(close(4) != 0 || open("r", O_RDONLY) != 4 || lseek(5, 0, SEEK_CUR) != 2);
        reap(child);
        GIVES(0, close_range_(3, ~0u, 0));
    }
}

static int limit(rlim_t soft, rlim_t hard) {
    struct rlimit limit = {soft, hard};
    return setrlimit(RLIMIT_NOFILE, &limit);
}

/* No number reaches the limit, whoever would give it out. */
static void limits(const char *self) {
    int p[2], file = open("r", O_RDONLY);
    GIVES(3, file);
    pid_t child = fork();
    if (child == 0) {
        if (limit(8, 100)) _exit(1);
        for (int fd = 4; fd < 8; fd++) GIVES(fd, open("r", O_RDONLY));
        FAILS(EMFILE, open("r", O_RDONLY));
        FAILS(EMFILE, open("none", O_RDONLY));
        FAILS(EMFILE, open("new", O_RDWR | O_CREAT, 0600));
        FAILS(EMFILE, open("/dev/null", O_RDONLY));
        FAILS(EMFILE, open("/proc/self/stat", O_RDONLY));
        FAILS(ENOENT, access("new", F_OK));
        FAILS(EMFILE, dup(3));
        FAILS(EBADF, dup(30));
        FAILS(EMFILE, fcntl(3, F_DUPFD, 5));
        FAILS(EINVAL, fcntl(3, F_DUPFD, 8));
        FAILS(EBADF, dup2(3, 8));
        FAILS(EMFILE, pipe(p));
        FAILS(EMFILE, socketpair(AF_UNIX, SOCK_STREAM, 0, p));
        FAILS(EMFILE, eventfd(0, 0));
        FAILS(EMFILE, epoll_create1(0));
        FAILS(EMFILE, memfd_create("m", 0));
        GIVES(0, close(5));
        FAILS(EMFILE, pipe(p));
        GIVES(5, open("r", O_RDONLY));
        /* Those above stay. */
        GIVES(0, limit(5, 100));
        char byte;
        GIVES(1, read(7, &byte, 1));
        GIVES(4, dup2(7, 4));
        FAILS(EBADF, dup2(7, 7 - 1));
        GIVES(7, dup2(7, 7));
        GIVES(0, limit(100, 100));
        GIVES(99, dup2(7, 99));
        FAILS(EBADF, dup2(7, 100));
        _exit(done());
    }
    reap(child);
    GIVES(0, close(file));
    if (few_descriptors()) return;
    /* More than the limit at the begin, which an exec has as well. */
    GIVES(3, open("r", O_RDONLY));
    child = fork();
    if (child == 0) {
        if (limit(1025, 1025)) _exit(1);
        GIVES(0, pipe(p));
        GIVES(1024, dup2(p[0], 1024));
        GIVES(1024, dup2(3, 1024));
        FAILS(EBADF, dup2(3, 1025));
        _exit(done());
    }
    reap(child);
    child = fork();
    if (child == 0) {
        int fd;
        if (limit(4096, 4096)) _exit(1);
        do fd = open("r", O_RDONLY);
        while (fd >= 0 && fd < 1099);
        GIVES(1099, fd);
        for (fd = 3; fd < 1100; fd++)
            if (fcntl(fd, F_GETFD) != 0) GIVES(fd, -1);
        GIVES(0, close_range_(4, ~0u, 0));
        GIVES(4095, dup2(3, 4095));
        FAILS(EBADF, dup2(3, 4096));
        GIVES(1024, fcntl(3, F_DUPFD, 1024));
        GIVES(0, pipe(p));
        char numbers[32];
        snprintf(numbers, sizeof numbers, "%d,%d", dup2(p[1], 1026), dup3(p[1], 4094, O_CLOEXEC));
        dup2(p[1], 40);
        GIVES(0, done());
        execl(self, self, "exec", numbers, NULL);
        _exit(9);
    }
    reap(child);
    GIVES(0, close(3));
}

/* A descriptor that isn't open is no program. */
static void no_program(void) {
    char *args[] = {"x", NULL};
    for (int fd = 3; fd < 70; fd++)
        if (syscall(SYS_execveat, fd, "", args, NULL, AT_EMPTY_PATH) != -1 || errno != EBADF) GIVES(fd, -1);
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
    read_only();
    limits(self);
    no_program();
    leave_folder();
    return done();
}
