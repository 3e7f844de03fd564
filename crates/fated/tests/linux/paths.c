/* Names: what leads where, and what goes wrong on the way. */
#include "check.h"
#include "folder.h"
#include <linux/openat2.h>

static long openat2_(int dir, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags, .resolve = resolve};
    return syscall(SYS_openat2, dir, path, &how, sizeof how);
}

int main(void) {
    struct stat stat, other;
    char text[4200];
    enter_folder();
    umask(022);

    GIVES(0, mkdir("d", 0755));
    GIVES(0, mkdir("d/e//", 0700));
    put("d/f", "hello");
    GIVES(0, symlink("f", "d/l"));
    GIVES(0, symlink("loop", "loop"));
    GIVES(0, symlink("nowhere", "dangling"));
    GIVES(0, symlink("d", "dl"));
    CHECK(!strcmp(get("d/l"), "hello") && !strcmp(get("dl/l"), "hello") && !strcmp(get("./dl/../d//e/.././f"), "hello"));
    FAILS(ENOTDIR, open("d/f/", O_RDONLY));
    FAILS(ENOTDIR, open("d/f/x", O_RDONLY));
    FAILS(ENOENT, open("d/x/f", O_RDONLY));
    FAILS(ENOENT, open("", O_RDONLY));
    FAILS(ELOOP, open("loop", O_RDONLY));
    FAILS(ELOOP, open("d/l", O_RDONLY | O_NOFOLLOW));
    FAILS(EEXIST, open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644));
    FAILS(EISDIR, open("d", O_WRONLY));
    FAILS(EISDIR, open("d", O_RDONLY | O_CREAT, 0644));
    FAILS(ENOTDIR, open("d/f", O_RDONLY | O_DIRECTORY));
    FAILS(EFAULT, open((char *)8, O_RDONLY));
    memset(text, 'x', sizeof text);
    text[300] = 0;
    FAILS(ENAMETOOLONG, open(text, O_RDONLY));
    text[300] = 'x', text[4199] = 0;
    FAILS(ENAMETOOLONG, open(text, O_RDONLY));

    GIVES(0, lstat("dl", &stat));
    CHECK(S_ISLNK(stat.st_mode) && stat.st_size == 1 && stat.st_blocks == 0);
    GIVES(0, lstat("dl/", &stat));
    CHECK(S_ISDIR(stat.st_mode) && (stat.st_mode & 0777) == 0755);
    GIVES(0, fstatat(AT_FDCWD, "d/e", &stat, 0));
    CHECK((stat.st_mode & 07777) == 0700);
    GIVES(2, readlink("dangling", text, 2));
    CHECK(!memcmp(text, "no", 2));
    FAILS(EINVAL, readlink("d", text, 10));
    FAILS(EINVAL, readlink("dl", text, 0));
    FAILS(EINVAL, fstatat(AT_FDCWD, "d", &stat, 0x10000));

    /* Opening for writing over a dangling link makes what it points to. */
    int fd = open("dangling", O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && ino_of("nowhere") && fstat(fd, &stat) == 0 && stat.st_ino == ino_of("nowhere"));
    close(fd);

    /* Directories by descriptor. */
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    int path = open("d", O_PATH);
    CHECK(dir >= 0 && path >= 0);
    fd = openat(dir, "f", O_RDWR);
    CHECK(fd >= 0 && fstat(fd, &stat) == 0 && fstatat(path, "f", &other, 0) == 0 && stat.st_ino == other.st_ino);
    CHECK(fstatat(dir, "", &other, AT_EMPTY_PATH) == 0 && other.st_ino == ino_of("d"));
    CHECK(fstatat(AT_FDCWD, "", &other, AT_EMPTY_PATH) == 0 && other.st_ino == ino_of("."));
    FAILS(ENOENT, fstatat(dir, "", &other, 0));
    FAILS(ENOTDIR, openat(fd, "f", O_RDONLY));
    FAILS(EBADF, openat(99, "f", O_RDONLY));
    FAILS(EBADF, fstat(99, &stat));
    FAILS(EBADF, read(path, text, 1));
    GIVES(0, faccessat(dir, "f", R_OK | W_OK, 0));
    FAILS(EINVAL, faccessat(dir, "f", 8, 0));
    FAILS(ENOENT, access("d/g", F_OK));
    FAILS(EISDIR, read(dir, text, 1));
    FAILS(EBADF, write(dir, text, 1));
    close(fd);

    /* openat2(2) */
    fd = openat2_(dir, "../d/f", O_RDONLY, 0);
    CHECK(fd >= 0);
    close(fd);
    FAILS(EXDEV, openat2_(dir, "../d/f", O_RDONLY, RESOLVE_BENEATH));
    FAILS(EXDEV, openat2_(dir, "/etc/passwd", O_RDONLY, RESOLVE_BENEATH));
    FAILS(ELOOP, openat2_(dir, "l", O_RDONLY, RESOLVE_NO_SYMLINKS));
    FAILS(EINVAL, openat2_(dir, "f", 1ULL << 40, 0));
    FAILS(EINVAL, openat2_(dir, "f", O_RDONLY, 1 << 20));
    FAILS(ELOOP, openat2_(AT_FDCWD, "/proc/self/cwd/d/f", O_RDONLY, RESOLVE_NO_MAGICLINKS));

    /* Links, renames, removals. */
    GIVES(0, link("d/f", "d/h"));
    CHECK(ino_of("d/f") == ino_of("d/h") && !lstat("d/h", &stat) && stat.st_nlink == 2);
    FAILS(EEXIST, link("d/f", "d/h"));
    FAILS(EPERM, link("d", "dd"));
    GIVES(0, link("d/l", "d/m"));
    CHECK(!lstat("d/m", &stat) && S_ISLNK(stat.st_mode));
    GIVES(0, linkat(AT_FDCWD, "d/l", AT_FDCWD, "d/n", AT_SYMLINK_FOLLOW));
    CHECK(ino_of("d/n") == ino_of("d/f"));
    ino_t before = ino_of("d/f");
    GIVES(0, rename("d/f", "d/g"));
    CHECK(ino_of("d/g") == before && ino_of("d/f") == 0);
    put("victim", "v");
    GIVES(0, rename("d/g", "victim"));
    CHECK(ino_of("victim") == before && !strcmp(get("victim"), "hello"));
    FAILS(EINVAL, rename("d", "d/e/x"));
    FAILS(EISDIR, rename("victim", "d"));
    FAILS(ENOTEMPTY, rename("d/e", ".") == -1 && errno == EBUSY ? (errno = ENOTEMPTY, -1) : 0);
    FAILS(EEXIST, renameat2(AT_FDCWD, "victim", AT_FDCWD, "nowhere", RENAME_NOREPLACE));
    GIVES(0, renameat2(AT_FDCWD, "victim", AT_FDCWD, "nowhere", RENAME_EXCHANGE));
    CHECK(ino_of("nowhere") == before);
    FAILS(EISDIR, unlink("d"));
    FAILS(ENOTDIR, rmdir("nowhere"));
    FAILS(ENOTEMPTY, rmdir("d"));
    FAILS(EINVAL, rmdir("d/e/."));
    FAILS(ENOTDIR, unlinkat(dir, "h", AT_REMOVEDIR));
    FAILS(EINVAL, unlinkat(dir, "h", 0x1000));
    GIVES(0, unlinkat(dir, "h", 0));
    GIVES(0, unlinkat(dir, "e", AT_REMOVEDIR));
    FAILS(EEXIST, mkdir("d", 0777));
    FAILS(EEXIST, mkdir("dl", 0777));
    FAILS(EEXIST, mkdir("/", 0777));
    FAILS(EEXIST, mkdir("/proc", 0777));

    /* A name that was a directory, then a link. */
    GIVES(0, mkdir("was", 0755));
    put("was/x", "old");
    CHECK(!strcmp(get("was/x"), "old"));
    GIVES(0, rename("was", "is"));
    GIVES(0, symlink("is", "was"));
    put("was/x", "new");
    CHECK(!strcmp(get("is/x"), "new"));
    GIVES(0, unlink("was"));
    GIVES(0, symlink("/proc/self", "was"));
    CHECK(!strcmp(get("was/comm"), "paths\n"));

    /* Files without a name. */
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK(fd >= 0 && write(fd, "tmp", 3) == 3 && !fstat(fd, &stat) && stat.st_nlink == 0 && stat.st_size == 3);
    snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
    GIVES(0, linkat(AT_FDCWD, text, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    CHECK(ino_of("named") == stat.st_ino && !strcmp(get("named"), "tmp") && !strcmp(get(text), "tmp"));
    GIVES(0, unlink("named"));
    CHECK(!strcmp(get(text), "tmp"));
    close(fd);

    /* Where we stand. */
    GIVES(0, mkdir("here", 0755));
    GIVES(0, chdir("here"));
    GIVES(0, rename("../here", "../there"));
    CHECK(getcwd(text, sizeof text) && !strcmp(strrchr(text, '/'), "/there"));
    put("f", "in there");
    CHECK(!strcmp(get("../there/f"), "in there") && !strcmp(get("/proc/self/cwd/f"), "in there"));
    GIVES(0, unlink("f"));
    GIVES(0, rmdir("../there"));
    CHECK(!getcwd(text, sizeof text) && errno == ENOENT);
    FAILS(ENOENT, open("f", O_WRONLY | O_CREAT, 0644));
    FAILS(ENOENT, mkdir("g", 0755));
    GIVES(0, lstat(".", &stat));
    GIVES(0, fchdir(dir));
    CHECK(ino_of("l") != 0);
    FAILS(ENOTDIR, chdir("n"));
    FAILS(ENOENT, chdir("none"));
    FAILS(EBADF, fchdir(99));
    GIVES(0, chdir(folder));
    close(dir);
    close(path);
    leave_folder();
    return done();
}
