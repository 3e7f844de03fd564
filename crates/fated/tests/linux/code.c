/* Code that a process has changed stays changed however often it forks, and all other code stays the file's. */
#include "check.h"
#include "folder.h"
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE 4096
#define PAGES 4

static char *code;

/* mov eax, value; ret */
static void make(char *at, int value) {
    memcpy(at, "\xb8....\xc3", 6);
    memcpy(at + 1, &value, sizeof value);
}

static int call(int page) {
    int (*function)(void);
    char *at = code + page * PAGE;
    memcpy(&function, &at, sizeof at);
    return function();
}

/* Children and their parent, often, call the code of the first pages; how many find something else. */
static int wrong_after_forks(const int *values, int pages) {
    int wrong = 0;
    for (int times = 0; times < 150; times++) {
        pid_t child = fork();
        int differs = 0, status;
        for (int page = 0; page < pages; page++) differs |= call(page) != values[page];
        if (child == 0) _exit(differs);
        wrong += differs || waitpid(child, &status, 0) != child || status != 0;
    }
    return wrong;
}

static sigjmp_buf back;
static void on_fault(int signal) {
    siglongjmp(back, signal);
}

static int faults(int page) {
    int signal = sigsetjmp(back, 1);
    if (!signal) call(page);
    return signal;
}

int main(void) {
    static char before[8192];
    enter_folder();
    int file = open("code", O_RDWR | O_CREAT, 0600);
    for (int page = 0; page < PAGES; page++) {
        char text[PAGE] = {0};
        make(text, page);
        write(file, text, PAGE);
    }
    code = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    GIVES(0, wrong_after_forks((int[]){0, 1, 2, 3}, PAGES));
    GIVES(0, mprotect(code, PAGES * PAGE, PROT_READ | PROT_WRITE));
    make(code + PAGE, 11);
    GIVES(0, mprotect(code, PAGES * PAGE, PROT_READ | PROT_EXEC));
    strcpy(before, get("/proc/self/maps"));
    GIVES(0, wrong_after_forks((int[]){0, 11, 2, 3}, PAGES));
    CHECK(!strcmp(before, get("/proc/self/maps")));
    /* A change of the file shows where the process has made none. */
    char text[6];
    make(text, 20);
    for (int page = 0; page < PAGES; page++) pwrite(file, text, sizeof text, page * PAGE);
    GIVES(0, wrong_after_forks((int[]){20, 11, 20, 20}, PAGES));
    /* Parts that are taken away stay away. */
    GIVES(0, munmap(code + 3 * PAGE, PAGE));
    GIVES(0, mprotect(code + 2 * PAGE, PAGE, PROT_NONE));
    GIVES(0, wrong_after_forks((int[]){20, 11}, 2));
    signal(SIGSEGV, on_fault);
    GIVES(SIGSEGV, faults(2));
    GIVES(SIGSEGV, faults(3));
    GIVES(11, call(1));
    /* What is locked stays locked. */
    GIVES(0, mlock(code, PAGE));
    GIVES(0, wrong_after_forks((int[]){20, 11}, 2));
    GIVES(0, munlock(code, PAGE));
    munmap(code, 3 * PAGE);
    close(file);
    leave_folder();
    return done();
}
