/* Thousands of random changes of names in a small tree with many links: each result, each errno and the state of the whole
   tree afterwards are printed, for comparison. */
#include "check.h"
#include "folder.h"
#include <dirent.h>

static uint64_t state = 1;
static unsigned below(unsigned bound) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % bound;
}

static const char *const names[] = {"a", "b", "c", "d"};
static int dirs[3];

/* A path of up to four components, with what makes paths hard. */
static const char *any_path(char *path) {
    path[0] = 0;
    if (below(24) == 0) return path;
    if (below(6) == 0) strcat(path, below(4) ? folder : "/proc/self/cwd");
    if (path[0]) strcat(path, "/");
    for (unsigned n = below(4) + 1; n; n--) {
        switch (below(9)) {
        case 0: strcat(path, ".."); break;
        case 1: strcat(path, "."); break;
        default: strcat(path, names[below(4)]);
        }
        if (n > 1 || below(8) == 0) strcat(path, below(10) ? "/" : "//");
    }
    return path;
}

/* What lies behind /proc is no part of any loop: there, an error may hide another one. */
static const char *const targets[] = {"a", "b", "../c", "d/", ".", "..", "b/c", "nothing", "/proc/self/cwd/e", "../../a/b", "a/../b"};

static void show(const char *what, long result) {
    printf("%s %d %d\n", what, result < 0 ? -1 : 0, result < 0 ? errno : 0);
}

static void show_stat(const struct stat *stat) {
    int link = S_ISLNK(stat->st_mode);
    printf("  %o %ld %ld\n", stat->st_mode, S_ISDIR(stat->st_mode) ? 0 : (long)stat->st_nlink, link || S_ISREG(stat->st_mode) ? (long)stat->st_size : 0);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void show_tree(int dir, int depth) {
    struct dirent **list;
    int count = scandirat(dir, ".", &list, NULL, by_name);
    for (int i = 0; i < count; free(list[i++])) {
        struct stat stat;
        char text[256];
        if (!strcmp(list[i]->d_name, ".") || !strcmp(list[i]->d_name, "..")) continue;
        if (fstatat(dir, list[i]->d_name, &stat, AT_SYMLINK_NOFOLLOW)) abort();
        printf("%*s%s", depth * 2, "", list[i]->d_name);
        show_stat(&stat);
        CHECK(stat.st_ino == list[i]->d_ino);
        if (S_ISLNK(stat.st_mode)) {
            ssize_t len = readlinkat(dir, list[i]->d_name, text, sizeof text);
            printf("%*s-> %.*s\n", depth * 2, "", (int)len, text);
        }
        if (S_ISDIR(stat.st_mode)) {
            int inner = openat(dir, list[i]->d_name, O_RDONLY | O_DIRECTORY);
            show_tree(inner, depth + 1);
            close(inner);
        }
    }
    if (count >= 0) free(list);
}

/* Nothing may climb out of the folder: the test stands far below its top, and keeps no directory above. */
static void stand(void) {
    for (int i = 0; i < 12; i++) {
        if (mkdir("x", 0755) || chdir("x")) abort();
        strcat(folder, "/x");
    }
    if (mkdir("e", 0755)) abort();
}

static int is_below(int dir) {
    char link[32], text[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t len = readlink(link, text, sizeof text);
    size_t own = strlen(folder);
    return len >= (ssize_t)own && !memcmp(text, folder, own);
}

int main(void) {
    static const int flags[] = {O_RDONLY, O_WRONLY | O_CREAT, O_RDWR | O_CREAT | O_EXCL, O_WRONLY | O_TRUNC, O_RDONLY | O_DIRECTORY,
        O_RDONLY | O_NOFOLLOW, O_PATH, O_PATH | O_NOFOLLOW, O_RDWR | O_CREAT | O_TRUNC};
    char one[1024], other[1024], text[256];
    struct stat stat;
    umask(022);
    enter_folder();
    char top[64];
    strcpy(top, folder);
    stand();
    for (int i = 0; i < 3; i++) dirs[i] = AT_FDCWD;
    for (int step = 0; step < 6000; step++) {
        int from = dirs[below(3)], to = dirs[below(3)];
        any_path(one);
        any_path(other);
        switch (below(16)) {
        case 0: case 1: show("mkdir", mkdirat(from, one, 0755)); break;
        case 2: show("rmdir", unlinkat(from, one, AT_REMOVEDIR)); break;
        case 3: show("unlink", unlinkat(from, one, 0)); break;
        case 4: show("rename", renameat(from, one, to, other)); break;
        case 5: show("link", linkat(from, one, to, other, below(2) ? AT_SYMLINK_FOLLOW : 0)); break;
        case 6: case 7: show("symlink", symlinkat(targets[below(sizeof targets / sizeof *targets)], from, one)); break;
        case 8: case 9: {
            int result = fstatat(from, one, &stat, below(2) ? AT_SYMLINK_NOFOLLOW : 0);
            show("stat", result);
            if (!result) show_stat(&stat);
            break;
        }
        case 10: {
            ssize_t len = readlinkat(from, one, text, sizeof text);
            show("readlink", len);
            if (len > 0 && one[0]) printf("  %.*s\n", (int)len, text);
            break;
        }
        case 11: case 12: {
            int flag = flags[below(sizeof flags / sizeof *flags)], fd = openat(from, one, flag, 0644);
            show("open", fd);
            if (fd >= 0) {
                if ((flag & O_ACCMODE) != O_RDONLY && !(flag & O_PATH)) show("write", write(fd, "0123456789", below(11)));
                if (!fstat(fd, &stat)) show_stat(&stat);
                close(fd);
            }
            break;
        }
        case 13: show("truncate", truncate(one, below(20))); break;
        case 14: show("access", faccessat(from, one, below(8), 0)); break;
        default: {
            unsigned slot = below(3);
            int dir = below(3) ? openat(from, one, O_RDONLY | O_DIRECTORY) : AT_FDCWD;
            if (dir != AT_FDCWD && !is_below(dir)) close(dir), dir = -1;
            if (dir == -1) break;
            if (dirs[slot] != AT_FDCWD) close(dirs[slot]);
            dirs[slot] = dir;
        }
        }
    }
    int here = open(".", O_RDONLY | O_DIRECTORY);
    show_tree(here, 0);
    for (int i = 0; i < 3; i++)
        if (dirs[i] != AT_FDCWD) close(dirs[i]);
    close(here);
    strcpy(folder, top);
    leave_folder();
    return done();
}
