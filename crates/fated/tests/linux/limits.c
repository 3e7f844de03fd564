/* Limits that act: sizes of files, processes, memory, the stack. */
#include "check.h"
#include "folder.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static void limit(int resource, rlim_t soft) {
    struct rlimit limit;
    getrlimit(resource, &limit);
    limit.rlim_cur = soft;
    GIVES(0, setrlimit(resource, &limit));
}

static int xfsz;
static void on_xfsz(int signal) { (void)signal; xfsz++; }

static void sizes(void) {
    puts("-- RLIMIT_FSIZE");
    signal(SIGXFSZ, on_xfsz);
    char buf[2000];
    memset(buf, 'x', sizeof buf);
    limit(RLIMIT_FSIZE, 1024);
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    GIVES(1000, write(fd, buf, 1000));
    GIVES(24, write(fd, buf, 1000));
    GIVES(0, xfsz);
    FAILS(EFBIG, write(fd, buf, 1));
    GIVES(1, xfsz);
    GIVES(0, write(fd, buf, 0));
    FAILS(EFBIG, pwrite(fd, buf, 10, 5000));
    GIVES(4, pwrite(fd, buf, 10, 1020));
    GIVES(2, xfsz);
    FAILS(EFBIG, ftruncate(fd, 2000));
    GIVES(3, xfsz);
    GIVES(0, ftruncate(fd, 1024));
    GIVES(0, ftruncate(fd, 10));
    FAILS(EFBIG, truncate("file", 1025));
    GIVES(4, xfsz);
    GIVES(0, lseek(fd, 0, SEEK_SET));
    struct iovec parts[3] = {{buf, 1000}, {buf, 10}, {buf, 990}};
    GIVES(1024, writev(fd, parts, 3));
    FAILS(EFBIG, writev(fd, parts, 3));
    GIVES(5, xfsz);
    GIVES(1024, lseek(fd, 0, SEEK_CUR));
    int end = open("file", O_WRONLY | O_APPEND);
    FAILS(EFBIG, write(end, buf, 1));
    GIVES(0, ftruncate(fd, 1000));
    GIVES(24, write(end, buf, 100));
    int pipes[2];
    if (pipe(pipes)) abort();
    GIVES(2000, write(pipes[1], buf, 2000));
    close(end), close(fd), close(pipes[0]), close(pipes[1]);
    pid_t child = fork();
    if (!child) {
        signal(SIGXFSZ, SIG_DFL);
        fd = open("file", O_WRONLY);
        lseek(fd, 1024, SEEK_SET);
        _exit(write(fd, buf, 1) != 0);
    }
    int status;
    waitpid(child, &status, 0);
    GIVES(SIGXFSZ, status & 0x7f);
    limit(RLIMIT_FSIZE, RLIM_INFINITY);
    fd = open("file", O_WRONLY | O_APPEND);
    GIVES(2000, write(fd, buf, 2000));
    close(fd);
}

static void memory(void) {
    puts("-- RLIMIT_AS");
    limit(RLIMIT_AS, 64 << 20);
    FAILS(ENOMEM, (long)mmap(0, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    void *small = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(small != MAP_FAILED);
    FAILS(ENOMEM, (long)mremap(small, 1 << 20, 100 << 20, MREMAP_MAYMOVE));
    char *end = sbrk(0);
    FAILS(ENOMEM, (long)sbrk(100 << 20));
    CHECK(sbrk(0) == end);
    CHECK(!malloc(100 << 20));
    limit(RLIMIT_AS, RLIM_INFINITY);
    void *large = mmap(0, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(large != MAP_FAILED);
    puts("-- RLIMIT_DATA");
    limit(RLIMIT_DATA, 16 << 20);
    FAILS(ENOMEM, (long)mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK(mmap(0, 32 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    CHECK(mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    FAILS(ENOMEM, (long)sbrk(32 << 20));
    limit(RLIMIT_DATA, RLIM_INFINITY);
}

static int down(int n) {
    volatile char room[4096];
    room[0] = n;
    return n ? down(n - 1) + room[0] - room[0] + 1 : 0;
}

static void stack(char *self) {
    puts("-- RLIMIT_STACK");
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (!child) {
            limit(RLIMIT_STACK, i == 0 ? 64 << 20 : i == 1 ? 8 << 20 : 1 << 20);
            execl(self, self, i == 2 ? "500" : "6000", NULL);
            _exit(99);
        }
        int status;
        waitpid(child, &status, 0);
        printf("status %#x\n", status & ~0x80);
    }
    pid_t child = fork();
    if (!child) {
        limit(RLIMIT_STACK, 32 << 20);
        GIVES(6000, down(6000));
        exit(done());
    }
    reap(child);
}

static void of_users(void) {
    if (getuid()) {
        fprintf(stderr, "skipped: a user of its own needs root\n");
        return;
    }
    puts("-- RLIMIT_NPROC and RLIMIT_MEMLOCK");
    pid_t child = fork();
    if (!child) {
        if (setresgid(54322, 54322, 54322) || setresuid(54322, 54322, 54322)) abort();
        limit(RLIMIT_NPROC, 2);
        pid_t first = fork();
        if (!first) {
            pause();
            _exit(0);
        }
        CHECK(first > 0);
        FAILS(EAGAIN, fork());
        kill(first, SIGKILL);
        waitpid(first, 0, 0);
        first = fork();
        if (!first) _exit(0);
        CHECK(first > 0);
        reap(first);
        char *pages = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        limit(RLIMIT_MEMLOCK, 16 << 10);
        GIVES(0, mlock(pages, 16 << 10));
        FAILS(ENOMEM, mlock(pages + (16 << 10), 4096));
        FAILS(EAGAIN, (long)mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
        GIVES(0, munlock(pages, 4096));
        GIVES(0, mlock(pages + (16 << 10), 4096));
        munlock(pages, 1 << 20);
        limit(RLIMIT_MEMLOCK, 0);
        FAILS(EPERM, mlock(pages, 4096));
        exit(done());
    }
    reap(child);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        printf("%d\n", down(atoi(argv[1])));
        fflush(stdout);
        return 0;
    }
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = 0;
    (void)argv;
    enter_folder();
    sizes();
    memory();
    stack(self);
    of_users();
    leave_folder();
    return done();
}
