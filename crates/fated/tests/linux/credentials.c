/* A process of root's that becomes another user's may do what that user may. */
#include "check.h"
#include "folder.h"
#include <grp.h>
#include <sys/prctl.h>

static void look(const char *self) {
    struct stat stat_;
    FAILS(EACCES, open("secret", O_RDONLY));
    FAILS(EACCES, open("closed/file", O_RDONLY));
    FAILS(EACCES, stat("closed/file", &stat_));
    FAILS(EACCES, access("secret", R_OK));
    FAILS(EACCES, chdir("closed"));
    FAILS(EACCES, open("new", O_CREAT | O_WRONLY, 0600));
    FAILS(EACCES, mkdir("new", 0700));
    FAILS(EACCES, unlink("secret"));
    FAILS(EPERM, chmod("secret", 0666));
    FAILS(EPERM, chown("secret", 1234, 1234));
    FAILS(EACCES, execl("./closed/program", "program", NULL));
    FAILS(EACCES, execl("./roots", "roots", NULL));
    int fd = open("open/mine", O_CREAT | O_RDWR | O_EXCL, 0600);
    CHECK(fd > 0);
    GIVES(0, fstat(fd, &stat_));
    GIVES(1234, stat_.st_uid);
    GIVES(1235, stat_.st_gid);
    GIVES(3, write(fd, "abc", 3));
    close(fd);
    GIVES(0, mkdir("open/folder", 0700));
    GIVES(0, stat("open/folder", &stat_));
    GIVES(1234, stat_.st_uid);
    GIVES(0, stat("/proc/self", &stat_));
    GIVES(1234, stat_.st_uid);
    CHECK(get("group")[0] == 'g');
    CHECK(strstr(get("/proc/self/maps"), "[stack]"));
    GIVES(0, getppid() == 0);
    (void)self;
}

static void become_other(char *self) {
    gid_t group = 1236;
    GIVES(0, setgroups(1, &group));
    GIVES(0, setresgid(1235, 1235, 1235));
    GIVES(0, setresuid(1234, 1234, 1234));
    FAILS(EPERM, setuid(0));
    FAILS(EPERM, setgid(0));
    FAILS(EPERM, setgroups(0, 0));
    GIVES(1234, geteuid());
    look(self);
    pid_t child = fork();
    if (!child) {
        GIVES(1234, getuid());
        FAILS(EACCES, open("secret", O_RDONLY));
        exit(done());
    }
    reap(child);
    fflush(stdout);
    child = fork();
    if (!child) {
        execl(self, self, "again", NULL);
        _exit(98);
    }
    reap(child);
}

static void for_a_while(void) {
    puts("-- for a while");
    GIVES(0, setresuid(-1, 1234, -1));
    FAILS(EACCES, open("secret", O_RDONLY));
    GIVES(0, seteuid(0));
    int fd = open("secret", O_RDONLY);
    CHECK(fd > 0);
    close(fd);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        GIVES(1234, getuid());
        FAILS(EACCES, open("secret", O_RDONLY));
        return done();
    }
    if (getuid()) {
        fprintf(stderr, "skipped: it needs root\n");
        return 0;
    }
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = 0;
    umask(022);
    enter_folder();
    chmod(".", 0755);
    /* The program's own folder may be closed to others. */
    put("program", "");
    int from = open(self, O_RDONLY), to = open("program", O_WRONLY);
    char buf[65536];
    while ((len = read(from, buf, sizeof buf)) > 0)
        if (write(to, buf, len) != len) abort();
    close(from), close(to);
    chmod("program", 0755);
    put("secret", "s"), chmod("secret", 0600);
    put("group", "g"), chmod("group", 0040);
    if (chown("group", 0, 1236)) abort();
    put("roots", "#!/bin/sh\n"), chmod("roots", 0700);
    mkdir("closed", 0700), put("closed/file", "x"), put("closed/program", "#!/bin/sh\n"), chmod("closed/program", 0755);
    mkdir("open", 0777), chmod("open", 0777);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        become_other("./program");
        exit(done());
    }
    reap(child);
    for_a_while();
    leave_folder();
    (void)argv;
    return done();
}
