/* What stat says of a file, and which calls change which of its times. */
#include "check.h"
#include "folder.h"
#include <sys/statfs.h>
#include <utime.h>

static int64_t ns(struct timespec time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

static struct stat was, is;
/* Notes the state before, and lets time pass: the host's clock for files has coarse ticks. */
static void before(const char *path) {
    sleep_ms(20);
    lstat(path, &was);
}

/* Which of the times have grown: a, m, c. */
static const char *grown(const char *path) {
    static char text[4];
    int at = 0;
    lstat(path, &is);
    if (ns(is.st_atim) > ns(was.st_atim)) text[at++] = 'a';
    if (ns(is.st_mtim) > ns(was.st_mtim)) text[at++] = 'm';
    if (ns(is.st_ctim) > ns(was.st_ctim)) text[at++] = 'c';
    text[at] = 0;
    return text;
}

#define GROWS(what, path, act) (before(path), act, check_that(!strcmp(grown(path), what), #act ": " path " " what, __LINE__))

int main(void) {
    struct statx x;
    struct statfs fs;
    enter_folder();
    int64_t start = now_ns(CLOCK_REALTIME);
    put("f", "12345");
    lstat("f", &is);
    CHECK(ns(is.st_mtim) >= start - 100000000 && ns(is.st_mtim) <= now_ns(CLOCK_REALTIME));
    CHECK(is.st_size == 5 && is.st_nlink == 1 && is.st_uid == geteuid() && S_ISREG(is.st_mode));
    GIVES(4096, is.st_blksize);

    int fd = open("f", O_RDWR);
    GROWS("", "f", close(open("f", O_RDWR)));
    GROWS("mc", "f", write(fd, "x", 1));
    GROWS("mc", "f", pwrite(fd, "x", 1, 9));
    GROWS("mc", "f", ftruncate(fd, 3));
    GROWS("mc", "f", truncate("f", 4));
    GROWS("mc", "f", close(open("f", O_WRONLY | O_TRUNC)));
    GROWS("c", "f", fchmod(fd, 0600));
    GROWS("c", "f", chmod("f", 0644));
    GROWS("c", "f", chown("f", geteuid(), -1));
    GROWS("c", "f", link("f", "g"));
    GROWS("c", "f", unlink("g"));
    GROWS("c", "f", (rename("f", "h"), rename("h", "f")));
    GROWS("", "f", lseek(fd, 0, SEEK_SET));
    GROWS("", "f", fsync(fd));

    GROWS("mc", ".", put("n", ""));
    GROWS("", ".", put("n", "more"));
    GROWS("mc", ".", rename("n", "o"));
    GROWS("mc", ".", unlink("o"));
    GROWS("mc", ".", mkdir("d", 0755));
    GROWS("", ".", put("d/x", ""));
    GROWS("mc", "d", rename("d/x", "x"));
    GROWS("mc", ".", symlink("x", "s"));
    GROWS("mc", ".", rmdir("d"));
    GROWS("mc", ".", mkfifo("p", 0600));
    GROWS("mc", ".", link("x", "y"));

    struct timespec times[2] = {{1000, 5}, {2000, 7}};
    GROWS("c", "x", utimensat(AT_FDCWD, "x", times, 0));
    CHECK(ns(is.st_atim) == 1000000000005 && ns(is.st_mtim) == 2000000000007);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    GROWS("mc", "x", utimensat(AT_FDCWD, "x", times, 0));
    CHECK(ns(is.st_atim) == 1000000000005 && ns(is.st_mtim) >= start - 100000000);
    GROWS("amc", "x", futimens(open("x", O_RDONLY), NULL));
    times[0] = times[1] = (struct timespec){3000, 0};
    GROWS("c", "s", utimensat(AT_FDCWD, "s", times, AT_SYMLINK_NOFOLLOW));
    CHECK(is.st_mtim.tv_sec == 3000 && !stat("s", &was) && was.st_mtim.tv_sec != 3000);
    struct utimbuf old = {4000, 5000};
    GIVES(0, utime("x", &old));
    CHECK(!stat("x", &is) && is.st_atim.tv_sec == 4000 && is.st_mtim.tv_sec == 5000);
    struct timeval halves[2] = {{-1, 500000}, {6000, 999999}};
    GIVES(0, utimes("x", halves));
    CHECK(!stat("y", &is) && ns(is.st_atim) == -500000000 && ns(is.st_mtim) == 6000999999000);
    halves[0].tv_usec = 1000000;
    FAILS(EINVAL, utimes("x", halves));
    times[0].tv_nsec = 1000000000;
    FAILS(EINVAL, utimensat(AT_FDCWD, "x", times, 0));
    FAILS(ENOENT, utimensat(AT_FDCWD, "none", NULL, 0));
    FAILS(EBADF, futimens(99, NULL));
    FAILS(EINVAL, utimensat(AT_FDCWD, "x", NULL, 0x10000));
    FAILS(EFAULT, syscall(SYS_utimensat, AT_FDCWD, "x", 8, 0));

    /* All calls tell the same. */
    GIVES(0, stat("f", &is));
    GIVES(0, fstat(fd, &was));
    CHECK(!memcmp(&is, &was, sizeof is));
    GIVES(0, statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &x));
    CHECK(x.stx_ino == is.st_ino && x.stx_size == (uint64_t)is.st_size && x.stx_mode == is.st_mode && x.stx_nlink == is.st_nlink);
    CHECK(x.stx_mtime.tv_sec == is.st_mtim.tv_sec && x.stx_mtime.tv_nsec == is.st_mtim.tv_nsec);
    CHECK(x.stx_ctime.tv_nsec == is.st_ctim.tv_nsec && x.stx_blksize == (unsigned)is.st_blksize);
    CHECK(((uint64_t)x.stx_dev_major << 8 | x.stx_dev_minor) == is.st_dev || is.st_dev > 0xffff);
    GIVES(0, statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_ALL, &x));
    CHECK(x.stx_ino == is.st_ino && (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    FAILS(EINVAL, statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_STATX_FORCE_SYNC, 0, &x));
    FAILS(EINVAL, statx(fd, "", AT_EMPTY_PATH, 1U << 31, &x));
    FAILS(EFAULT, syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0, 8));
    FAILS(EFAULT, syscall(SYS_stat, "f", 8));

    /* A new file has a number of its own, even where a removed one had the same before. */
    ino_t held = ino_of("f");
    GIVES(0, unlink("f"));
    put("f2", "");
    CHECK(!fstat(fd, &is) && is.st_ino == held && is.st_nlink == 0 && ino_of("f2") != held);

    GIVES(0, statfs(".", &fs));
    CHECK(fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree && fs.f_namelen == 255 && fs.f_bsize == 4096);
    GIVES(0, fstatfs(fd, &fs));
    GIVES(0, statfs("/proc", &fs));
    CHECK(fs.f_type == 0x9fa0 && fs.f_blocks == 0);
    FAILS(EBADF, fstatfs(99, &fs));
    FAILS(ENOENT, statfs("none", &fs));
    leave_folder();
    return done();
}
