/* Buffers that end in a page that isn't there: what has been copied counts, and nothing of a pipe is lost. */
#include "check.h"
#include "folder.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PAGE = 4096 };
static char *page;

static void at_end_of_page(int in, int out) {
    char buf[64];
    memset(page, 'x', PAGE);
    memcpy(page + PAGE - 4, "abcd", 4);
    FAILS(EFAULT, write(out, page + PAGE, 4));
    FAILS(EFAULT, read(in, page + PAGE, 4));
    struct iovec two[2] = {{page + PAGE - 2, 2}, {page + PAGE, 8}};
    long wrote = write(out, page + PAGE - 4, 10);
    printf("wrote %ld (%d)\n", wrote, wrote < 0 ? errno : 0);
    wrote = writev(out, two, 2);
    printf("wrote of two %ld (%d)\n", wrote, wrote < 0 ? errno : 0);
    if (write(out, "0123456789", 10) != 10) abort();
    long len = read(in, page + PAGE - 4, 10);
    printf("read %ld (%d)\n", len, len < 0 ? errno : 0);
    len = read(in, buf, sizeof buf);
    printf("left %ld: %.*s\n", len, (int)(len < 0 ? 0 : len), buf);
}

int main(void) {
    enter_folder();
    page = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + PAGE, PAGE, PROT_NONE);
    int ends[2];
    if (pipe2(ends, O_NONBLOCK)) abort();
    puts("-- pipe");
    if (write(ends[1], "....", 4) != 4) abort();
    FAILS(EFAULT, read(ends[0], page + PAGE, 4));
    char buf[8192];
    GIVES(4, read(ends[0], buf, sizeof buf));
    GIVES(EAGAIN, read(ends[0], page + PAGE, 4) < 0 ? errno : 0);
    if (write(ends[1], "0123456789", 10) != 10) abort();
    at_end_of_page(ends[0], ends[1]);
    puts("-- pipe, in pieces");
    if (write(ends[1], "0123456789", 10) != 10) abort();
    struct iovec two[2] = {{page + PAGE - 2, 2}, {page + PAGE, 8}};
    long len = readv(ends[0], two, 2);
    printf("readv %ld (%d)\n", len, len < 0 ? errno : 0);
    len = read(ends[0], buf, sizeof buf);
    printf("left %ld: %.*s\n", len, (int)(len < 0 ? 0 : len), buf);
    puts("-- pipe, more than a page");
    char *big = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(big, 'y', 4 * PAGE);
    munmap(big + 2 * PAGE, PAGE);
    len = write(ends[1], big, 4 * PAGE);
    printf("wrote %ld (%d)\n", len, len < 0 ? errno : 0);
    len = write(ends[1], big + 100, 3 * PAGE);
    printf("wrote %ld (%d)\n", len, len < 0 ? errno : 0);
    long total = 0;
    while ((len = read(ends[0], buf, sizeof buf)) > 0) total += len;
    printf("held %ld\n", total);
    for (int i = 0; i < 3; i++)
        if (write(ends[1], big, 2 * PAGE) != 2 * PAGE) abort();
    len = read(ends[0], big + 100, 3 * PAGE);
    printf("read %ld (%d)\n", len, len < 0 ? errno : 0);
    total = 0;
    while ((len = read(ends[0], buf, sizeof buf)) > 0) total += len;
    printf("held %ld\n", total);
    puts("-- named pipe");
    if (mkfifo("fifo", 0600)) abort();
    int fifo = open("fifo", O_RDWR | O_NONBLOCK);
    if (write(fifo, "....", 4) != 4) abort();
    at_end_of_page(fifo, fifo);
    puts("-- pipe of packets");
    int packets[2];
    if (pipe2(packets, O_NONBLOCK | O_DIRECT)) abort();
    if (write(packets[1], "....", 4) != 4) abort();
    at_end_of_page(packets[0], packets[1]);
    puts("-- file");
    int file = open("file", O_RDWR | O_CREAT, 0600);
    if (write(file, "0123456789", 10) != 10) abort();
    lseek(file, 0, SEEK_SET);
    len = read(file, page + PAGE - 4, 10);
    printf("read %ld (%d) at %ld\n", len, len < 0 ? errno : 0, (long)lseek(file, 0, SEEK_CUR));
    len = write(file, page + PAGE - 4, 10);
    printf("wrote %ld (%d) at %ld\n", len, len < 0 ? errno : 0, (long)lseek(file, 0, SEEK_CUR));
    FAILS(EFAULT, read(file, page + PAGE, 1));
    FAILS(EFAULT, write(file, page + PAGE, 1));
    puts("-- generated files");
    int zero = open("/dev/zero", O_RDONLY);
    len = read(zero, page + PAGE - 4, 10);
    printf("zero %ld (%d)\n", len, len < 0 ? errno : 0);
    int generated = open("/proc/self/limits", O_RDONLY);
    FAILS(EFAULT, read(generated, page + PAGE, 10));
    int event = eventfd(5, EFD_NONBLOCK);
    FAILS(EFAULT, read(event, page + PAGE - 4, 8));
    FAILS(EFAULT, write(event, page + PAGE - 4, 8));
    uint64_t count = 0;
    len = read(event, &count, 8);
    printf("eventfd %ld %ld\n", len, (long)count);
    puts("-- sockets");
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) abort();
    if (write(pair[1], "....", 4) != 4) abort();
    FAILS(EFAULT, read(pair[0], page + PAGE, 4));
    GIVES(4, read(pair[0], buf, sizeof buf));
    FAILS(EFAULT, write(pair[1], page + PAGE - 4, 10));
    FAILS(EAGAIN, read(pair[0], buf, sizeof buf));
    leave_folder();
    return done();
}
