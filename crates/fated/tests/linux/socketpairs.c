/* socketpair: streams, datagrams, packets; what is sent along. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char data[1 << 20];
static volatile int seen;
static void note(int signal) { seen = signal; }

static int events(int fd) {
    struct pollfd entry = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&entry, 1, 0);
    return entry.revents;
}

static int option(int fd, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

static void errors(void) {
    int s[2], p[2];
    pipe(p);
    FAILS(EOPNOTSUPP, socketpair(AF_INET, SOCK_STREAM, 0, s));
    FAILS(EAFNOSUPPORT, socketpair(77, SOCK_STREAM, 0, s));
    FAILS(ESOCKTNOSUPPORT, socketpair(AF_UNIX, 4, 0, s));
    FAILS(EINVAL, socketpair(AF_UNIX, SOCK_STREAM | 0x100, 0, s));
    FAILS(EPROTONOSUPPORT, socketpair(AF_UNIX, SOCK_STREAM, 2, s));
    GIVES(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
    GIVES(O_RDWR | O_NONBLOCK, fcntl(s[0], F_GETFL));
    GIVES(FD_CLOEXEC, fcntl(s[1], F_GETFD));
    FAILS(ENOTSOCK, send(p[1], "x", 1, 0));
    FAILS(ENOTSOCK, recv(p[0], data, 1, 0));
    FAILS(ENOTSOCK, shutdown(p[0], SHUT_RD));
    FAILS(EBADF, send(77, "x", 1, 0));
    FAILS(EAGAIN, read(s[0], data, 1));
    FAILS(EINVAL, shutdown(s[0], 3));
    FAILS(ESPIPE, lseek(s[0], 0, SEEK_CUR));
    struct sockaddr_un name;
    socklen_t len = sizeof name;
    GIVES(0, getpeername(s[0], (struct sockaddr *)&name, &len));
    CHECK(len == 2 && name.sun_family == AF_UNIX);
    len = sizeof name;
    FAILS(ENOTSOCK, getsockname(p[0], (struct sockaddr *)&name, &len));
    GIVES(SOCK_STREAM, option(s[0], SO_TYPE));
    GIVES(AF_UNIX, option(s[0], SO_DOMAIN));
    GIVES(0, option(s[0], SO_ERROR));
    GIVES(212992, option(s[0], SO_SNDBUF));
    FAILS(ENOPROTOOPT, option(s[0], 99));
    struct ucred peer;
    len = sizeof peer;
    GIVES(0, getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &len));
    CHECK(peer.pid == getpid() && peer.uid == geteuid());
    int size = 1;
    GIVES(0, setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    GIVES(4608, option(s[0], SO_SNDBUF));
    size = 10000;
    GIVES(0, setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    GIVES(20000, option(s[0], SO_SNDBUF));
    close(s[0]), close(s[1]), close(p[0]), close(p[1]);
}

/* How much fits. */
static void room(void) {
    static const int sizes[] = {1, 100, 500, 1000, 2000, 4000, 8000, 20000, 40000, 200000, 1 << 20};
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int s[2];
            long bytes = 0, n, writable = 0, count = 0;
            socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s);
            while ((n = write(s[0], data, sizes[i])) > 0) {
                bytes += n, count++;
                if (events(s[0]) & POLLOUT) writable = count;
            }
            printf("type %d, %d bytes: %ld, writable up to %ld\n", type, sizes[i], bytes, writable);
            close(s[0]), close(s[1]);
        }
    }
}

