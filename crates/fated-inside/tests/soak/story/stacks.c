/* Signals on deep stacks, and on alternate ones that are too small. */
#include "story.h"
#include <sys/mman.h>
#include <sys/resource.h>

static char *other;
static int down(int n, int each) {
    volatile char room[each];
    room[0] = (char)n;
    if (n % 16 == 0) raise(SIGUSR1);
    return n ? down(n - 1, each) + room[0] - room[0] + 1 : 1;
}
static void deep(void) {
    static const int each[] = {100, 1000, 5000, 40000};
    signal(SIGUSR1, note);
    say("down", down(10 + below(400), PICK(each)), 0);
}
static void untouched(void) {
    signal(SIGUSR1, note);
    int size = 4096 * (1 + below(400));
    volatile char room[size];
    raise(SIGUSR1);
    room[0] = 0;
    say("untouched", room[0], 0);
}
static void on_other(int signal) {
    /* A handler that faults on its own stack is called again and again. */
    static int calls;
    volatile char room[256];
    if (++calls > 4) _exit(calls);
    room[0] = (char)signal;
    stack_t now;
    sigaltstack(0, &now);
    say("on a stack", now.ss_flags, (char *)room >= other && (char *)room < other + 16 * PAGE);
}
static void small(void) {
    static const size_t sizes[] = {0, 1, 2047, 2048, 2049, 2500, 3000, 3631, 3632, 4096, 5000, 8192, 16384, 65536};
    static const int flags[] = {0, SS_DISABLE, SS_ONSTACK, 1 << 31, 5};
    other = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (below(3) == 0) mprotect(other, PAGE, below(2) ? PROT_NONE : PROT_READ);
    stack_t stack = {.ss_sp = other + below(64), .ss_size = PICK(sizes), .ss_flags = below(3) ? 0 : PICK(flags)};
    told("sigaltstack", sigaltstack(&stack, 0));
    struct sigaction action = {.sa_handler = on_other, .sa_flags = SA_ONSTACK | (below(2) ? SA_NODEFER : 0)};
    sigaction(SIGUSR1, &action, 0);
    action.sa_flags |= SA_RESETHAND;
    if (below(2)) sigaction(SIGSEGV, &action, 0);
    told("raise", raise(SIGUSR1));
}
static void endless(void) {
    struct rlimit limit = {(rlim_t)(64 + below(1000)) << 10, RLIM_INFINITY};
    told("limit", setrlimit(RLIMIT_STACK, &limit));
    signal(SIGUSR1, note);
    say("down", down(100000, 1000), 0);
}

void odd_stacks(void) {
    switch (below(5)) {
    case 0: return in_child("deep", deep);
    case 1: return in_child("untouched", untouched);
    case 2: return in_child("endless", endless);
    default: return in_child("alternate", small);
    }
}
