/* epoll: levels, edges, one shot, nesting, what closing does. */
#include "check.h"
#include "folder.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <poll.h>

static void *volatile bad = (void *)16;
static volatile int seen;
static void note(int signal) { seen = signal; }

static int ctl(int epoll, int operation, int fd, unsigned events, uint64_t data) {
    struct epoll_event event = {events, {.u64 = data}};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* Waits for at most 8 events for no time and prints them. */
static void wait_now(int epoll) {
    struct epoll_event list[8];
    int count = epoll_wait(epoll, list, 8, 0);
    printf("%d events:", count);
    for (int i = 0; i < count; i++) printf(" %#x %llu", list[i].events, (unsigned long long)list[i].data.u64);
    printf("\n");
}

static void errors(void) {
    int epoll = epoll_create1(EPOLL_CLOEXEC), p[2], file = open("f", O_RDWR | O_CREAT, 0600);
    pipe(p);
    struct epoll_event event;
    GIVES(FD_CLOEXEC, fcntl(epoll, F_GETFD));
    FAILS(EINVAL, epoll_create(0));
    FAILS(EINVAL, epoll_create1(1));
    FAILS(EPERM, ctl(epoll, EPOLL_CTL_ADD, file, EPOLLIN, 0));
    FAILS(EBADF, ctl(epoll, EPOLL_CTL_ADD, 77, EPOLLIN, 0));
    FAILS(EBADF, ctl(77, EPOLL_CTL_ADD, p[0], EPOLLIN, 0));
    FAILS(EINVAL, ctl(p[1], EPOLL_CTL_ADD, p[0], EPOLLIN, 0));
    FAILS(EINVAL, ctl(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN, 0));
    FAILS(EINVAL, ctl(epoll, 9, p[0], EPOLLIN, 0));
    FAILS(ENOENT, ctl(epoll, EPOLL_CTL_MOD, p[0], EPOLLIN, 0));
    FAILS(ENOENT, ctl(epoll, EPOLL_CTL_DEL, p[0], EPOLLIN, 0));
    FAILS(EFAULT, epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], bad));
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    FAILS(EEXIST, ctl(epoll, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    GIVES(0, epoll_ctl(epoll, EPOLL_CTL_DEL, p[0], NULL));
    FAILS(EINVAL, epoll_wait(epoll, &event, 0, 0));
    FAILS(EINVAL, syscall(SYS_epoll_wait, epoll, &event, -1, 0));
    FAILS(EBADF, epoll_wait(77, &event, 1, 0));
    FAILS(EINVAL, epoll_wait(p[0], &event, 1, 0));
    FAILS(EFAULT, epoll_wait(epoll, (void *)-4096L, 1, 0));
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, p[1], EPOLLOUT, 1));
    FAILS(EFAULT, epoll_wait(epoll, bad, 1, 0));
    GIVES(1, epoll_wait(epoll, &event, 1, 0));
    FAILS(EINVAL, ctl(epoll, EPOLL_CTL_MOD, p[1], EPOLLOUT | EPOLLEXCLUSIVE, 1));
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
    FAILS(EINVAL, ctl(epoll, EPOLL_CTL_MOD, p[0], EPOLLIN, 1));
    FAILS(EINVAL, read(epoll, &event, sizeof event));
    close(epoll), close(p[0]), close(p[1]), close(file);
}

static void triggers(void) {
    int epoll = epoll_create1(0), p[2];
    char text[8];
    pipe(p);
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, p[0], EPOLLIN, 10));
    wait_now(epoll);
    write(p[1], "ab", 2);
    wait_now(epoll);
    wait_now(epoll);
    read(p[0], text, 1);
    wait_now(epoll);
    read(p[0], text, 1);
    wait_now(epoll);
    GIVES(0, ctl(epoll, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 11));
    write(p[1], "ab", 2);
    wait_now(epoll);
    wait_now(epoll);
    read(p[0], text, 1);
    wait_now(epoll);
    write(p[1], "c", 1);
    wait_now(epoll);
    wait_now(epoll);
    /* Changing the interest looks again. */
    GIVES(0, ctl(epoll, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 12));
    wait_now(epoll);
    GIVES(0, ctl(epoll, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 13));
    wait_now(epoll);
    wait_now(epoll);
    write(p[1], "d", 1);
    wait_now(epoll);
    GIVES(0, ctl(epoll, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 14));
    wait_now(epoll);
    /* Hanging up is always told. */
    GIVES(0, ctl(epoll, EPOLL_CTL_MOD, p[0], 0, 15));
    wait_now(epoll);
    close(p[1]);
    wait_now(epoll);
    close(p[0]);
    wait_now(epoll);
    /* An eventfd tells an edge for each write. */
    int event = eventfd(0, EFD_NONBLOCK);
    uint64_t one = 1;
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLOUT | EPOLLET, 20));
    wait_now(epoll);
    wait_now(epoll);
    write(event, &one, 8);
    wait_now(epoll);
    write(event, &one, 8);
    wait_now(epoll);
    wait_now(epoll);
    close(event), close(epoll);
}

