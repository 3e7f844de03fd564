/* Which of several bad arguments a call complains of, and what it looks at before it looks for a file. */
#include "check.h"
#include "folder.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define BAD ((void *)8)
#define CALL(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

static int ends[2], file;

static void names(void) {
    FAILS(EINVAL, CALL(unlinkat, AT_FDCWD, BAD, 0x4000));
    FAILS(EINVAL, CALL(linkat, AT_FDCWD, BAD, AT_FDCWD, BAD, 0x4000));
    FAILS(EINVAL, CALL(fchownat, AT_FDCWD, BAD, 0, 0, 0x4000));
    FAILS(EINVAL, CALL(renameat2, AT_FDCWD, BAD, AT_FDCWD, BAD, 0x40));
    FAILS(EINVAL, CALL(renameat2, AT_FDCWD, BAD, AT_FDCWD, BAD, 3));
    FAILS(EINVAL, CALL(mknod, BAD, 0030000, 0));
    FAILS(EPERM, CALL(mknodat, AT_FDCWD, BAD, S_IFDIR | 0700, 0));
    FAILS(EINVAL, CALL(truncate, BAD, -1l));
    FAILS(EINVAL, CALL(ftruncate, -1, -1l));
    FAILS(ENOENT, CALL(rename, "none/x", BAD));
    FAILS(EFAULT, CALL(rename, "file", BAD));
    FAILS(ENOENT, CALL(symlink, "", BAD));
    FAILS(EFAULT, CALL(symlink, BAD, ""));
    FAILS(EFAULT, CALL(utimensat, AT_FDCWD, "file", BAD, 0x4000));
    FAILS(EFAULT, CALL(execveat, AT_FDCWD, BAD, BAD, BAD, 0x4000));
    FAILS(ENOENT, CALL(execveat, AT_FDCWD, "", BAD, BAD, 0x4000));
    FAILS(EINVAL, CALL(execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0x4000));
    FAILS(EINVAL, CALL(setxattr, "file", "user.x", "", 0, 0x40));
    FAILS(E2BIG, CALL(setxattr, "file", "user.x", "", 65537, 0));
    FAILS(ERANGE, CALL(setxattr, "file", "", "", 0, 0));
    FAILS(EFAULT, CALL(getxattr, "file", BAD, NULL, 0));
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    FAILS(ERANGE, CALL(getxattr, "file", name, NULL, 0));
    FAILS(ERANGE, CALL(removexattr, "file", ""));
}

static void descriptors(void) {
    struct stat stat;
    struct statfs statfs;
    FAILS(EBADF, CALL(fstat, AT_FDCWD, &stat));
    FAILS(EBADF, CALL(fstatfs, AT_FDCWD, &statfs));
    FAILS(EINVAL, CALL(pipe2, BAD, 1 | O_EXCL));
    FAILS(EINVAL, CALL(flock, file, LOCK_SH | LOCK_EX));
    FAILS(EOPNOTSUPP, CALL(fallocate, ends[1], 0x1000, 0, 10));
    FAILS(EOPNOTSUPP, CALL(fallocate, ends[1], 2, 0, 10));
    FAILS(EINVAL, CALL(fallocate, ends[1], 0x1000, 0, 0));
    FAILS(ESPIPE, CALL(fallocate, ends[1], 0, 0, 10));
    GIVES(0, CALL(flistxattr, ends[0], NULL, 0));
    FAILS(EFAULT, CALL(fgetxattr, ends[0], BAD, NULL, 0));
    FAILS(EFAULT, CALL(timer_create, 1000, BAD, BAD));
    FAILS(EINVAL, CALL(clock_nanosleep, 1000, 0, BAD, NULL));
    FAILS(EFAULT, CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, BAD, NULL));
    FAILS(EOPNOTSUPP, CALL(clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, BAD, NULL));
}

static void copies(void) {
    FAILS(EFAULT, CALL(sendfile, -1, -1, BAD, 10));
    FAILS(EFAULT, CALL(copy_file_range, ends[0], BAD, file, NULL, 10, 0));
    FAILS(EBADF, CALL(splice, file, NULL, -1, NULL, 10, 0));
    FAILS(EBADF, CALL(splice, ends[0], BAD, -1, NULL, 10, 0));
    FAILS(ESPIPE, CALL(splice, ends[0], BAD, file, NULL, 10, 0));
    FAILS(ESPIPE, CALL(splice, file, NULL, ends[1], BAD, 10, 0));
    FAILS(EBADF, CALL(tee, file, -1, 10, 0));
    FAILS(EBADF, CALL(tee, -1, ends[1], 10, 0));
    FAILS(EINVAL, CALL(tee, file, ends[1], 10, 0));
    FAILS(EINVAL, CALL(vmsplice, ends[1], BAD, 2000, 0));
    FAILS(EFAULT, CALL(vmsplice, ends[1], BAD, 1, 0));
    GIVES(0, CALL(vmsplice, ends[1], NULL, 0, 0));
}

