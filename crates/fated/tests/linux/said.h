/* Children whose standard output is looked at. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the last one has said. */
static char said[4096];

/* Forks a child whose standard output leads to `*from`. */
static pid_t fork_speaker(int *from) {
    int pipes[2];
    if (pipe(pipes)) abort();
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        dup2(pipes[1], 1);
        close(pipes[0]);
    }
    close(pipes[1]);
    *from = pipes[0];
    return child;
}

/* Reads to the end of what it says, and returns its wait status. */
static int hear(pid_t child, int from) {
    size_t got = 0;
    ssize_t len;
    int status;
    while ((len = read(from, said + got, sizeof said - 1 - got)) > 0) got += len;
    said[got] = 0;
    close(from);
    if (waitpid(child, &status, 0) != child) abort();
    return status;
}
