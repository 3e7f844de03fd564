/* /proc: what it says of the process that reads it, and what it takes. */
#include "check.h"
#include "folder.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>

/* The value of a line of /proc/self/status. */
static long status_of(const char *path, const char *field, int base) {
    const char *line = strstr(get(path), field);
    return line ? strtol(line + strlen(field), NULL, base) : -1;
}

static int count_entries(const char *path) {
    DIR *dir = opendir(path);
    int count = 0;
    while (dir && readdir(dir)) count++;
    if (dir) closedir(dir);
    return count - 2;
}

static pthread_barrier_t barrier;
static void *thread(void *arg) {
    char path[64], text[64];
    (void)arg;
    prctl(PR_SET_NAME, "worker");
    snprintf(path, sizeof path, "/proc/%d/task/%d/comm", getpid(), (int)gettid());
    CHECK(!strcmp(get(path), "worker\n") && !strcmp(get("/proc/thread-self/comm"), "worker\n"));
    CHECK(!strcmp(get("/proc/self/comm"), "procfs\n"));
    snprintf(path, sizeof path, "%d/task/%d", getpid(), (int)gettid());
    ssize_t len = readlink("/proc/thread-self", text, sizeof text - 1);
    text[len < 0 ? 0 : len] = 0;
    CHECK(!strcmp(path, text));
    GIVES(2, count_entries("/proc/self/task"));
    GIVES(2, status_of("/proc/self/status", "\nThreads:", 10));
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(int argc, char **argv) {
    char text[4096], path[64];
    struct stat stat, other;
    (void)argc;
    enter_folder();

    /* Who am I? */
    snprintf(path, sizeof path, "%d", getpid());
    ssize_t len = readlink("/proc/self", text, sizeof text);
    CHECK(len == (ssize_t)strlen(path) && !memcmp(text, path, len));
    CHECK(getpid() == status_of("/proc/self/status", "\nPid:", 10));
    CHECK(getppid() == status_of("/proc/self/status", "\nPPid:", 10));
    GIVES(getuid(), status_of("/proc/self/status", "\nUid:", 10));
    CHECK(strstr(get("/proc/self/status"), "State:\tR (running)") != NULL);
    int pid, ppid, pgrp, session;
    char comm[32], state;
    GIVES(6, sscanf(get("/proc/self/stat"), "%d (%31[^)]) %c %d %d %d", &pid, comm, &state, &ppid, &pgrp, &session));
    CHECK(pid == getpid() && ppid == getppid() && pgrp == getpgrp() && session == getsid(0) && state == 'R' && !strcmp(comm, "procfs"));
    int fields = 1;
    for (const char *at = get("/proc/self/stat"); *at; at++) fields += *at == ' ';
    GIVES(52, fields);
    CHECK(!strcmp(get("/proc/self/cmdline"), argv[0]) && !strcmp(get("/proc/self/comm"), "procfs\n"));
    len = readlink("/proc/self/cwd", text, sizeof text - 1);
    text[len < 0 ? 0 : len] = 0;
    CHECK(!strcmp(text, folder));
    GIVES(1, readlink("/proc/self/root", text, sizeof text));
    CHECK(!lstat("/proc/self/exe", &stat) && S_ISLNK(stat.st_mode));
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, 4) == 4 && !memcmp(text, "\177ELF", 4));
    close(fd);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR1);
    GIVES(1 << (SIGUSR1 - 1), status_of("/proc/self/status", "\nSigBlk:", 16));
    GIVES(1 << (SIGUSR1 - 1), status_of("/proc/self/status", "\nSigPnd:", 16));
    CHECK(status_of("/proc/self/status", "\nSigIgn:", 16) & 1 << (SIGUSR2 - 1));
    umask(027);
    GIVES(027, status_of("/proc/self/status", "\nUmask:", 8));

    /* Descriptors. */
    int entries = count_entries("/proc/self/fd");
    int pipes[2];
    GIVES(0, pipe(pipes));
    CHECK(count_entries("/proc/self/fd") == entries + 2);
    snprintf(path, sizeof path, "/proc/self/fd/%d", pipes[0]);
    len = readlink(path, text, sizeof text - 1);
    text[len < 0 ? 0 : len] = 0;
    fstat(pipes[0], &stat);
    unsigned long inode = 0;
    GIVES(1, sscanf(text, "pipe:[%lu]", &inode));
    CHECK(inode == stat.st_ino);
    GIVES(0, fstatat(AT_FDCWD, path, &other, 0));
    CHECK(other.st_ino == stat.st_ino && S_ISFIFO(other.st_mode));
    CHECK(!lstat(path, &other) && S_ISLNK(other.st_mode) && (other.st_mode & 0777) == 0500);
    snprintf(path, sizeof path, "/proc/self/fd/%d", pipes[1]);
    CHECK(!lstat(path, &other) && (other.st_mode & 0777) == 0300);
    put("f", "contents");
    fd = open("f", O_RDWR | O_APPEND);
    lseek(fd, 3, SEEK_SET);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    GIVES(3, status_of(path, "pos:", 10));
    GIVES(02002 | 0100000, status_of(path, "flags:", 8));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(!lstat(path, &other) && (other.st_mode & 0777) == 0700);
    CHECK(!strcmp(get(path), "contents"));
    close(fd);
    FAILS(ENOENT, readlink(path, text, sizeof text));

    /* A generated file is made when it is read, at a place of its own. */
    fd = open("/proc/self/comm", O_RDWR);
    GIVES(3, read(fd, text, 3));
    GIVES(4, read(fd, text, 99));
    GIVES(0, read(fd, text, 99));
    GIVES(0, lseek(fd, 0, SEEK_SET));
    GIVES(5, write(fd, "other", 5));
    GIVES(0, lseek(fd, 0, SEEK_SET));
    CHECK(read(fd, text, 99) == 6 && !memcmp(text, "other\n", 6));
    CHECK(!prctl(PR_GET_NAME, text) && !strcmp(text, "other"));
    GIVES(4, pread(fd, text, 4, 1));
    CHECK(!memcmp(text, "ther", 4));
    GIVES(0, fstat(fd, &stat));
    CHECK(S_ISREG(stat.st_mode) && stat.st_size == 0);
    close(fd);
    prctl(PR_SET_NAME, "procfs");
    fd = open("/proc/self/oom_score_adj", O_RDWR);
    GIVES(3, write(fd, "500", 3));
    CHECK(!strcmp(get("/proc/self/oom_score_adj"), "500\n"));
    FAILS(EINVAL, write(fd, "5000", 4));
    close(fd);
    pid_t heir = fork();
    if (heir == 0) _exit(strcmp(get("/proc/self/oom_score_adj"), "500\n") != 0);
    reap(heir);

    /* What isn't there or can't be done. */
    FAILS(ENOENT, open("/proc/4194305", O_RDONLY));
    FAILS(ENOENT, open("/proc/self/none", O_RDONLY));
    FAILS(ENOENT, open("/proc/0", O_RDONLY));
    FAILS(ENOTDIR, open("/proc/self/comm/x", O_RDONLY));
    FAILS(EISDIR, open("/proc/self", O_RDWR));
    FAILS(ELOOP, open("/proc/self/exe", O_RDONLY | O_NOFOLLOW));
    FAILS(EXDEV, rename("f", "/proc/self/f") == -1 && (errno == EXDEV || errno == ENOENT) ? (errno = EXDEV, -1) : 0);
    FAILS(ENOENT, mkdir("/proc/self/dir", 0700));
    FAILS(EXDEV, link("/proc/self/status", "f2"));

    /* Relative to a directory in it. */
    int dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
    fd = openat(dir, "comm", O_RDONLY);
    CHECK(read(fd, text, 99) == 7 && !memcmp(text, "procfs\n", 7));
    close(fd);
    CHECK(!fstatat(dir, "task", &stat, 0) && S_ISDIR(stat.st_mode) && !faccessat(dir, "stat", R_OK, 0));
    CHECK(readlinkat(dir, "cwd", text, sizeof text) == (ssize_t)strlen(folder));
    fd = openat(dir, "cwd/f", O_RDONLY);
    CHECK(fd >= 0 && !fstat(fd, &stat) && stat.st_ino == ino_of("f"));
    close(fd);
    fd = openat(dir, "../../proc/self/../self/cwd/./f", O_WRONLY | O_TRUNC);
    CHECK(fd >= 0 && write(fd, "new", 3) == 3 && !strcmp(get("f"), "new"));
    close(fd);

    /* Others. */
    pid_t child = fork();
    if (child == 0) {
        if (chdir("/")) _exit(1);
        raise(SIGSTOP);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    snprintf(path, sizeof path, "/proc/%d/status", child);
    CHECK(strstr(get(path), "State:\tT (stopped)") != NULL);
    CHECK(getpid() == status_of(path, "\nPPid:", 10));
    snprintf(path, sizeof path, "/proc/%d/cwd", child);
    CHECK(readlink(path, text, sizeof text) == 1 && text[0] == '/');
    snprintf(path, sizeof path, "/proc/%d/cwd/etc/passwd", child);
    CHECK(!access(path, R_OK) && strstr(get(path), "root:") != NULL && ino_of(path) == ino_of("/etc/passwd"));
    kill(child, SIGCONT);
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    GIVES(3, sscanf(get(path), "%d (%31[^)]) %c", &pid, comm, &state));
    CHECK(pid == child && !strcmp(comm, "procfs") && state == 'Z');
    snprintf(path, sizeof path, "/proc/%d/cmdline", child);
    CHECK(!strcmp(get(path), "") && strlen(get("/proc/1/comm")) > 1);
    reap(child);
    snprintf(path, sizeof path, "/proc/%d", child);
    FAILS(ENOENT, access(path, F_OK));
    FAILS(EACCES, faccessat(dir, "status", X_OK, 0));

    /* Threads. */
    pthread_t worker;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&worker, NULL, thread, NULL);
    pthread_barrier_wait(&barrier);
    pthread_join(worker, NULL);
    /* A thread is joined as soon as it clears its tid, and is still listed for a moment. */
    for (int i = 0; i < 5000 && count_entries("/proc/self/task") != 1; i++) sleep_ms(1);
    GIVES(1, count_entries("/proc/self/task"));

    /* The system. */
    CHECK(strstr(get("/proc/cpuinfo"), "processor\t: 0\n") && strstr(get("/proc/meminfo"), "MemTotal:"));
    CHECK(!strcmp(get("/proc/sys/kernel/ostype"), "Linux\n") && !strncmp(get("/proc/version"), "Linux version ", 14));
    CHECK(strstr(get("/proc/mounts"), " / ") && strstr(get("/proc/filesystems"), "nodev\tproc\n"));
    CHECK(strlen(get("/proc/sys/kernel/random/uuid")) == 37 && strlen(get("/proc/sys/kernel/random/boot_id")) == 37);
    double up, idle;
    GIVES(2, sscanf(get("/proc/uptime"), "%lf %lf", &up, &idle));
    CHECK(up * 1e9 - now_ns(CLOCK_BOOTTIME) < 1e8 && now_ns(CLOCK_BOOTTIME) - up * 1e9 < 1e9);
    CHECK(strstr(get("/proc/stat"), "cpu0 ") && strstr(get("/proc/stat"), "\nbtime "));
    GIVES(sysconf(_SC_NPROCESSORS_ONLN) > 0, 1);
    leave_folder();
    return done();
}
