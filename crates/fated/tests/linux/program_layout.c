/* Where the parts of a program lie, and scripts that are started by a descriptor. */
#include "check.h"
#include "folder.h"

static unsigned long field(int number) {
    char *text = strrchr(get("/proc/self/stat"), ')') + 2;
    for (number -= 3; number > 0; number--) text = strchr(text, ' ') + 1;
    return strtoul(text, 0, 10);
}

static int initialized = 7;
static const char constant[] = "constant";

static void by_descriptor(int flags, int expected) {
    int fd = open("script", O_RDONLY | flags);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        char *argv[] = {"script", NULL}, *env[] = {NULL};
        syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
        _exit(errno == ENOENT ? 77 : errno);
    }
    int status;
    waitpid(child, &status, 0);
    GIVES(expected, status >> 8);
    close(fd);
}

int main(void) {
    enter_folder();
    unsigned long code = field(26), end_code = field(27), data = field(45), end_data = field(46);
    CHECK(code <= (unsigned long)&main && (unsigned long)&main < end_code);
    CHECK(data <= (unsigned long)&initialized && (unsigned long)&initialized < end_data);
    CHECK((unsigned long)constant < data);
    printf("code %#lx data %#lx long, %#lx between them\n", end_code - code, end_data - data, data - code);
    CHECK(field(47) >= end_data);
    put("script", "#!/bin/sh\nexit 5\n");
    chmod("script", 0755);
    by_descriptor(0, 5);
    by_descriptor(O_CLOEXEC, 77);
    by_descriptor(O_PATH, 5);
    by_descriptor(O_PATH | O_CLOEXEC, 77);
    leave_folder();
    return done();
}
