/* Named pipes: who waits for whom at open, and what outlives what. */
#include "check.h"
#include "folder.h"
#include <poll.h>

static void nothing(int signal) { (void)signal; }

int main(void) {
    char text[16];
    struct stat stat, other;
    enter_folder();
    GIVES(0, mkfifo("p", 0644));
    GIVES(0, mknod("q", S_IFIFO | 0600, 0));
    FAILS(EEXIST, mkfifo("p", 0644));
    FAILS(ENXIO, open("p", O_WRONLY | O_NONBLOCK));

    int reader = open("p", O_RDONLY | O_NONBLOCK);
    CHECK(reader >= 0 && !fstat(reader, &stat) && !lstat("p", &other) && stat.st_ino == other.st_ino && S_ISFIFO(stat.st_mode));
    GIVES(0, read(reader, text, sizeof text));
    int writer = open("p", O_WRONLY | O_NONBLOCK);
    CHECK(writer >= 0);
    FAILS(EAGAIN, read(reader, text, sizeof text));
    GIVES(3, write(writer, "abc", 3));
    GIVES(3, read(reader, text, sizeof text));
    close(writer);
    GIVES(0, read(reader, text, sizeof text));
    struct pollfd entry = {reader, POLLIN, 0};
    GIVES(1, poll(&entry, 1, 0));
    GIVES(POLLHUP, entry.revents);
    close(reader);

    /* A writer that comes and goes while the reader is still asleep has been there. */
    pid_t child = fork();
    if (child == 0) {
        int fd = open("p", O_WRONLY);
        write(fd, "hi", 2);
        _exit(0);
    }
    reader = open("p", O_RDONLY);
    GIVES(2, read(reader, text, sizeof text));
    GIVES(0, read(reader, text, sizeof text));
    close(reader);
    reap(child);

    /* The other way round. */
    child = fork();
    if (child == 0) {
        int fd = open("p", O_RDONLY), got = 0;
        while (read(fd, text, 1) == 1) got++;
        _exit(got != 5);
    }
    writer = open("p", O_WRONLY);
    GIVES(5, write(writer, "12345", 5));
    close(writer);
    reap(child);

    /* Both in one never waits. */
    int both = open("p", O_RDWR);
    GIVES(1, write(both, "x", 1));
    GIVES(1, read(both, text, 1));
    writer = open("p", O_WRONLY);
    CHECK(writer >= 0);
    /* What is in it goes with the last descriptor, not with the name. */
    GIVES(0, unlink("p"));
    GIVES(1, write(writer, "y", 1));
    GIVES(1, read(both, text, 16));
    CHECK(!fstat(both, &stat) && stat.st_nlink <= 1);
    close(writer);
    close(both);

    /* A signal interrupts the wait. */
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    FAILS(EINTR, open("q", O_RDONLY));
    signal(SIGPIPE, SIG_IGN);
    reader = open("q", O_RDONLY | O_NONBLOCK);
    writer = open("q", O_WRONLY);
    close(reader);
    FAILS(EPIPE, write(writer, "z", 1));
    FAILS(ESPIPE, lseek(writer, 0, SEEK_CUR));
    FAILS(EINVAL, ftruncate(writer, 0));
    FAILS(ENOTDIR, open("q", O_RDONLY | O_DIRECTORY | O_NONBLOCK));
    close(writer);

    /* Through the descriptor of another end. */
    reader = open("q", O_RDONLY | O_NONBLOCK);
    snprintf(text, sizeof text, "/dev/fd/%d", reader);
    writer = open(text, O_WRONLY);
    GIVES(2, write(writer, "ok", 2));
    GIVES(2, read(reader, text, sizeof text));
    leave_folder();
    return done();
}
