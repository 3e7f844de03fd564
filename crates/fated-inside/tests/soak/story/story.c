/* A random life of processes and threads: `story SEED ACTS`. Every act prints what came of it, so that two runs can be
   compared. Nothing here is an error: calls that fail are part of the story. */
#include "story.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

enum { FDS = 12, CHILDREN = 6, DEEPEST = 3, THREADS = 3 };

static uint64_t state;
uint64_t next(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static char *self;
static int depth, fds[FDS], used;
static pid_t children[CHILDREN];
static volatile sig_atomic_t caught;
static char *page;
static sigjmp_buf back;

void say(const char *what, long a, long b) {
    char line[160];
    int len = snprintf(line, sizeof line, "%d.%d %s %ld %ld %d\n", depth, (int)getpid(), what, a, b, caught);
    if (write(1, line, len) != len) _exit(9);
}

void note(int signal) { caught = signal; }
static void jump(int signal) { siglongjmp(back, signal); }

static int some_signal(void) {
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGALRM, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGKILL, SIGHUP, 34, 40};
    return signals[below(sizeof signals / sizeof *signals)];
}
int some_fd(void) { return used ? fds[below(used)] : below(20) + 3; }
void keep(int fd) {
    if (fd < 0) return;
    if (used < FDS) fds[used++] = fd;
    else close(fd);
}
static pid_t some_child(void) { return children[below(CHILDREN)]; }
static struct timespec soon(void) { return (struct timespec){below(2), below(1000000000)}; }

static void nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

void in_child(const char *what, void (*run)(void)) {
    pid_t child = fork();
    if (child == 0) {
        depth++;
        memset(children, 0, sizeof children);
        run();
        _exit(below(3));
    }
    int status = 0;
    if (child > 0)
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    next();
    say(what, child, child < 0 ? errno : status);
}

int fault_of(void (*run)(void)) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction before[4];
    for (int i = 0; i < 4; i++) sigaction(signals[i], &(struct sigaction){.sa_handler = jump, .sa_flags = SA_NODEFER}, before + i);
    int got = sigsetjmp(back, 1);
    if (got == 0) run();
    for (int i = 0; i < 4; i++) sigaction(signals[i], before + i, 0);
    return got;
}

const char *beside(const char *name) {
    static char path[4200];
    long len = readlink("/proc/self/exe", path, 4096);
    while (len > 0 && path[len - 1] != '/') len--;
    strcpy(path + (len < 0 ? 0 : len), name);
    return path;
}

static void act(void);
static void live(int acts) {
    while (acts--) act();
}

static void child_begins(int acts) {
    depth++;
    memset(children, 0, sizeof children);
    state ^= (uint64_t)depth << 32 | (uint64_t)acts;
    live(acts);
    say("ends", used, 0);
    _exit(below(4));
}

static void make_child(void) {
    int place = below(CHILDREN), acts = 3 + below(12);
    if (depth >= DEEPEST || children[place]) return told("no room", place);
    pid_t child = below(4) ? fork() : vfork();
    if (child == 0 && below(4) == 0) {
        char seed[32], some[8];
        snprintf(seed, sizeof seed, "%d", below(1000000));
        snprintf(some, sizeof some, "%d", acts);
        execl(self, self, seed, some, depth == 0 ? "2" : "3", (char *)0);
        _exit(8);
    }
    /* After vfork, memory is shared until the child has ended: it only ends. */
    if (child == 0 && below(8) == 0) _exit(3);
    if (child == 0) child_begins(acts);
    children[place] = child;
    told("fork", child);
}

static void reap(void) {
    static const int options[] = {0, WNOHANG, WUNTRACED, WCONTINUED, WNOHANG | WUNTRACED | WCONTINUED};
    int place = below(CHILDREN), status = -1;
    if (below(3) == 0) {
        siginfo_t info = {0};
        int kinds = below(2) ? WEXITED : WEXITED | WSTOPPED | WCONTINUED;
        long result = waitid(P_ALL, 0, &info, kinds | WNOHANG | (below(3) ? 0 : WNOWAIT));
        say("waitid", result, (long)info.si_pid * 1000000 + info.si_code * 1000 + info.si_status);
        for (int i = 0; i < CHILDREN; i++)
            if (children[i] && kill(children[i], 0) < 0) children[i] = 0;
        return;
    }
    if (!children[place]) return told("nobody", place);
    /* Whoever may be stopped isn't waited for without an end. */
    kill(children[place], SIGCONT);
    pid_t result = waitpid(below(3) ? children[place] : -1, &status, below(2) ? WNOHANG : options[below(5)] | WNOHANG);
    if (result > 0 && (WIFEXITED(status) || WIFSIGNALED(status)))
        for (int i = 0; i < CHILDREN; i++)
            if (children[i] == result) children[i] = 0;
    say("waitpid", result, status);
}