/* All that are ready get their turn. */
static void fairness(void) {
    int epoll = epoll_create1(0), fds[5];
    for (int i = 0; i < 5; i++) {
        fds[i] = eventfd(1, 0);
        ctl(epoll, EPOLL_CTL_ADD, fds[i], EPOLLIN, i);
    }
    int times[5] = {0};
    struct epoll_event list[2];
    for (int round = 0; round < 10; round++) {
        int count = epoll_wait(epoll, list, 2, 0);
        for (int i = 0; i < count; i++) times[list[i].data.u64]++;
    }
    for (int i = 0; i < 5; i++) GIVES(4, times[i]);
    for (int i = 0; i < 5; i++) close(fds[i]);
    close(epoll);
}

/* An interest ends with the last descriptor of its file, not with its own. */
static void closing(void) {
    int epoll = epoll_create1(0), p[2];
    pipe(p);
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, p[1], EPOLLOUT, 1));
    int other = dup(p[1]);
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, other, EPOLLOUT, 2));
    wait_now(epoll);
    int number = p[1];
    close(p[1]);
    wait_now(epoll);
    FAILS(EBADF, ctl(epoll, EPOLL_CTL_DEL, number, 0, 0));
    /* The same number for another file is another interest. */
    int q[2];
    pipe(q);
    GIVES(number, q[0]);
    GIVES(0, ctl(epoll, EPOLL_CTL_ADD, number, EPOLLIN, 3));
    wait_now(epoll);
    close(other);
    wait_now(epoll);
    close(p[0]), close(q[0]), close(q[1]), close(epoll);
}

static void nesting(void) {
    int chain[7], event = eventfd(1, 0);
    for (int i = 0; i < 7; i++) chain[i] = epoll_create1(0);
    GIVES(0, ctl(chain[0], EPOLL_CTL_ADD, event, EPOLLIN, 1));
    GIVES(0, ctl(chain[1], EPOLL_CTL_ADD, chain[0], EPOLLIN, 2));
    struct pollfd entry = {chain[1], POLLIN, 0};
    GIVES(1, poll(&entry, 1, 0));
    wait_now(chain[1]);
    uint64_t value;
    read(event, &value, 8);
    GIVES(0, poll(&entry, 1, 0));
    wait_now(chain[1]);
    FAILS(ELOOP, ctl(chain[0], EPOLL_CTL_ADD, chain[1], EPOLLIN, 0));
    FAILS(EINVAL, ctl(chain[2], EPOLL_CTL_ADD, chain[1], EPOLLIN | EPOLLEXCLUSIVE, 0));
    int depth = 1;
    while (depth < 6 && ctl(chain[depth + 1], EPOLL_CTL_ADD, chain[depth], EPOLLIN, 3) == 0) depth++;
    printf("depth %d\n", depth);
    value = 1;
    write(event, &value, 8);
    wait_now(chain[depth]);
    for (int i = 0; i < 7; i++) close(chain[i]);
    close(event);
}

static int shared;
static void *waits(void *data) {
    struct epoll_event event;
    int count = epoll_wait(shared, &event, 1, 5000);
    uint64_t value;
    if (count == 1) read(event.data.fd, &value, 8);
    *(int *)data = count;
    return NULL;
}

static void sleepers(void) {
    struct epoll_event event;
    int fd = eventfd(0, EFD_SEMAPHORE);
    shared = epoll_create1(0);
    ctl(shared, EPOLL_CTL_ADD, fd, EPOLLIN, fd);
    int64_t start = now_ns(CLOCK_MONOTONIC);
    GIVES(0, epoll_wait(shared, &event, 1, 100));
    CHECK(now_ns(CLOCK_MONOTONIC) - start >= 100000000);
    struct timespec time = {0, 50000000};
    start = now_ns(CLOCK_MONOTONIC);
    GIVES(0, syscall(SYS_epoll_pwait2, shared, &event, 1, &time, NULL, 8));
    CHECK(now_ns(CLOCK_MONOTONIC) - start >= 50000000);
    pthread_t threads[3];
    int counts[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, waits, &counts[i]);
    sleep_ms(50);
    for (int i = 0; i < 3; i++) {
        uint64_t one = 1;
        write(fd, &one, 8);
    }
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    GIVES(3, counts[0] + counts[1] + counts[2]);
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 0}, {0, 50000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    FAILS(EINTR, epoll_wait(shared, &event, 1, -1));
    sigset_t blocked, empty, now;
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGALRM);
    seen = 0;
    GIVES(0, epoll_wait(shared, &event, 1, 10));
    FAILS(EINTR, epoll_pwait(shared, &event, 1, -1, &empty));
    GIVES(SIGALRM, seen);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGALRM));
    close(fd), close(shared);
}

int main(void) {
    enter_folder();
    errors();
    triggers();
    fairness();
    closing();
    nesting();
    sleepers();
    leave_folder();
    return done();
}
