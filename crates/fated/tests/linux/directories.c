/* Reading directories: each entry once, positions that lead back, entries that come and go meanwhile. */
#include "check.h"
#include "folder.h"
#include <dirent.h>
#include <sys/ioctl.h>

/* What Linux sets, and hides from 64-bit programs. */
#define LARGE 0100000

struct old_entry {
    unsigned long ino, off;
    unsigned short len;
    char name[];
};

static int count(DIR *dir) {
    int entries = 0;
    while (readdir(dir)) entries++;
    return entries;
}

int main(void) {
    enum { FILES = 500 };
    char name[64], buf[1024];
    struct stat stat;
    struct dirent *entry;
    enter_folder();
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-with-a-longer-name-%d", i);
        put(name, "");
    }
    GIVES(0, mkdir("sub", 0755));
    GIVES(0, symlink("sub", "link"));
    GIVES(0, mkfifo("fifo", 0600));

    DIR *dir = opendir(".");
    int seen = 0, right = 0, dots = 0, kinds = 0;
    while ((entry = readdir(dir))) {
        seen++;
        if (entry->d_name[0] == '.') {
            dots++;
            continue;
        }
        right += !lstat(entry->d_name, &stat) && stat.st_ino == entry->d_ino;
        kinds += entry->d_type == DT_UNKNOWN || entry->d_type == IFTODT(stat.st_mode);
    }
    GIVES(FILES + 5, seen);
    GIVES(FILES + 3, right);
    GIVES(FILES + 3, kinds);
    GIVES(2, dots);
    CHECK(!readdir(dir));

    /* Positions. */
    rewinddir(dir);
    for (int i = 0; i < 100; i++) readdir(dir);
    long place = telldir(dir);
    strcpy(name, readdir(dir)->d_name);
    readdir(dir);
    seekdir(dir, place);
    CHECK(!strcmp(readdir(dir)->d_name, name));
    seekdir(dir, place);
    GIVES(FILES + 5 - 100, count(dir));
    rewinddir(dir);
    GIVES(FILES + 5, count(dir));

    /* After a rewind the directory is read anew. */
    put("another", "");
    rewinddir(dir);
    GIVES(FILES + 6, count(dir));

    /* Emptied while it is read: each name is found once. */
    rewinddir(dir);
    int removed = 0;
    while ((entry = readdir(dir)))
        if (!strncmp(entry->d_name, "file", 4) && !unlink(entry->d_name)) removed++;
    GIVES(FILES - 1, removed - (removed == FILES));
    rewinddir(dir);
    GIVES(6, count(dir));

    /* The call itself. */
    int fd = dirfd(dir);
    lseek(fd, 0, SEEK_SET);
    FAILS(EINVAL, syscall(SYS_getdents64, fd, buf, 10));
    FAILS(EFAULT, syscall(SYS_getdents64, fd, (void *)8, 1000));
    FAILS(EBADF, syscall(SYS_getdents64, 99, buf, sizeof buf));
    long got = syscall(SYS_getdents, fd, buf, sizeof buf);
    int entries = 0, types = 0;
    for (long at = 0; at < got; entries++) {
        struct old_entry *old = (struct old_entry *)(buf + at);
        types += buf[at + old->len - 1] == DT_DIR;
        at += old->len;
    }
    GIVES(6, entries);
    GIVES(3, types);
    GIVES(0, syscall(SYS_getdents64, fd, buf, sizeof buf));
    int file = open("another", O_RDONLY);
    FAILS(ENOTDIR, syscall(SYS_getdents64, file, buf, sizeof buf));
    close(file);
    int pipes[2];
    GIVES(0, pipe(pipes));
    FAILS(ENOTDIR, syscall(SYS_getdents64, pipes[0], buf, sizeof buf));

    /* Two descriptors of one open directory share the position, two opens don't. */
    int twin = dup(fd), own = open(".", O_RDONLY);
    lseek(fd, 0, SEEK_SET);
    CHECK(syscall(SYS_getdents64, twin, buf, sizeof buf) > 0);
    GIVES(0, syscall(SYS_getdents64, fd, buf, sizeof buf));
    CHECK(syscall(SYS_getdents64, own, buf, sizeof buf) > 0);
    pid_t child = fork();
    if (child == 0) {
        lseek(own, 0, SEEK_SET);
        _exit(0);
    }
    reap(child);
    CHECK(syscall(SYS_getdents64, own, buf, sizeof buf) > 0);

    /* A directory that is gone has no entries. */
    GIVES(0, mkdir("gone", 0755));
    int gone = open("gone", O_RDONLY);
    GIVES(0, rmdir("gone"));
    FAILS(ENOENT, syscall(SYS_getdents64, gone, buf, sizeof buf));
    CHECK(!fstat(gone, &stat) && stat.st_nlink == 0);
    closedir(dir);

    /* A name that one has been opened by stands for what it stands for now. */
    GIVES(0, mkdir("named", 0755));
    own = open(".", O_RDONLY);
    struct stat before, after;
    for (int turn = 0; turn < 5; turn++) {
        int opened = openat(own, "named", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        GIVES(0, fstat(opened, &before));
        if (turn == 1) GIVES(0, chmod("named", 0700));
        if (turn == 2) GIVES(0, mkdir("named/below", 0755));
        if (turn == 3) GIVES(0, rename("named", "other") || mkdir("named", 0711));
        if (turn == 4) GIVES(0, rmdir("named") || symlink("other", "named"));
        for (int again = 0; again < 2; again++) {
            GIVES(0, fstatat(own, "named", &after, AT_SYMLINK_NOFOLLOW));
            GIVES(turn < 3, before.st_ino == after.st_ino);
            GIVES(turn == 0 || turn == 2, before.st_mode == after.st_mode);
            if (turn < 3) GIVES(turn == 2, after.st_nlink > before.st_nlink);
        }
        close(opened);
    }
    close(own);
    GIVES(0, unlink("named") || rmdir("other/below") || rmdir("other"));

    /* The flags that one is open with, whoever changes them. */
    int flagged = open("/usr", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    GIVES(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | LARGE, fcntl(flagged, F_GETFL));
    twin = dup(flagged);
    GIVES(0, fcntl(twin, F_SETFL, 0));
    GIVES(O_DIRECTORY | O_NOFOLLOW | LARGE, fcntl(flagged, F_GETFL));
    int on = 1;
    GIVES(0, ioctl(flagged, FIONBIO, &on));
    GIVES(O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | LARGE, fcntl(twin, F_GETFL));
    close(twin);
    close(flagged);
    flagged = open(".", O_RDONLY | O_DIRECTORY | O_NOATIME);
    GIVES(O_DIRECTORY | LARGE, fcntl(flagged, F_GETFL) & ~O_NOATIME);
    GIVES(0, ioctl(flagged, FIONBIO, &on));
    GIVES(O_DIRECTORY | O_NONBLOCK | LARGE, fcntl(flagged, F_GETFL) & ~O_NOATIME);
    close(flagged);

    /* Generated ones. */
    dir = opendir("/proc/self/fd");
    CHECK(dir != NULL);
    int listed = 0;
    while ((entry = readdir(dir))) listed += atoi(entry->d_name) == own;
    GIVES(1, listed);
    closedir(dir);
    dir = opendir("/proc");
    snprintf(name, sizeof name, "%d", getpid());
    listed = 0;
    while ((entry = readdir(dir))) listed += !strcmp(entry->d_name, name) || !strcmp(entry->d_name, "self") || !strcmp(entry->d_name, "cpuinfo");
    GIVES(3, listed);
    closedir(dir);
    leave_folder();
    return done();
}