static void use_pipe(void) {
    char buffer[64];
    int ends[2];
    switch (below(6)) {
    case 0:
        if (below(2) ? pipe2(ends, O_NONBLOCK) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends)) return told("pipe", -1);
        keep(ends[0]), keep(ends[1]);
        return say("pipe", ends[0], ends[1]);
    case 1: return told("write", write(some_fd(), "some bytes", 1 + below(10)));
    case 2: {
        memset(buffer, 0, sizeof buffer);
        long len = read(some_fd(), buffer, 1 + below(60));
        return say("read", len, len > 0 ? buffer[0] : errno);
    }
    case 3: {
        int fd = dup(some_fd());
        keep(fd);
        return told("dup", fd);
    }
    case 4: {
        if (!used) return told("nothing open", 0);
        int place = below(used), fd = fds[place];
        fds[place] = fds[--used];
        return told("close", close(fd));
    }
    default: {
        struct pollfd polled[3];
        for (int i = 0; i < 3; i++) polled[i] = (struct pollfd){some_fd(), POLLIN | POLLOUT, 0};
        long ready = poll(polled, 3, below(50));
        return say("poll", ready, polled[0].revents << 16 | polled[1].revents << 8 | polled[2].revents);
    }
    }
}

static void use_file(void) {
    char name[16], buffer[32] = "";
    struct stat status;
    snprintf(name, sizeof name, "f%d", below(4));
    switch (below(8)) {
    case 0: {
        int fd = open(name, O_CREAT | O_RDWR | (below(2) ? O_APPEND : 0) | (below(4) ? 0 : O_TRUNC), 0644);
        keep(fd);
        return told("open", fd);
    }
    case 1: {
        long result = stat(name, &status);
        return say("stat", result, result ? errno : status.st_size + (long)status.st_ino * 1000);
    }
    case 2: return told("unlink", unlink(name));
    case 3: return told("rename", rename(name, "f9"));
    case 4: return told("lseek", lseek(some_fd(), below(20), SEEK_SET));
    case 5: return told("pread", pread(some_fd(), buffer, sizeof buffer, below(10)));
    case 6: return told("mkdir", below(2) ? mkdir("d", 0755) : rmdir("d"));
    default: {
        int fd = some_fd();
        long result = fstat(fd, &status);
        return say("fstat", result, result ? errno : (long)status.st_mode);
    }
    }
}

static void use_events(void) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | (below(3) ? 0 : EPOLLET), .data.u64 = 7};
    struct itimerspec at = {{0, 0}, soon()};
    switch (below(5)) {
    case 0: {
        int fd = eventfd(below(3), EFD_NONBLOCK | (below(2) ? EFD_SEMAPHORE : 0));
        keep(fd);
        return told("eventfd", fd);
    }
    case 1: {
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        if (fd >= 0) timerfd_settime(fd, 0, &at, 0);
        keep(fd);
        return told("timerfd", fd);
    }
    case 2: {
        int fd = epoll_create1(0);
        keep(fd);
        return told("epoll", fd);
    }
    case 3: return told("epoll_ctl", epoll_ctl(some_fd(), EPOLL_CTL_ADD + below(3), some_fd(), &event));
    default: {
        event.events = 0;
        long ready = epoll_wait(some_fd(), &event, 1, below(20));
        return say("epoll_wait", ready, ready > 0 ? event.events : (long)errno);
    }
    }
}

static void use_signals(void) {
    int signal = some_signal();
    sigset_t set;
    switch (below(8)) {
    case 0: {
        struct sigaction action = {.sa_flags = below(2) ? SA_RESTART : 0};
        action.sa_handler = below(4) ? note : below(2) ? SIG_IGN : SIG_DFL;
        return told("sigaction", sigaction(signal, &action, 0));
    }
    case 1:
        sigemptyset(&set);
        sigaddset(&set, signal);
        return told("sigprocmask", sigprocmask(below(2) ? SIG_BLOCK : SIG_UNBLOCK, &set, 0));
    case 2: {
        pid_t child = some_child();
        return told("kill", child ? kill(child, signal) : 0);
    }
    case 3:
        if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGKILL) return told("spared", 0);
        return told("raise", depth ? raise(signal) : raise(SIGCONT));
    case 4: {
        struct itimerval at = {{0, 0}, {0, 1 + below(500000)}};
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        sigaction(SIGALRM, &(struct sigaction){.sa_handler = note}, 0);
        return told("setitimer", setitimer(ITIMER_REAL, &at, 0));
    }
    case 5: {
        struct timespec limit = {0, below(100000000)};
        siginfo_t info = {0};
        sigfillset(&set);
        sigdelset(&set, SIGALRM);
        long got = sigtimedwait(&set, &info, &limit);
        return say("sigtimedwait", got, got < 0 ? errno : info.si_code);
    }
    case 6: {
        sigpending(&set);
        long pending = 0;
        for (int i = 1; i < 64; i++) pending += sigismember(&set, i) ? i : 0;
        return told("sigpending", pending);
    }
    default: {
        /* A fault, and the way out of its handler. */
        struct sigaction action = {.sa_handler = jump, .sa_flags = SA_NODEFER}, before;
        int which = below(3);
        sigaction(which == 1 ? SIGFPE : which == 2 ? SIGILL : SIGSEGV, &action, &before);
        int got = sigsetjmp(back, 1);
        if (got == 0) {
            volatile int zero = 0;
            if (which == 0) *(volatile int *)(16 + 8L * below(100)) = 1;
            else if (which == 1) zero = 1 / zero;
            else __builtin_trap();
        }
        sigaction(which == 1 ? SIGFPE : which == 2 ? SIGILL : SIGSEGV, &before, 0);
        return told("fault", got);
    }
    }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn;
