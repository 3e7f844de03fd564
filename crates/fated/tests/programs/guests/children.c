/* Many children at once: forks them all, then waits for any until none is left; stops and continues some of them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 50, sum = 0, stops = 0, continues = 0, status;
    for (int i = 0; i < n; i++)
        if (fork() == 0) {
            if (i % 5 == 0)
                raise(SIGSTOP);
            nanosleep(&(struct timespec){ 0, (n - i) * 100000 }, 0);
            if (i % 7 == 0)
                raise(SIGTERM);
            _exit(i % 100);
        }
    for (pid_t pid; (pid = waitpid(-1, &status, WUNTRACED | WCONTINUED)) > 0 || errno == EINTR;) {
        if (WIFSTOPPED(status)) {
            stops++;
            kill(pid, SIGCONT);
        } else if (WIFCONTINUED(status)) {
            continues++;
        } else {
            sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000 * WTERMSIG(status);
        }
    }
    printf("sum %d, stops %d, continued %d, end: %s\n", sum, stops, continues > 0, errno == ECHILD ? "no child" : "?");
}