static void vectors(void) {
    char byte;
    struct iovec far = {(void *)(1ul << 62), 1}, one = {&byte, 1};
    /* Nothing has been written into the pipe: the address is looked at before. */
    FAILS(EFAULT, CALL(readv, ends[0], &far, 1));
    FAILS(EFAULT, CALL(writev, ends[1], &far, 1));
    FAILS(EINVAL, CALL(preadv2, file, &one, 1, -2l, 0, 0x4000));
    FAILS(ESPIPE, CALL(preadv2, ends[0], &one, 1, 3, 0, 0x4000));
    FAILS(EFAULT, CALL(preadv2, ends[0], BAD, 1, -1l, 0, 0x4000));
    FAILS(EOPNOTSUPP, CALL(preadv2, ends[0], &one, 1, -1l, 0, 0x4000));
}

static void on_alarm(int signal) { (void)signal; }

/* Without a child that has ended, the structure is zeroed. */
static void no_child(void) {
    siginfo_t info;
    memset(&info, 0x55, sizeof info);
    FAILS(ECHILD, CALL(waitid, P_ALL, 0, &info, WEXITED, NULL));
    GIVES(0, info.si_signo);
    GIVES(0, info.si_pid);
    FAILS(EFAULT, CALL(waitid, P_ALL, 0, BAD, WEXITED, NULL));
    FAILS(EFAULT, CALL(waitid, P_ALL, 0, BAD, 0x40, NULL));
    FAILS(EINVAL, CALL(waitid, P_ALL, 0, NULL, 0x40, NULL));
    pid_t child = fork();
    if (child == 0) {
        for (;;) pause();
    }
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000}, never = {0};
    setitimer(ITIMER_REAL, &soon, NULL);
    memset(&info, 0x55, sizeof info);
    FAILS(EINTR, CALL(waitid, P_ALL, 0, &info, WEXITED, NULL));
    setitimer(ITIMER_REAL, &never, NULL);
    GIVES(0, info.si_signo);
    GIVES(0, info.si_pid);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

enum { PROCESS = 1, GROUP, USER, BEST_EFFORT = 2 << 13, IDLE = 3 << 13 };

static void io_priorities(void) {
    GIVES(0, CALL(ioprio_get, PROCESS, 0));
    FAILS(EINVAL, CALL(ioprio_get, 0, 0));
    FAILS(EINVAL, CALL(ioprio_get, 4, 0));
    FAILS(ESRCH, CALL(ioprio_get, PROCESS, 0x7fffffff));
    GIVES(0, setpgid(0, 0));
    GIVES(BEST_EFFORT | 4, CALL(ioprio_get, GROUP, 0));
    GIVES(0, CALL(ioprio_set, PROCESS, 0, BEST_EFFORT | 7));
    GIVES(BEST_EFFORT | 7, CALL(ioprio_get, PROCESS, 0));
    pid_t child = fork();
    if (child == 0) _exit(CALL(ioprio_get, PROCESS, 0) != (BEST_EFFORT | 7));
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    FAILS(EINVAL, CALL(ioprio_set, PROCESS, 0, 4));
    FAILS(EINVAL, CALL(ioprio_set, PROCESS, 0, 4 << 13));
    FAILS(ESRCH, CALL(ioprio_set, PROCESS, 0x7fffffff, BEST_EFFORT));
    GIVES(0, CALL(ioprio_set, GROUP, 0, IDLE));
    GIVES(IDLE, CALL(ioprio_get, GROUP, 0));
    GIVES(0, CALL(ioprio_set, PROCESS, 0, 0));
    GIVES(0, CALL(ioprio_get, PROCESS, 0));
}

int main(void) {
    enter_folder();
    file = open("file", O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && pipe(ends) == 0);
    names();
    descriptors();
    copies();
    vectors();
    no_child();
    pid_t child = fork();
    if (child == 0) {
        io_priorities();
        _exit(done());
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    leave_folder();
    return done();
}