static void *thread(void *number) {
    long rounds = 0;
    for (int i = 0; i < 5; i++) {
        pthread_mutex_lock(&mutex);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 300000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        while (turn != (int)(long)number)
            if (pthread_cond_timedwait(&changed, &mutex, &until)) break;
        turn = (turn + 1) % THREADS;
        rounds += turn;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
        sched_yield();
    }
    return (void *)rounds;
}

static void use_threads(void) {
    pthread_t threads[THREADS];
    long sum = 0;
    int made = 0;
    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&threads[made], 0, thread, (void *)i) == 0) made++;
    for (int i = 0; i < made; i++) {
        void *value;
        pthread_join(threads[i], &value);
        sum = sum * 10 + (long)value;
    }
    say("threads", made, sum);
}

static void use_memory(void) {
    switch (below(5)) {
    case 0: {
        char *more = mmap(0, PAGE * (1 + below(4)), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED) return told("mmap", -1);
        more[0] = 1;
        return say("mmap", (long)more, munmap(more, PAGE));
    }
    case 1: return told("mprotect", mprotect(page, PAGE, below(2) ? PROT_READ : PROT_READ | PROT_WRITE));
    case 2: {
        int ends[2];
        if (pipe(ends)) return told("pipe", -1);
        nonblocking(ends[0]);
        long result = write(ends[1], page, 8);
        mprotect(page, PAGE, below(2) ? PROT_READ : PROT_READ | PROT_WRITE);
        long got = read(ends[0], page, 8);
        say("through a page", result, got < 0 ? -errno : got);
        close(ends[0]), close(ends[1]);
        return;
    }
    case 3: return told("brk", (long)sbrk(below(3) * PAGE));
    default: {
        unsigned char bytes[8];
        long result = getrandom(bytes, sizeof bytes, 0);
        return say("getrandom", result, bytes[0]);
    }
    }
}

static void use_time(void) {
    struct timespec now, wait = {0, below(3000000)};
    switch (below(4)) {
    case 0:
        clock_gettime(below(2) ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
        return say("clock", now.tv_sec, now.tv_nsec);
    case 1: {
        long result = nanosleep(&wait, &now);
        return say("nanosleep", result, result ? now.tv_nsec / 1000000 : 0);
    }
    case 2: return told("yield", sched_yield());
    default: {
        long sum = 0;
        for (int i = 0; i < 20; i++) clock_gettime(CLOCK_MONOTONIC, &now), sum += now.tv_nsec % 1000, getppid();
        return told("busy", sum);
    }
    }
}

static void use_groups(void) {
    switch (below(4)) {
    case 0: return told("setpgid", setpgid(some_child(), 0));
    case 1: return told("getpgid", getpgid(some_child()));
    case 2: return told("setsid", depth ? setsid() : 0);
    default: {
        pid_t child = some_child();
        return told("killpg", child && getpgid(child) == child ? kill(-child, SIGUSR1) : 0);
    }
    }
}

static void act(void) {
    static void (*const acts[])(void) = {make_child, make_child, reap, reap, use_pipe, use_pipe, use_file, use_file,
        use_events, use_signals, use_signals, use_threads, use_memory, use_time, use_time, use_groups,
        odd_memory, odd_stacks, odd_limits, odd_numbers, odd_events, odd_futexes, odd_files, odd_files, odd_programs, odd_users};
    acts[below(sizeof acts / sizeof *acts)]();
}

int main(int count, char **words) {
    if (count < 3) return 2;
    self = "/proc/self/exe";
    state = strtoull(words[1], 0, 10);
    depth = count > 3 ? atoi(words[3]) : 0;
    page = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = note}, 0);
    if (depth == 0)
        for (int signal = 1; signal < 32; signal++)
            if (signal == SIGUSR1 || signal == SIGUSR2 || signal == SIGTERM || signal == SIGHUP)
                sigaction(signal, &(struct sigaction){.sa_handler = note}, 0);
    live(atoi(words[2]));
    for (int i = 0; i < CHILDREN; i++)
        if (children[i]) kill(children[i], SIGKILL);
    int status;
    pid_t child;
    while ((child = waitpid(-1, &status, 0)) > 0 || errno == EINTR) say("left", child, status);
    say("over", used, 0);
    return 0;
}
