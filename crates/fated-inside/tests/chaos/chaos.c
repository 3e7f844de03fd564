/* Processes that store to random addresses, beside one that works: `chaos SEED STORES WHERE [FROM TO]`.

   WHERE is "anywhere" (all of the address space), "near" (around the mappings of the process) or
   "range" (FROM to TO). The stores go to where nothing is mapped, as far as the process can know: natively each of them
   faults. The worker, which shares nothing with those processes, prints what doesn't depend on them. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SCRIBBLERS = 4, ROUNDS = 300, RANGES = 256 };
static const uint64_t USER_END = 0x7ffffffff000;

static uint64_t state;
static uint64_t next(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static sigjmp_buf back;
static void fault(int signal) { siglongjmp(back, signal); }

/* What the process has mapped, and where its stack may grow. */
static struct range { uint64_t from, to; } taken[RANGES];
static int count;
static void read_maps(void) {
    const uint64_t stack_growth = 16 << 20;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && count < RANGES && fgets(line, sizeof line, maps)) {
        struct range *range = &taken[count];
        if (sscanf(line, "%lx-%lx", &range->from, &range->to) != 2) continue;
        if (strstr(line, "[stack]")) range->from -= stack_growth;
        count++;
    }
    if (maps) fclose(maps);
}

static int is_taken(uint64_t address) {
    for (int i = 0; i < count; i++)
        if (taken[i].from <= address && address < taken[i].to) return 1;
    return address >= USER_END;
}

/* Where stores go; around any of the mappings if there is no end to it. */
static struct range place;
static uint64_t draw(void) {
    const uint64_t near = 64 << 20;
    for (;;) {
        struct range from = place;
        if (from.to == 0) {
            from = taken[next() % (unsigned)count];
            from.from -= from.from < near ? from.from : near;
            from.to += near;
        }
        uint64_t address = from.from + next() % (from.to - from.from);
        if (!is_taken(address)) return address;
    }
}

/* Stores, and counts what didn't fault. */
static int scribble(long stores) {
    static volatile long at, landed;
    static char stack[65536];
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, 0);
    struct sigaction action = {.sa_handler = fault, .sa_flags = SA_NODEFER | SA_ONSTACK};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    for (at = 0; at < stores; at++) {
        uint64_t address = draw();
        uint64_t value = next() >> next() % 64;
        if (sigsetjmp(back, 0)) continue;
        if (next() % 2) *(volatile uint64_t *)(address & ~7ull) = value;
        else *(volatile uint8_t *)address = (uint8_t)value;
        landed++;
    }
    return landed != 0;
}

/* Sends itself words through a child, and sums up what comes back. */
static uint64_t work(void) {
    int there[2], back_[2], status;
    uint64_t word, sum = 0;
    if (pipe(there) || pipe(back_)) exit(3);
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &word, sizeof word) == sizeof word) {
            word = word * 3 + 1;
            if (write(back_[1], &word, sizeof word) != sizeof word) _exit(1);
        }
        _exit(0);
    }
    for (uint64_t i = 0; i < ROUNDS; i++) {
        if (write(there[1], &i, sizeof i) != sizeof i || read(back_[0], &word, sizeof word) != sizeof word) exit(4);
        sum += word;
    }
    close(there[1]);
    waitpid(child, &status, 0);
    return sum + (unsigned)status;
}

int main(int words, char **word) {
    if (words < 4) return 2;
    state = strtoull(word[1], 0, 10);
    read_maps();
    if (!strcmp(word[3], "anywhere")) place.to = USER_END;
    if (words > 5) place = (struct range){strtoull(word[4], 0, 0), strtoull(word[5], 0, 0)};
    pid_t scribblers[SCRIBBLERS];
    for (int i = 0; i < SCRIBBLERS; i++) {
        next();
        scribblers[i] = fork();
        if (scribblers[i] == 0) {
            state ^= (uint64_t)i << 40;
            _exit(scribble(atol(word[2])));
        }
    }
    printf("worked: %lu\n", work());
    int landed = 0, status;
    for (int i = 0; i < SCRIBBLERS; i++) {
        waitpid(scribblers[i], &status, 0);
        landed += status != 0;
    }
    printf("landed: %d\n", landed);
    return 0;
}
