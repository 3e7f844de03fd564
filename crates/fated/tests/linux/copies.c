/* sendfile, splice and copy_file_range between files, pipes and sockets. */
#include "check.h"
#include "folder.h"
#include <sys/sendfile.h>
#include <sys/socket.h>

static char data[200000], back[200000];

static void fill(void) {
    for (unsigned i = 0; i < sizeof data; i++) data[i] = i % 251;
    int file = open("f", O_WRONLY | O_CREAT, 0600);
    GIVES(sizeof data, write(file, data, sizeof data));
    close(file);
}

static void sends(void) {
    int file = open("f", O_RDONLY), p[2], s[2], other = open("g", O_RDWR | O_CREAT, 0600);
    off_t offset = 100;
    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    GIVES(10, sendfile(p[1], file, &offset, 10));
    GIVES(110, offset);
    GIVES(0, lseek(file, 0, SEEK_CUR));
    GIVES(20, sendfile(p[1], file, NULL, 20));
    GIVES(20, lseek(file, 0, SEEK_CUR));
    GIVES(30, read(p[0], back, 100));
    CHECK(!memcmp(back, data + 100, 10) && !memcmp(back + 10, data, 20));
    GIVES(5, sendfile(s[0], file, NULL, 5));
    GIVES(5, read(s[1], back, 100));
    CHECK(!memcmp(back, data + 20, 5));
    offset = sizeof data - 7;
    GIVES(7, sendfile(p[1], file, &offset, 100));
    GIVES(0, sendfile(p[1], file, &offset, 100));
    GIVES(7, read(p[0], back, 100));
    offset = -1;
    FAILS(EINVAL, sendfile(p[1], file, &offset, 1));
    FAILS(EBADF, sendfile(p[0], file, NULL, 1));
    FAILS(EBADF, sendfile(p[1], 77, NULL, 1));
    FAILS(EBADF, sendfile(77, file, NULL, 1));
    /* Into a pipe goes what fits; into a socket all of it. */
    offset = 0;
    GIVES(65536, sendfile(p[1], file, &offset, sizeof data));
    GIVES(65536, offset);
    close(p[0]), close(p[1]);
    offset = 0;
    pid_t child = fork();
    if (child == 0) {
        close(s[0]);
        unsigned got = 0;
        for (long n; (n = read(s[1], back + got, 5000)) > 0;) got += n;
        _exit(got != sizeof data || memcmp(data, back, sizeof data));
    }
    GIVES(sizeof data, sendfile(s[0], file, &offset, sizeof data));
    GIVES(sizeof data, offset);
    close(s[0]), close(s[1]);
    reap(child);
    /* What doesn't fit and may not wait. */
    pipe2(p, O_NONBLOCK);
    offset = 0;
    GIVES(65536, sendfile(p[1], file, &offset, sizeof data));
    FAILS(EAGAIN, sendfile(p[1], file, &offset, 1));
    GIVES(65536, offset);
    close(p[0]), close(p[1]);
    offset = 0;
    GIVES(1000, sendfile(other, file, &offset, 1000));
    GIVES(1000, lseek(other, 0, SEEK_CUR));
    close(file), close(other);
}