static void streams(void) {
    int s[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
    GIVES(POLLOUT, events(s[0]));
    GIVES(5, write(s[0], "hello", 5));
    GIVES(3, send(s[0], "you", 3, 0));
    GIVES(POLLIN | POLLOUT, events(s[1]));
    int n;
    GIVES(0, ioctl(s[1], FIONREAD, &n));
    GIVES(8, n);
    GIVES(4, recv(s[1], data, 4, MSG_PEEK));
    GIVES(4, read(s[1], data, 4));
    GIVES(4, recv(s[1], data, 100, 0));
    CHECK(!memcmp(data, "oyou", 4));
    FAILS(EAGAIN, recv(s[1], data, 100, MSG_DONTWAIT));
    GIVES(0, write(s[0], "", 0));
    FAILS(EAGAIN, read(s[1], data, 1));
    struct sockaddr_un name = {AF_UNIX, "/none"};
    FAILS(EISCONN, sendto(s[0], "x", 1, 0, (struct sockaddr *)&name, sizeof name));
    /* One way ends, the other goes on. */
    GIVES(0, shutdown(s[0], SHUT_WR));
    GIVES(POLLIN | POLLOUT | POLLRDHUP, events(s[1]));
    GIVES(0, read(s[1], data, 1));
    signal(SIGPIPE, note);
    FAILS(EPIPE, write(s[0], "x", 1));
    GIVES(SIGPIPE, seen);
    seen = 0;
    FAILS(EPIPE, send(s[0], "x", 1, MSG_NOSIGNAL));
    GIVES(0, seen);
    GIVES(1, write(s[1], "x", 1));
    GIVES(1, read(s[0], data, 1));
    close(s[1]);
    GIVES(POLLIN | POLLOUT | POLLHUP | POLLRDHUP, events(s[0]));
    GIVES(0, read(s[0], data, 1));
    close(s[0]);
    /* What nobody read is an error to the one who sent it. */
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(s[0], "x", 1);
    close(s[1]);
    GIVES(ECONNRESET, option(s[0], SO_ERROR));
    GIVES(0, read(s[0], data, 1));
    close(s[0]);
    /* Both ways at once, more than fits. */
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pid_t child = fork();
    if (child == 0) {
        close(s[0]);
        if (recv(s[1], data, sizeof data, MSG_WAITALL) != sizeof data) _exit(1);
        for (unsigned i = 0; i < sizeof data; i++)
            if (data[i] != (char)(i % 253)) _exit(2);
        _exit(write(s[1], data, sizeof data) != sizeof data);
    }
    close(s[1]);
    for (unsigned i = 0; i < sizeof data; i++) data[i] = i % 253;
    GIVES(sizeof data, write(s[0], data, sizeof data));
    long got = 0;
    for (long n; (n = read(s[0], data, sizeof data)) > 0;) got += n;
    GIVES(sizeof data, got);
    reap(child);
    close(s[0]);
    /* Timeouts. */
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    struct timeval time = {0, 50000};
    GIVES(0, setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    int64_t start = now_ns(CLOCK_MONOTONIC);
    FAILS(EAGAIN, read(s[0], data, 1));
    CHECK(now_ns(CLOCK_MONOTONIC) - start >= 45000000);
    close(s[0]), close(s[1]);
}

static void messages(int type) {
    int s[2];
    socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s);
    GIVES(5, write(s[0], "hello", 5));
    GIVES(0, send(s[0], "", 0, 0));
    GIVES(3, write(s[0], "you", 3));
    GIVES(2, recv(s[1], data, 2, 0));
    GIVES(0, recv(s[1], data, 10, 0));
    GIVES(3, recv(s[1], data, 1, MSG_PEEK | MSG_TRUNC));
    struct iovec iov = {data, 1};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    GIVES(1, recvmsg(s[1], &header, 0));
    GIVES(MSG_TRUNC, header.msg_flags);
    FAILS(EAGAIN, read(s[1], data, 1));
    FAILS(EMSGSIZE, write(s[0], data, sizeof data));
    write(s[0], "last", 4);
    close(s[0]);
    GIVES(4, read(s[1], data, 10));
    if (type == SOCK_DGRAM) {
        FAILS(EAGAIN, read(s[1], data, 10));
        FAILS(ECONNREFUSED, write(s[1], "x", 1));
        FAILS(ENOTCONN, write(s[1], "x", 1));
    } else {
        GIVES(0, read(s[1], data, 10));
        FAILS(EPIPE, send(s[1], "x", 1, MSG_NOSIGNAL));
    }
    close(s[1]);
}

/* Descriptors and credentials that go along. */
static void along(void) {
    int s[2], p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec iov = {"x", 1};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(&control.head), p, sizeof p);
    pid_t child = fork();
    if (child == 0) {
        close(s[0]), close(p[0]), close(p[1]);
        memset(&control, 0, sizeof control);
        iov.iov_base = data;
        int fds[2];
        if (recvmsg(s[1], &header, MSG_CMSG_CLOEXEC) != 1) _exit(2);
        if (header.msg_controllen != sizeof control || control.head.cmsg_type != SCM_RIGHTS) _exit(3);
        memcpy(fds, CMSG_DATA(&control.head), sizeof fds);
        if (fcntl(fds[1], F_GETFD) != FD_CLOEXEC) _exit(4);
        _exit(write(fds[1], "through", 7) != 7);
    }
    GIVES(1, sendmsg(s[0], &header, 0));
    close(p[1]);
    GIVES(7, read(p[0], data, 10));
    reap(child);
    /* What is closed with its receiver is gone. */
    GIVES(0, read(p[0], data, 10));
    int bad = 77;
    control.head.cmsg_len = CMSG_LEN(sizeof bad);
    memcpy(CMSG_DATA(&control.head), &bad, sizeof bad);
    FAILS(EBADF, sendmsg(s[0], &header, 0));
    control.head.cmsg_len = 4;
    FAILS(EINVAL, sendmsg(s[0], &header, 0));
    /* No room for it. */
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.head), &p[0], sizeof(int));
    header.msg_controllen = CMSG_SPACE(sizeof(int));
    GIVES(1, sendmsg(s[0], &header, 0));
    header.msg_control = NULL, header.msg_controllen = 0;
    char byte;
    iov.iov_base = &byte;
    GIVES(1, recvmsg(s[1], &header, 0));
    GIVES(MSG_CTRUNC, header.msg_flags);
    int on = 1;
    GIVES(0, setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    write(s[0], "y", 1);
    char room[CMSG_SPACE(sizeof(struct ucred))];
    header.msg_control = room, header.msg_controllen = sizeof room;
    GIVES(1, recvmsg(s[1], &header, 0));
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    struct ucred from;
    CHECK(first && first->cmsg_type == SCM_CREDENTIALS);
    memcpy(&from, CMSG_DATA(first), sizeof from);
    CHECK(from.pid == getpid() && from.uid == getuid());
    close(s[0]), close(s[1]), close(p[0]);
}

int main(void) {
    errors();
    room();
    streams();
    messages(SOCK_DGRAM);
    messages(SOCK_SEQPACKET);
    along();
    return done();
}
