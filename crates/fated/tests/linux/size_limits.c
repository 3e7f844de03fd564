/* RLIMIT_FSIZE where one call copies from file to file, or changes the size. */
#include "check.h"
#include "folder.h"
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static volatile int signals;
static void count(int signal) { signals += signal == SIGXFSZ; }

static long size(int fd) {
    struct stat stat;
    return fstat(fd, &stat) ? -1 : stat.st_size;
}

/* What came of a call, and what it left. */
static void told(const char *what, long result, int to) {
    int error = result < 0 ? errno : 0;
    printf("%s: %ld %s, %d signals, size %ld, at %ld\n", what, result, error ? strerrorname_np(error) : "-", signals, size(to),
           (long)lseek(to, 0, SEEK_CUR));
    signals = 0;
}

static int fresh(long at) {
    int to = open("to", O_RDWR | O_CREAT | O_TRUNC, 0600);
    lseek(to, at, SEEK_SET);
    return to;
}

int main(void) {
    signal(SIGXFSZ, count);
    enter_folder();
    char bytes[8192];
    memset(bytes, 'x', sizeof bytes);
    int from = open("from", O_RDWR | O_CREAT, 0600);
    if (write(from, bytes, 5000) != 5000) abort();
    struct rlimit limit = {4000, RLIM_INFINITY};
    GIVES(0, setrlimit(RLIMIT_FSIZE, &limit));
    long starts[] = {0, 1000, 3999, 4000, 4001};
    for (int i = 0; i < 5; i++) {
        printf("-- at %ld\n", starts[i]);
        int to = fresh(starts[i]);
        off_t none = 5000, some = 4500;
        lseek(from, 0, SEEK_SET);
        told("sendfile of all", sendfile(to, from, NULL, 8000), to), close(to);
        printf("source at %ld\n", (long)lseek(from, 0, SEEK_CUR));
        to = fresh(starts[i]);
        told("sendfile of a little", sendfile(to, from, &some, 100), to), close(to);
        to = fresh(starts[i]);
        told("sendfile of nothing", sendfile(to, from, &none, 100), to), close(to);
        loff_t in = 0, out = starts[i];
        to = fresh(0);
        told("copy_file_range of all", syscall(SYS_copy_file_range, from, &in, to, &out, 8000, 0), to), close(to);
        printf("offsets %ld %ld\n", (long)in, (long)out);
        in = 5000, out = starts[i];
        to = fresh(0);
        told("copy_file_range of nothing", syscall(SYS_copy_file_range, from, &in, to, &out, 8000, 0), to), close(to);
        to = fresh(starts[i]);
        in = 0;
        told("copy_file_range at the position", syscall(SYS_copy_file_range, from, &in, to, NULL, 500, 0), to), close(to);

        int ends[2];
        if (pipe(ends) || write(ends[1], bytes, 4096) != 4096) abort();
        to = fresh(starts[i]);
        told("splice of much", splice(ends[0], NULL, to, NULL, 4096, 0), to);
        told("splice of the rest", splice(ends[0], NULL, to, NULL, 4096, SPLICE_F_NONBLOCK), to);
        close(ends[1]);
        long left = 0, got;
        while ((got = read(ends[0], bytes, sizeof bytes)) > 0) left += got;
        printf("left in the pipe: %ld\n", left);
        told("splice of the end", splice(ends[0], NULL, to, NULL, 4096, 0), to), close(to), close(ends[0]);
    }
    puts("-- sizes");
    int to = fresh(0);
    told("ftruncate to the limit", ftruncate(to, 4000), to);
    told("ftruncate beyond", ftruncate(to, 4001), to);
    told("truncate beyond", truncate("to", 4001), to);
    told("fallocate beyond", fallocate(to, 0, 0, 4001), to);
    told("write", write(to, bytes, 8000), to);
    told("write again", write(to, bytes, 1), to);
    told("pwrite", pwrite(to, bytes, 100, 3950), to);

    puts("-- without a handler");
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        signal(SIGXFSZ, SIG_DFL);
        lseek(from, 0, SEEK_SET);
        sendfile(fresh(4000), from, NULL, 10);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    GIVES(SIGXFSZ, WTERMSIG(status));
    signal(SIGXFSZ, SIG_IGN);
    lseek(from, 0, SEEK_SET);
    FAILS(EFBIG, sendfile(fresh(4000), from, NULL, 10));
    leave_folder();
    return done();
}
