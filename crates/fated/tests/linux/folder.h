/* A folder of the test's own that it stands in. */
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

static char folder[64];
static int folder_remove(const char *path, const struct stat *stat, int kind, struct FTW *walk) {
    (void)stat, (void)kind, (void)walk;
    return remove(path);
}

static inline void enter_folder(void) {
    strcpy(folder, "/tmp/fated-test.XXXXXX");
    if (!mkdtemp(folder) || chdir(folder)) abort();
}

static inline void leave_folder(void) {
    if (chdir("/") || nftw(folder, folder_remove, 16, FTW_DEPTH | FTW_PHYS)) abort();
}

static inline void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd)) abort();
}

/* What stands in a file, up to a limit; "?" if it can't be read. */
static inline const char *get(const char *path) {
    static char text[8192];
    int fd = open(path, O_RDONLY);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (len < 0) return "?";
    text[len] = 0;
    return text;
}

static inline ino_t ino_of(const char *path) {
    struct stat stat;
    return lstat(path, &stat) ? 0 : stat.st_ino;
}
