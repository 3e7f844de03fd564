/* /dev: what each node does, and where its links lead. */
#include "check.h"
#include "folder.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

int main(void) {
    static char text[100000];
    struct stat stat;
    enter_folder();
    const char *nodes[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    const int minors[] = {3, 5, 7, 8, 9};
    for (int i = 0; i < 5; i++) {
        int fd = open(nodes[i], O_RDWR);
        CHECK(fd >= 0 && !fstat(fd, &stat) && S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(1, minors[i]));
        CHECK(!lstat(nodes[i], &stat) && S_ISCHR(stat.st_mode) && stat.st_size == 0);
        struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
        GIVES(1, poll(&entry, 1, 0));
        GIVES(i == 3 ? POLLIN : POLLIN | POLLOUT, entry.revents);
        GIVES(0, isatty(fd));
        close(fd);
    }
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR);
    int random = open("/dev/urandom", O_RDWR);
    GIVES(0, read(null, text, 10));
    GIVES(10, write(null, text, 10));
    memset(text, 'x', 100);
    GIVES(100, read(zero, text, 100));
    CHECK(text[0] == 0 && text[99] == 0);
    GIVES(7, write(zero, text, 7));
    GIVES(5, read(full, text, 5));
    FAILS(ENOSPC, write(full, "x", 1));
    GIVES(0, lseek(null, 5, SEEK_SET));
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    CHECK(map != MAP_FAILED && map[8191] == 0 && (map[0] = 1));
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, random, 0) == MAP_FAILED && errno == ENODEV);

    GIVES(sizeof text, read(random, text, sizeof text));
    int ones = 0;
    for (size_t i = 0; i < sizeof text; i++) ones += __builtin_popcount((unsigned char)text[i]);
    CHECK(ones > 395000 && ones < 405000);
    GIVES(0, read(random, text, 0));
    FAILS(EFAULT, syscall(SYS_read, random, 8, 16));
    GIVES(4, write(random, "seed", 4));
    FAILS(EISDIR, open("/dev", O_WRONLY));
    FAILS(ENOENT, open("/dev/no-such-device", O_RDONLY));
    FAILS(ENOTDIR, open("/dev/null/x", O_RDONLY));
    FAILS(EEXIST, open("/dev/null", O_WRONLY | O_CREAT | O_EXCL, 0600));
    FAILS(EINVAL, truncate("/dev/null", 0));
    FAILS(EEXIST, mkdir("/dev/null", 0700));

    /* A node of one's own, where one may make them. */
    if (!mknod("node", S_IFCHR | 0600, makedev(1, 3))) {
        struct timespec times[2] = {{1000, 0}, {2000, 0}};
        CHECK(!utimensat(AT_FDCWD, "node", times, 0) && !lstat("node", &stat) && stat.st_mtim.tv_sec == 2000);
        CHECK((stat.st_mode & 0777) == 0600 && stat.st_rdev == makedev(1, 3) && stat.st_ino != ino_of("/dev/null"));
        int node = open("node", O_WRONLY);
        CHECK(node >= 0 ? write(node, "x", 1) == 1 : errno == EACCES);
        close(node);
    }

    /* Links to descriptors. */
    put("f", "file");
    int fd = open("f", O_RDONLY);
    GIVES(0, dup2(fd, 0) - 0);
    CHECK(!strcmp(get("/dev/stdin"), "file") && !strcmp(get("/dev/fd/0"), "file") && !strcmp(get("/proc/self/fd/0"), "file"));
    CHECK(!strcmp(get("/proc/thread-self/fd/0"), "file") && !strcmp(get("/dev/../proc/self/../self/fd/0"), "file"));
    GIVES(0, unlink("f"));
    CHECK(!strcmp(get("/dev/fd/0"), "file"));
    CHECK(!lstat("/dev/stdin", &stat) && S_ISLNK(stat.st_mode) && readlink("/dev/stdin", text, 99) == 15);
    int pipes[2];
    GIVES(0, pipe(pipes));
    snprintf(text, sizeof text, "/dev/fd/%d", pipes[1]);
    int again = open(text, O_WRONLY);
    CHECK(again >= 0 && again != pipes[1]);
    GIVES(2, write(again, "hi", 2));
    GIVES(2, read(pipes[0], text, 9));
    close(again);
    close(pipes[1]);
    GIVES(0, read(pipes[0], text, 9));
    FAILS(ENOENT, open("/dev/fd/77", O_RDONLY));
    FAILS(ENOENT, open("/dev/fd/x", O_RDONLY));

    /* Shared memory. */
    GIVES(0, symlink("/dev/shm", "shm"));
    int shared = open("shm/fated-test", O_RDWR | O_CREAT, 0600);
    CHECK(shared >= 0 && !ftruncate(shared, 4096));
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
    pid_t child = fork();
    if (child == 0) {
        strcpy(map, "from the child");
        _exit(0);
    }
    reap(child);
    CHECK(!strcmp(map, "from the child") && !strcmp(get("/dev/shm/fated-test"), "from the child"));
    int dev = open("/dev", O_RDONLY | O_DIRECTORY);
    int within = openat(dev, "shm/fated-test", O_RDONLY);
    CHECK(within >= 0 && read(within, text, 99) == 99 && !strcmp(text, "from the child"));
    int shm = openat(dev, "shm", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    CHECK(shm >= 0 && !faccessat(shm, "fated-test", R_OK, 0) && !fchdir(shm) && !access("fated-test", R_OK) && !chdir(folder));
    CHECK(openat(dev, "null", O_WRONLY) >= 0);
    GIVES(0, unlinkat(dev, "shm/fated-test", 0));
    leave_folder();
    return done();
}
