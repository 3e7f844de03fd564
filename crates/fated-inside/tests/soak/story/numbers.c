/* Descriptors with odd numbers, and those that are only places (O_PATH). */
#include "story.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/epoll.h>

static const int odd[] = {3, 20, 60, 61, 62, 63, 64, 65, 127, 128, 255, 256, 1022, 1023, 1024, 1025, 1026, 4095, 4096, 1 << 20, -1, 1 << 30};

static void one_act(void) {
    static const int flags[] = {0, 0, O_CLOEXEC, O_NONBLOCK, -1};
    switch (below(10)) {
    case 0: return told("dup2", dup2(some_fd(), PICK(odd)));
    case 1: return told("dup3", dup3(some_fd(), PICK(odd), PICK(flags)));
    case 2: return told("F_DUPFD", fcntl(some_fd(), below(2) ? F_DUPFD : F_DUPFD_CLOEXEC, PICK(odd)));
    case 3: return told("close", close(below(4) ? PICK(odd) : 3 + below(80)));
    case 4: {
        unsigned from = 3 + below(70), to = below(3) ? from + below(40) : below(2) ? -1U : 2;
        static const int how[] = {0, 0, 4, 2, 6, 1};
        return told("close_range", syscall(SYS_close_range, from, to, PICK(how)));
    }
    case 5: {
        int fd = PICK(odd);
        long result = fcntl(fd, F_GETFD);
        told("F_GETFD", result);
        return told("F_SETFD", fcntl(fd, F_SETFD, below(3)));
    }
    case 6: return told("F_GETFL", fcntl(PICK(odd), F_GETFL));
    case 7: return told("F_SETFL", fcntl(PICK(odd), F_SETFL, PICK(flags) & ~O_CLOEXEC));
    case 8: {
        struct rlimit limit = {(rlim_t[]){30, 62, 64, 1024, 1025, 4096}[below(6)], 4096};
        return told("RLIMIT_NOFILE", setrlimit(RLIMIT_NOFILE, &limit));
    }
    default: {
        struct stat status;
        long result = fstat(PICK(odd), &status);
        return say("fstat", result, result ? errno : (long)status.st_mode);
    }
    }
}
static void many_acts(void) {
    for (int i = 3 + below(20); i; i--) one_act();
    /* What has become of them is what a new program has. */
    if (below(4)) return;
    execl("/bin/ls", "ls", "/proc/self/fd", (char *)0);
    _exit(7);
}

static void places(void) {
    static const char *const names[] = {"f0", "f1", "d", ".", "l0", "/proc", "/dev/null", "/proc/self/status", "/proc/self/exe", "/no"};
    static const int flags[] = {0, O_NOFOLLOW, O_DIRECTORY, O_CLOEXEC, O_RDWR | O_TRUNC, O_CREAT | O_EXCL};
    if (below(2)) told("symlink", symlink(below(2) ? "f1" : "l0", "l0"));
    int fd = open(PICK(names), O_PATH | PICK(flags), 0644), number = 0;
    char byte[64] = "", name[32];
    struct stat status;
    told("O_PATH", fd);
    for (int i = 1 + below(5); i; i--)
        switch (below(20)) {
        case 0: told("read", read(fd, byte, 4)); break;
        case 1: told("write", write(fd, byte, 4)); break;
        case 2: told("lseek", lseek(fd, 1, SEEK_SET)); break;
        case 3: told("fchmod", fchmod(fd, 0600)); break;
        case 4: told("ftruncate", ftruncate(fd, 3)); break;
        case 5: told("FIONREAD", ioctl(fd, FIONREAD, &number)); break;
        case 6: say("mmap", mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno : 0, 0); break;
        case 7: told("F_GETFL", fcntl(fd, F_GETFL)); break;
        case 8: told("F_SETLK", fcntl(fd, F_SETLK, &(struct flock){.l_type = F_RDLCK})); break;
        case 9: told("epoll_ctl", epoll_ctl(fd, EPOLL_CTL_ADD, 0, &(struct epoll_event){0})); break;
        case 10: told("readlinkat", readlinkat(fd, "", byte, sizeof byte)); break;
        case 11: {
            long result = fstat(fd, &status);
            say("fstat", result, result ? errno : (long)status.st_mode);
            break;
        }
        case 12: {
            int in = openat(fd, "f0", O_RDONLY);
            told("openat", in);
            close(in);
            break;
        }
        case 13: {
            snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
            int again = open(name, O_RDONLY | O_NONBLOCK);
            told("open again", again);
            close(again);
            break;
        }
        case 14: {
            int two = dup(fd);
            told("dup", two);
            close(two);
            break;
        }
        case 15: told("F_GETFD", fcntl(fd, F_GETFD)); break;
        case 16: told("faccessat2", syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH)); break;
        case 17: told("fsync", fsync(fd)); break;
        case 18: told("getdents", syscall(SYS_getdents64, fd, byte, 1)); break;
        default: told("fchdir", fchdir(fd)); break;
        }
    close(fd);
}

void odd_numbers(void) {
    if (below(3)) return in_child("numbers", many_acts);
    in_child("places", places);
}