static void splices(void) {
    int file = open("f", O_RDONLY), out = open("h", O_RDWR | O_CREAT, 0600), p[2];
    off64_t offset = 50, position = 3;
    pipe(p);
    GIVES(100, splice(file, &offset, p[1], NULL, 100, 0));
    GIVES(150, offset);
    GIVES(40, splice(p[0], NULL, out, &position, 40, 0));
    GIVES(43, position);
    GIVES(0, lseek(out, 0, SEEK_CUR));
    GIVES(60, splice(p[0], NULL, out, NULL, 1000, 0));
    GIVES(60, lseek(out, 0, SEEK_CUR));
    GIVES(60, pread(out, back, 100, 0));
    CHECK(!memcmp(back, data + 90, 60));
    FAILS(EAGAIN, splice(p[0], NULL, out, NULL, 10, SPLICE_F_NONBLOCK));
    FAILS(ESPIPE, splice(p[0], &offset, out, NULL, 10, 0));
    FAILS(ESPIPE, splice(file, NULL, p[1], &offset, 10, 0));
    FAILS(EINVAL, splice(file, NULL, out, NULL, 10, 0));
    FAILS(EINVAL, splice(file, NULL, p[1], NULL, 10, 64));
    FAILS(EBADF, splice(p[1], NULL, out, NULL, 10, 0));
    FAILS(EBADF, splice(file, NULL, p[0], NULL, 10, 0));
    GIVES(0, splice(file, NULL, p[1], NULL, 0, 0));
    pid_t child = fork();
    if (child == 0) {
        sleep_ms(50);
        _exit(write(p[1], "late", 4) != 4);
    }
    GIVES(4, splice(p[0], NULL, out, NULL, 10, 0));
    reap(child);
    close(p[1]);
    GIVES(0, splice(p[0], NULL, out, NULL, 10, 0));
    close(file), close(out), close(p[0]);
}

/* From pipe to pipe, and what tee leaves there. */
static void pipes(void) {
    int p[2], q[2];
    pipe(p), pipe2(q, O_NONBLOCK);
    GIVES(5, write(p[1], "hello", 5));
    GIVES(3, tee(p[0], q[1], 3, 0));
    GIVES(5, splice(p[0], NULL, q[1], NULL, 100, 0));
    FAILS(EAGAIN, tee(p[0], q[1], 3, SPLICE_F_NONBLOCK));
    GIVES(8, read(q[0], back, 100));
    CHECK(!memcmp(back, "helhello", 8));
    FAILS(EINVAL, tee(p[0], p[1], 3, 0));
    FAILS(EINVAL, tee(p[0], q[1], 3, 64));
    FAILS(EBADF, tee(p[1], q[1], 3, 0));
    FAILS(EBADF, tee(p[0], q[0], 3, 0));
    FAILS(EBADF, tee(77, q[1], 3, 0));
    GIVES(0, tee(p[0], q[1], 0, 0));
    int file = open("f", O_RDONLY);
    FAILS(EINVAL, tee(file, q[1], 3, 0));
    close(file);
    /* A full pipe takes no more. */
    GIVES(65536, write(q[1], data, sizeof data));
    write(p[1], "x", 1);
    FAILS(EAGAIN, splice(p[0], NULL, q[1], NULL, 1, SPLICE_F_NONBLOCK));
    close(p[1]);
    read(q[0], back, sizeof back);
    GIVES(1, splice(p[0], NULL, q[1], NULL, 10, 0));
    GIVES(0, splice(p[0], NULL, q[1], NULL, 10, 0));
    close(q[0]);
    signal(SIGPIPE, SIG_IGN);
    FAILS(EPIPE, splice(p[0], NULL, q[1], NULL, 10, 0));
    close(p[0]), close(q[1]);
}

static void ranges(void) {
    int file = open("f", O_RDONLY), out = open("i", O_RDWR | O_CREAT, 0600), p[2];
    off64_t from = 10, to = 5;
    pipe(p);
    GIVES(20, copy_file_range(file, &from, out, &to, 20, 0));
    CHECK(from == 30 && to == 25);
    GIVES(25, pread(out, back, 100, 0));
    CHECK(!memcmp(back + 5, data + 10, 20));
    FAILS(EINVAL, copy_file_range(file, NULL, p[1], NULL, 10, 0));
    FAILS(EINVAL, copy_file_range(p[0], NULL, out, NULL, 10, 0));
    FAILS(EBADF, copy_file_range(file, NULL, 77, NULL, 10, 0));
    close(file), close(out), close(p[0]), close(p[1]);
}

int main(void) {
    enter_folder();
    fill();
    sends();
    splices();
    pipes();
    ranges();
    leave_folder();
    return done();
}
