/* epoll, poll, select, eventfd, timerfd and signalfd over pipes between two processes. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int pipes[2], event = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, 0);
    int child_end = signalfd(-1, &set, 0);
    if (pipe(pipes) != 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        uint64_t one = 1;
        for (int i = 0; i < 3; i++) {
            usleep(20000);
            if (write(pipes[1], "x", 1) != 1 || write(event, &one, 8) != 8)
                _exit(1);
        }
        _exit(7);
    }
    close(pipes[1]);
    timerfd_settime(timer, 0, &(struct itimerspec){ { 0, 0 }, { 0, 50000000 } }, 0);
    int ep = epoll_create1(0), fds[] = { pipes[0], event, timer, child_end }, counts[4] = { 0 }, open = 1;
    for (int i = 0; i < 4; i++)
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){ EPOLLIN, { .u32 = (uint32_t)i } });
    while (open || !counts[3] || !counts[2]) {
        struct epoll_event ready[4];
        int n = epoll_wait(ep, ready, 4, 1000);
        if (n <= 0)
            return 2;
        for (int i = 0; i < n; i++) {
            char buffer[256];
            ssize_t got = read(fds[ready[i].data.u32], buffer, ready[i].data.u32 == 0 ? 1 : sizeof buffer);
            if (got > 0)
                counts[ready[i].data.u32] += ready[i].data.u32 == 1 ? *(int *)buffer : 1;
            else
                open = 0, epoll_ctl(ep, EPOLL_CTL_DEL, pipes[0], 0);
        }
    }
    int status;
    waitpid(pid, &status, 0);
    printf("bytes %d, events %d, timer %d, child %d, status %d\n", counts[0], counts[1], counts[2], counts[3], WEXITSTATUS(status));
    struct pollfd one = { pipes[0], POLLIN, 0 };
    printf("poll %d hup %d\n", poll(&one, 1, 100), !!(one.revents & POLLHUP));
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(event, &readable);
    printf("select %d\n", select(event + 1, &readable, 0, 0, &(struct timeval){ 0, 10000 }));
}
