/* Descriptors that only name a file (O_PATH): what may be done to them, and how the rest fails. */
#include "check.h"
#include "folder.h"
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <poll.h>
#include <dirent.h>

static void of_file(const char *name, int fd) {
    char buf[64];
    struct iovec iov = {buf, sizeof buf};
    struct stat stat;
    struct statfs statfs;
    struct epoll_event event = {EPOLLIN, {0}};
    int number;
    printf("-- %s\n", name);
    FAILS(EBADF, read(fd, buf, 1));
    FAILS(EBADF, write(fd, buf, 1));
    FAILS(EBADF, pread(fd, buf, 1, 0));
    FAILS(EBADF, pwrite(fd, buf, 1, 0));
    FAILS(EBADF, readv(fd, &iov, 1));
    FAILS(EBADF, writev(fd, &iov, 1));
    FAILS(EBADF, preadv(fd, &iov, 1, 0));
    FAILS(EBADF, lseek(fd, 0, SEEK_SET));
    FAILS(EBADF, ioctl(fd, FIONREAD, &number));
    FAILS(EBADF, ioctl(fd, FIOCLEX));
    FAILS(EBADF, ioctl(fd, 0x12345678, 0));
    FAILS(EBADF, fchmod(fd, 0600));
    FAILS(EBADF, fchown(fd, -1, -1));
    FAILS(EBADF, ftruncate(fd, 0));
    FAILS(EBADF, fallocate(fd, 0, 0, 1));
    FAILS(EBADF, fsync(fd));
    FAILS(EBADF, fdatasync(fd));
    FAILS(EBADF, flock(fd, LOCK_SH));
    struct flock lock = {.l_type = F_RDLCK};
    FAILS(EBADF, fcntl(fd, F_SETLK, &lock));
    FAILS(EBADF, fcntl(fd, F_GETLK, &lock));
    FAILS(EBADF, fcntl(fd, F_SETFL, O_APPEND));
    FAILS(EBADF, fcntl(fd, F_GETOWN));
    FAILS(EBADF, fcntl(fd, F_GETPIPE_SZ));
    FAILS(EBADF, fgetxattr(fd, "user.x", buf, sizeof buf));
    FAILS(EBADF, fsetxattr(fd, "user.x", buf, 1, 0));
    FAILS(EBADF, flistxattr(fd, buf, sizeof buf));
    FAILS(EBADF, futimens(fd, 0));
    FAILS(EBADF, syscall(SYS_getdents64, fd, buf, sizeof buf));
    FAILS(EBADF, (long)mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
    FAILS(EBADF, posix_fadvise(fd, 0, 0, 0) ? (errno = EBADF, -1) : 0);
    FAILS(EBADF, readahead(fd, 0, 1));
    FAILS(EBADF, syncfs(fd));
    int whole = epoll_create1(0);
    FAILS(EBADF, epoll_ctl(whole, EPOLL_CTL_ADD, fd, &event));
    FAILS(EBADF, epoll_ctl(fd, EPOLL_CTL_ADD, whole, &event));
    FAILS(EBADF, epoll_wait(fd, &event, 1, 0));
    close(whole);
    struct pollfd polled = {fd, POLLIN, 0};
    GIVES(1, poll(&polled, 1, 0));
    GIVES(POLLNVAL, polled.revents);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval no_time = {0, 0};
    GIVES(1, select(fd + 1, &set, 0, 0, &no_time));
    int pipes[2];
    if (pipe(pipes)) abort();
    FAILS(EBADF, sendfile(pipes[1], fd, 0, 1));
    FAILS(EBADF, splice(fd, 0, pipes[1], 0, 1, 0));
    FAILS(EBADF, splice(pipes[0], 0, fd, 0, 1, 0));
    FAILS(EBADF, tee(fd, pipes[1], 1, 0));
    FAILS(EBADF, copy_file_range(fd, 0, fd, 0, 1, 0));
    close(pipes[0]), close(pipes[1]);
    /* What it is good for. */
    GIVES(0, fstat(fd, &stat));
    GIVES(0, fstatfs(fd, &statfs));
    GIVES(O_PATH, fcntl(fd, F_GETFL) & O_PATH);
    GIVES(O_PATH, fcntl(fd, F_GETFL) & ~(O_DIRECTORY | O_NOFOLLOW | 0100000));
    GIVES(0, fcntl(fd, F_GETFD));
    GIVES(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
    GIVES(FD_CLOEXEC, fcntl(fd, F_GETFD));
    int twin = dup(fd);
    CHECK(twin > fd);
    FAILS(EBADF, read(twin, buf, 1));
    GIVES(0, close(twin));
    twin = fcntl(fd, F_DUPFD, 100);
    GIVES(100, twin);
    FAILS(EBADF, ioctl(twin, FIONREAD, &number));
    GIVES(0, close(twin));
}

int main(void) {
    enter_folder();
    put("file", "content");
    mkdir("folder", 0755);
    if (symlink("file", "link") || mkfifo("fifo", 0600)) abort();
    int fd = open("file", O_PATH);
    of_file("a file", fd);
    FAILS(ENOTDIR, fchdir(fd));
    FAILS(ENOTDIR, openat(fd, "x", O_RDONLY));
    char name[64];
    sprintf(name, "/proc/self/fd/%d", fd);
    int again = open(name, O_RDONLY);
    CHECK(again > 0);
    GIVES(7, read(again, name, sizeof name));
    close(again), close(fd);
    fd = open("folder", O_PATH);
    of_file("a folder", fd);
    GIVES(0, fchdir(fd));
    GIVES(0, chdir(".."));
    again = openat(fd, "new", O_CREAT | O_WRONLY, 0600);
    CHECK(again > 0);
    close(again), close(fd);
    fd = open("link", O_PATH | O_NOFOLLOW);
    of_file("a link", fd);
    GIVES(4, readlinkat(fd, "", name, sizeof name));
    close(fd);
    fd = open("fifo", O_PATH);
    of_file("a named pipe", fd);
    close(fd);
    fd = open("/dev/null", O_PATH);
    of_file("a device", fd);
    close(fd);
    fd = open("/proc/self/status", O_PATH);
    of_file("a generated file", fd);
    close(fd);
    fd = open("/proc/self", O_PATH | O_DIRECTORY);
    of_file("a generated folder", fd);
    close(fd);
    leave_folder();
    return done();
}
