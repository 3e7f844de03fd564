/* Times of files, and the directories for temporary files with links over their border. */
#include "story.h"
#include <dirent.h>

static struct timespec some_time(void) {
    static const long seconds[] = {0, 1, -1, 1000, 1767225540, 1767225599, 1767225600, 1767225601, 1L << 31, -(1L << 31), 1L << 33, 1L << 40, -(1L << 40), 1L << 62};
    static const long parts[] = {0, 1, 500000000, 999999999, 1000000000, -1, UTIME_NOW, UTIME_OMIT, UTIME_NOW, UTIME_OMIT};
    return (struct timespec){PICK(seconds), PICK(parts)};
}
static void show(const char *name, int fd) {
    struct stat status;
    long result = fd < 0 ? lstat(name, &status) : fstat(fd, &status);
    if (result) return told("times", result);
    say("atime", status.st_atim.tv_sec, status.st_atim.tv_nsec);
    say("mtime", status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    say("ctime", status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

/* The working directory is left out: the test makes it at another moment for each engine. */
static void times(void) {
    static const char *const names[] = {"f0", "f1", "f2", "d", "l0", "no", ""};
    const char *name = PICK(names);
    struct timespec both[2] = {some_time(), some_time()};
    int fd = -1;
    switch (below(6)) {
    case 0: told("symlink", symlink(PICK(names), "l0")); break;
    case 1: {
        fd = open(name, O_RDWR | O_CREAT, 0644);
        told("futimens", fd < 0 ? fd : futimens(fd, both));
        break;
    }
    case 2: {
        fd = open(name, O_PATH | O_NOFOLLOW);
        told("by O_PATH", syscall(SYS_utimensat, fd, below(2) ? "" : 0, both, below(2) ? AT_EMPTY_PATH : 0));
        break;
    }
    default: {
        static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1};
        told("utimensat", syscall(SYS_utimensat, AT_FDCWD, below(16) ? name : 0, below(8) ? both : 0, PICK(flags)));
    }
    }
    show(name, fd);
    close(fd);
    /* Which of two is newer, as make(1) asks. */
    struct stat one, other;
    if (stat("f0", &one) || stat("f1", &other)) return;
    long apart = (one.st_mtim.tv_sec - other.st_mtim.tv_sec) ?: one.st_mtim.tv_nsec - other.st_mtim.tv_nsec;
    say("newer", apart > 0, apart < 0);
}

/* The host's `/tmp` is nothing to act on: the run's own has a mark. */
static int is_own(void) { return access("/tmp/of-the-soak", F_OK) == 0; }
static const char *const places[] = {"f0", "f1", "d", "/tmp/s0", "/tmp/s1", "/tmp/d/s2", "/tmp/d", "/var/tmp/s0", "/dev/shm/s0", "/tmp/../tmp/s0",
    "to-tmp/s1", "to-tmp", "/tmp/back/f0", "/tmp/back", "/var/tmp/l", "/tmp/l", "/proc/self/cwd/f1", "/proc/self/root/tmp/s1"};

static void list(const char *folder) {
    DIR *directory = opendir(folder);
    if (!directory) return told("opendir", -1);
    long count = 0, sum = 0;
    for (struct dirent *entry; (entry = readdir(directory)); count++)
        for (const char *at = entry->d_name; *at; at++) sum = sum * 31 % 1000003 + *at;
    say("list", count, sum);
    closedir(directory);
}
static void temporary(void) {
    char text[300], template[] = "/tmp/nameXXXXXX";
    const char *one = PICK(places), *other = PICK(places);
    switch (below(17)) {
    case 0: case 1: {
        int fd = open(one, O_CREAT | O_RDWR | (below(4) ? 0 : O_EXCL) | (below(4) ? 0 : O_NOFOLLOW), 0644);
        if (fd >= 0) told("write", write(fd, "temporary", 1 + below(9)));
        keep(fd);
        return told("open", fd);
    }
    case 2: return told("rename", rename(one, other));
    case 3: return told("exchange", renameat2(AT_FDCWD, one, AT_FDCWD, other, 1 + below(2)));
    case 4: return told("link", link(one, other));
    case 5: return told("symlink", symlink(below(2) ? one : "/tmp", other));
    case 6: return told("symlink back", symlink("/proc/self/cwd", "/tmp/back"));
    case 7: return told("symlink to", symlink("/tmp", "to-tmp"));
    case 8: return told("mkdir", mkdir(one, 0755));
    case 9: return told("unlink", unlink(one));
    case 10: return told("rmdir", rmdir("/tmp/d"));
    case 11: {
        long len = readlink(one, text, sizeof text);
        return say("readlink", len, len > 0 ? text[0] + text[len - 1] : errno);
    }
    case 12: return show(one, -1);
    case 13: {
        static const char *const folders[] = {"/tmp", "/var/tmp", "/dev/shm", ".", "to-tmp", "/tmp/back"};
        return list(PICK(folders));
    }
    case 14: {
        int fd = mkstemp(template);
        say("mkstemp", fd, template[10] * 256 + template[14]);
        keep(fd);
        return;
    }
    case 15: {
        int fd = open(below(2) ? "/tmp" : ".", O_TMPFILE | O_RDWR, 0600);
        told("O_TMPFILE", fd);
        snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
        told("linkat", linkat(AT_FDCWD, text, AT_FDCWD, one, AT_SYMLINK_FOLLOW));
        keep(fd);
        return;
    }
    default: {
        int before = open(".", O_RDONLY | O_DIRECTORY);
        told("chdir", chdir(one));
        char *at = getcwd(text, sizeof text);
        say("getcwd", at != 0, at ? text[1] + text[strlen(text) - 1] : errno);
        told("open", open("../s1", O_RDONLY | O_CLOEXEC));
        told("fchdir", fchdir(before));
        close(before);
    }
    }
}

void odd_files(void) {
    if (below(2) && is_own()) {
        for (int i = 1 + below(6); i; i--) temporary();
        return;
    }
    for (int i = 1 + below(4); i; i--) times();
}
