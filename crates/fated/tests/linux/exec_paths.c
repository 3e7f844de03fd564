/* Programs started by other ways than their plain name. */
#include "check.h"
#include "folder.h"
#include "said.h"

static int child_says(const char *what, int (*start)(void)) {
    int from;
    pid_t child = fork_speaker(&from);
    if (child == 0) _exit(start() ? errno : 0);
    int status = hear(child, from);
    if (strcmp(said, what)) printf("says %s", said);
    return WIFEXITED(status) && !strcmp(said, what) ? WEXITSTATUS(status) : -1;
}

static char *environment[] = {"A=1", NULL};
static char self[64];
static char *hello[] = {"argv0", "hello", NULL};

static int by_descriptor(void) {
    return fexecve(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), hello, environment);
}
static int by_path_descriptor(void) {
    return syscall(SYS_execveat, open("/proc/self/exe", O_PATH), "", hello, environment, AT_EMPTY_PATH);
}
static int by_self(void) { return execve("/proc/self/exe", hello, environment); }
static int by_parent(void) { return execve(self, hello, environment); }
static int by_fd_link(void) {
    char path[64];
    snprintf(path, sizeof path, "/dev/fd/%d", open("/proc/self/exe", O_RDONLY));
    return execve(path, hello, environment);
}
static int in_directory(void) {
    return syscall(SYS_execveat, open(folder, O_RDONLY), "copy", hello, environment, 0);
}
static int link_not_followed(void) {
    return syscall(SYS_execveat, AT_FDCWD, "link", hello, environment, AT_SYMLINK_NOFOLLOW);
}
static int over_link(void) { return execve("link", hello, environment); }
static int script(void) { return execve("./script", hello, environment); }
static int script_by_descriptor(void) { return fexecve(open("script", O_RDONLY), hello, environment); }
static int directory(void) { return execve(".", hello, environment); }
static int generated(void) { return execve("/proc/self/status", hello, environment); }
static int device(void) { return execve("/dev/null", hello, environment); }
static int not_executable(void) { return execve("plain", hello, environment); }
static int missing(void) { return execve("none", hello, environment); }
static int empty(void) { return execve("", hello, environment); }
static int bad_flags(void) { return syscall(SYS_execveat, AT_FDCWD, "copy", hello, environment, 0x8000); }
static int behind_file(void) { return execve("plain/x", hello, environment); }

static char *sleeper[] = {"argv0", "sleep", NULL};
static int written_to(const char *path, int flags) {
    int fd = open("copy", flags), status;
    pid_t child = vfork();
    if (child == 0) {
        execve(path, hello, environment);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    close(fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A program's file can't be written to while it runs, nor started while it is. */
static void busy(void) {
    struct stat stat_;
    int status;
    pid_t child = vfork();
    if (child == 0) {
        execve("copy", sleeper, environment);
        _exit(errno);
    }
    FAILS(ETXTBSY, open("copy", O_WRONLY));
    FAILS(ETXTBSY, open("link", O_RDWR | O_CREAT, 0755));
    FAILS(ETXTBSY, open("copy", O_RDONLY | O_TRUNC));
    FAILS(EEXIST, open("copy", O_WRONLY | O_CREAT | O_EXCL, 0755));
    FAILS(ENOTDIR, open("copy", O_WRONLY | O_DIRECTORY));
    FAILS(ETXTBSY, truncate("copy", 0));
    FAILS(EINVAL, truncate("copy", -1));
    CHECK(open("copy", O_RDONLY) >= 0);
    GIVES(0, rename("copy", "moved"));
    FAILS(ETXTBSY, open("moved", O_WRONLY));
    GIVES(0, rename("moved", "copy"));
    GIVES(0, kill(child, SIGKILL));
    CHECK(waitpid(child, &status, 0) == child);
    GIVES(0, stat("copy", &stat_));
    GIVES(0, truncate("copy", stat_.st_size));
    GIVES(0, written_to("copy", O_RDONLY));
    GIVES(ETXTBSY, written_to("copy", O_WRONLY | O_CLOEXEC));
    GIVES(ETXTBSY, written_to("link", O_RDWR));
}

int main(int argc, char **argv) {
    char text[64];
    if (argc == 2 && !strcmp(argv[1], "sleep")) {
        pause();
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "hello")) {
        ssize_t len = readlink("/proc/self/exe", text, sizeof text);
        printf("%s %s %s %d\n", argv[0], argv[1], getenv("A"), len > 0);
        return 0;
    }
    enter_folder();
    snprintf(self, sizeof self, "/proc/%d/exe", getpid());
    int in = open("/proc/self/exe", O_RDONLY), out = open("copy", O_WRONLY | O_CREAT, 0755);
    static char bytes[1 << 16];
    for (ssize_t len; (len = read(in, bytes, sizeof bytes)) > 0;) write(out, bytes, len);
    close(in);
    close(out);
    GIVES(0, symlink("copy", "link"));
    put("plain", "no program");
    put("script", "#!/bin/sh\necho script $1 $A\n");
    GIVES(0, chmod("script", 0755));

    const char *said = "argv0 hello 1 1\n";
    GIVES(0, child_says(said, by_descriptor));
    GIVES(0, child_says(said, by_path_descriptor));
    GIVES(0, child_says(said, by_self));
    GIVES(0, child_says(said, by_parent));
    GIVES(0, child_says(said, by_fd_link));
    GIVES(0, child_says(said, in_directory));
    GIVES(0, child_says(said, over_link));
    GIVES(0, child_says("script hello 1\n", script));
    GIVES(0, child_says("script hello 1\n", script_by_descriptor));
    GIVES(ELOOP, child_says("", link_not_followed));
    GIVES(EACCES, child_says("", directory));
    GIVES(EACCES, child_says("", generated));
    GIVES(EACCES, child_says("", device));
    GIVES(EACCES, child_says("", not_executable));
    GIVES(ENOENT, child_says("", missing));
    GIVES(ENOENT, child_says("", empty));
    GIVES(EINVAL, child_says("", bad_flags));
    GIVES(ENOTDIR, child_says("", behind_file));
    busy();
    leave_folder();
    return done();
}
