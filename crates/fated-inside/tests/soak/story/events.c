/* epoll with odd flags, and futexes at odd addresses. */
#include "story.h"
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

void odd_events(void) {
    static const uint32_t flags[] = {0, EPOLLIN, EPOLLOUT, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLRDHUP, EPOLLPRI,
        EPOLLERR, EPOLLHUP, EPOLLIN | EPOLLET, EPOLLEXCLUSIVE | EPOLLONESHOT, EPOLLEXCLUSIVE | EPOLLIN, 1u << 20, -1u};
    static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 0, 4};
    int many = epoll_create1(below(2) ? EPOLL_CLOEXEC : 0), inner = epoll_create(1), ends[2] = {-1, -1};
    if (pipe2(ends, O_NONBLOCK)) told("pipe", -1);
    /* Standard input is left out: who waits for it with EPOLLPRI alone waits in real time, while virtual time stands still. */
    int counter = eventfd(below(2), EFD_NONBLOCK), files[] = {many, inner, ends[0], ends[1], counter, 1, -1, some_fd()};
    struct epoll_event ready[4];
    for (int i = 3 + below(12); i; i--)
        switch (below(7)) {
        case 0: case 1: case 2: {
            struct epoll_event event = {PICK(flags), {.u64 = (uint64_t)below(100)}};
            int on = below(4) ? many : PICK(files), fd = PICK(files), op = PICK(ops);
            told("epoll_ctl", syscall(SYS_epoll_ctl, on, op, fd, below(16) ? &event : 0));
            break;
        }
        case 3: {
            static const int most[] = {4, 4, 4, 1, 0, -1, 1 << 30};
            long got = syscall(SYS_epoll_wait, below(4) ? many : inner, ready, PICK(most), below(10));
            if (got < 0) told("epoll_wait", got);
            else for (int n = 0; n < got; n++) say("epoll_wait", ready[n].events, (long)ready[n].data.u64);
            break;
        }
        case 4: {
            struct timespec wait = {0, below(4) ? below(1000000) : -1};
            sigset_t set;
            sigemptyset(&set);
            told("epoll_pwait2", syscall(SYS_epoll_pwait2, many, ready, 4, below(4) ? &wait : &(struct timespec){0, 0},
                below(2) ? &set : 0, below(8) ? 8UL : 4UL));
            break;
        }
        case 5: told("write", write(below(2) ? ends[1] : counter, "12345678", 8)); break;
        default: {
            char bytes[8];
            told("read", read(below(2) ? ends[0] : counter, bytes, 8));
        }
        }
    close(many), close(inner), close(ends[0]), close(ends[1]), close(counter);
}

void odd_futexes(void) {
    /* FUTEX_LOCK_PI on a word that somebody has waits for ever: only tries. */
    static const int ops[] = {FUTEX_WAIT, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_UNLOCK_PI,
        FUTEX_TRYLOCK_PI, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2, 14, 99};
    static const int also[] = {0, FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME};
    static int here[4];
    int on_stack[4] = {0};
    char *pages = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fd = open("f2", O_RDWR | O_CREAT, 0644);
    if (pages == MAP_FAILED || shared == MAP_FAILED) return told("pages", -1);
    told("size", ftruncate(fd, 100));
    char *of_file = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    mprotect(pages, PAGE, PROT_NONE), mprotect(pages + PAGE, PAGE, PROT_READ), mprotect(pages + 2 * PAGE, PAGE, PROT_WRITE);
    void *places[] = {0, (void *)1, (void *)8, here, here + 1, on_stack, pages, pages + PAGE, pages + 2 * PAGE, pages + 3 * PAGE, shared, shared + 8,
        shared + 2, of_file, of_file + PAGE, of_file + 4, (void *)0x7ffffffff000, (void *)0xffff800000000000, (void *)-4L};
    for (int i = 2 + below(8); i; i--) {
        void *at = PICK(places), *to = PICK(places);
        int op = PICK(ops);
        struct timespec wait = {below(8) ? 0 : -1, below(8) ? below(1000000) : 1000000000};
        long fourth = op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET || op == FUTEX_TRYLOCK_PI || op == FUTEX_LOCK_PI2 ? (long)&wait : below(4) - 1;
        static const uint32_t masks[] = {0, 1, -1u, 0x01002003, 0xf1fff000};
        told("futex", syscall(SYS_futex, at, op | PICK(also), below(3), fourth, to, PICK(masks)));
    }
    static const size_t lengths[] = {0, 24, 24, 25};
    told("robust", syscall(SYS_get_robust_list, below(2) ? 0 : getpid(), &(void *){0}, &(size_t){0}));
    if (below(4) == 0) told("robust size", syscall(SYS_set_robust_list, places[3], PICK(lengths) + 1));
    munmap(pages, 4 * PAGE), munmap(shared, PAGE);
    if (of_file != MAP_FAILED) munmap(of_file, 2 * PAGE);
    close(fd);
}
