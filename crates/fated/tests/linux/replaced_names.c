/* What has been opened before is looked at again once another file may stand there: in each way in which a name can be taken
   away from a regular file, it becomes a link to a file of /proc, which tells who reads it. */
#include "check.h"
#include "folder.h"

static int here;
static char whole[128];

/* The directory "d" with the regular file "file" in it, which has been opened more than once by each of its paths. */
static int make(void) {
    mkdir("d", 0755);
    unlink("d/file");
    put("d/file", "1");
    int dir = openat(here, "d", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    for (int i = 0; i < 3; i++) {
        for (int way = 0; way < 3; way++) {
            int fd = way == 0 ? open(whole, O_RDONLY) : way == 1 ? open("d/file", O_RDONLY) : openat(dir, "file", O_RDONLY);
            if (fd < 0 || close(fd)) abort();
        }
    }
    return dir;
}

static int is_mine(int fd) {
    char text[64] = "";
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 || close(fd)) abort();
    return atoi(text) == getpid();
}

/* All paths to it lead to /proc/self/stat now. */
static void is_replaced(const char *how, int dir) {
    int all = is_mine(open(whole, O_RDONLY)), relative = is_mine(open("d/file", O_RDONLY)), at = 1;
    if (dir >= 0) at = is_mine(openat(dir, "file", O_RDONLY)), close(dir);
    printf("%s: %s, %s, %s\n", how, all ? "ok" : "FAILED", relative ? "ok" : "FAILED", at ? "ok" : "FAILED");
    if (!all || !relative || !at) check_failed = 1;
}

static void put_link(const char *path) {
    if (symlink("/proc/self/stat", path)) abort();
}

static void clear(const char *dir) {
    char path[64];
    sprintf(path, "%s/file", dir);
    unlink(path);
    if (remove(dir)) abort();
}

static void files_lose_names(void) {
    int dir = make();
    unlink("d/file"), put_link("d/file");
    is_replaced("unlink", dir);
    dir = make();
    unlinkat(dir, "file", 0), put_link("d/file");
    is_replaced("unlinkat", dir);
    dir = make();
    if (chdir("d")) abort();
    unlink("file"), put_link("file");
    if (fchdir(here)) abort();
    is_replaced("unlink from within", dir);
    dir = make();
    rename("d/file", "old"), put_link("d/file");
    is_replaced("rename away", dir);
    dir = make();
    put_link("link"), rename("link", "d/file");
    is_replaced("rename over it", dir);
    dir = make();
    put_link("link"), CHECK(renameat2(here, "link", dir, "file", RENAME_EXCHANGE) == 0);
    is_replaced("exchange", dir);
    dir = make();
    symlink("d", "alias"), unlink("alias/file"), put_link("alias/file"), unlink("alias");
    is_replaced("by another path", dir);
    dir = make();
    link("d/file", "other"), close(open("other", O_RDONLY)), close(open(whole, O_RDONLY)), close(open("other", O_RDONLY));
    unlink("d/file"), put_link("d/file");
    is_replaced("while it has another name", dir);
    dir = make();
    pid_t child = fork();
    if (child == 0) _exit(unlink("d/file") || symlink("/proc/self/stat", "d/file"));
    reap(child);
    is_replaced("by another process", dir);
    clear("d");
}

static void directories_move(void) {
    close(make());
    rename("d", "e"), mkdir("d", 0755), put_link("d/file");
    is_replaced("rename of the directory", -1);
    clear("d"), clear("e");
    close(make());
    mkdir("e", 0755), put_link("e/file");
    CHECK(renameat2(here, "d", here, "e", RENAME_EXCHANGE) == 0);
    is_replaced("exchange of the directory", -1);
    clear("d"), clear("e");
    close(make());
    mkdir("e", 0755), put_link("e/file"), clear("d"), symlink("e", "d");
    is_replaced("a link for the directory", -1);
    unlink("d"), clear("e");
    int old = make();
    rename("d", "e");
    close(make());
    unlink("e/file"), put_link("e/file");
    CHECK(is_mine(openat(old, "file", O_RDONLY)));
    CHECK(!is_mine(open(whole, O_RDONLY)));
    close(old), clear("d"), clear("e");
}

static int mode_of(int fd) {
    struct stat stat;
    return fstat(fd, &stat) ? -1 : (int)(stat.st_mode & 0777);
}

/* The status of a directory that has just been opened is what it is, not what it was. */
static void directories_change(void) {
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    umask(0);
    mkdir("d", 0755);
    int fd = openat(here, "d", flags);
    GIVES(0, chmod("d", 0700));
    GIVES(0700, mode_of(fd));
    close(fd);
    fd = openat(here, "d", flags);
    GIVES(0700, mode_of(fd));
    GIVES(0, fchmod(fd, 0750));
    GIVES(0750, mode_of(fd));
    close(fd);
    fd = open("d", flags);
    pid_t child = fork();
    if (child == 0) _exit(chmod("d", 0711));
    reap(child);
    GIVES(0711, mode_of(fd));
    GIVES(0, fcntl(fd, F_GETFD));
    GIVES(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
    GIVES(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
    GIVES(FD_CLOEXEC, fcntl(fd, F_GETFD));
    GIVES(0, fcntl(fd, F_SETFD, 0));
    GIVES(0, fcntl(fd, F_GETFD));
    close(fd);
    put("file", "");
    symlink("d", "link"), mkfifo("fifo", 0600);
    FAILS(ENOTDIR, openat(here, "file", flags));
    FAILS(ENOTDIR, openat(here, "link", flags));
    FAILS(ENOTDIR, openat(here, "fifo", flags));
    FAILS(ENOENT, openat(here, "nothing", flags));
    FAILS(EISDIR, openat(here, "d", flags | O_WRONLY));
    fd = openat(here, "d", flags | O_PATH);
    CHECK(fd >= 0);
    GIVES(0711, mode_of(fd));
    close(fd);
}

int main(void) {
    enter_folder();
    sprintf(whole, "%s/d/file", folder);
    here = open(".", O_RDONLY | O_DIRECTORY);
    files_lose_names();
    directories_move();
    directories_change();
    close(here);
    leave_folder();
    return done();
}
