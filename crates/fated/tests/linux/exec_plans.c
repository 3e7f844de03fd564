/* What Linux looks at before it starts a program: chains of scripts, strings, ELF headers. */
#include "check.h"
#include "folder.h"
#include "said.h"
#include <elf.h>
#include <pthread.h>

static char *environment[] = {"A=1", NULL};
static char *words[] = {"argv0", "one", NULL};
/* The exit status or errno of an exec; what it says is in `said`. A signal counts from 1000. */
static int comes_to(int (*start)(const char *), const char *what) {
    int from;
    pid_t child = fork_speaker(&from);
    if (child == 0) {
        start(what);
        _exit(errno);
    }
    int status = hear(child, from);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int by_path(const char *path) { return execve(path, words, environment); }
static int without_arguments(const char *path) { return syscall(SYS_execve, path, NULL, NULL); }
static int by_descriptor(const char *path) {
    return syscall(SYS_execveat, open(path, O_RDONLY), "", words, environment, AT_EMPTY_PATH);
}
static int by_closed_descriptor(const char *path) {
    return syscall(SYS_execveat, open(path, O_RDONLY | O_CLOEXEC), "", words, environment, AT_EMPTY_PATH);
}
static int in_closed_directory(const char *path) {
    return syscall(SYS_execveat, open(".", O_RDONLY | O_CLOEXEC), path, words, environment, 0);
}
static int in_directory(const char *path) {
    return syscall(SYS_execveat, open(".", O_RDONLY), path, words, environment, 0);
}
static int by_no_descriptor(const char *path) {
    (void)path;
    return syscall(SYS_execveat, 77, "", words, environment, AT_EMPTY_PATH);
}
static int working_directory(const char *path) {
    (void)path;
    return syscall(SYS_execveat, AT_FDCWD, "", words, environment, AT_EMPTY_PATH);
}

static int with_bad_argument(const char *path) {
    char *bad[] = {"argv0", (char *)8, NULL};
    return execve(path, bad, environment);
}
static int with_bad_vector(const char *path) { return syscall(SYS_execve, path, 8, environment); }

/* An argument of so many bytes, its NUL included, so many times. */
static size_t length, count;
static int with_long_arguments(const char *path) {
    char *text = malloc(length), **vector = calloc(count + 2, sizeof *vector);
    memset(text, 'x', length - 1);
    text[length - 1] = 0;
    vector[0] = "true";
    for (size_t at = 1; at <= count; at++) vector[at] = text;
    return execve(path, vector, environment);
}
static int long_arguments(size_t each, size_t times) {
    length = each;
    count = times;
    return comes_to(with_long_arguments, "/bin/true");
}

static void *wait_for_ever(void *unused) {
    pause();
    return unused;
}
static int with_threads(const char *path) {
    pthread_t thread;
    for (int n = 0; n < 3; n++) pthread_create(&thread, NULL, wait_for_ever, NULL);
    return execve(path, words, environment);
}
static void *start_it(void *path) {
    execve(path, words, environment);
    _exit(errno);
}
static int in_thread(const char *path) {
    pthread_t thread;
    pthread_create(&thread, NULL, start_it, (void *)path);
    pause();
    return 0;
}
static int fails_in_thread(const char *path) {
    pthread_t thread;
    for (int n = 0; n < 3; n++) pthread_create(&thread, NULL, wait_for_ever, NULL);
    return execve(path, words, environment);
}

static void script(const char *path, const char *text) {
    put(path, text);
    if (chmod(path, 0755)) abort();
}

static char line[1024];
static const char *first_line(const char *interpreter, const char *rest) {
    snprintf(line, sizeof line, "#!%s%s", interpreter, rest);
    return line;
}

static void scripts(const char *say) {
    script("s", first_line(say, " say  -e  -x \t\necho\n"));
    GIVES(0, comes_to(by_path, "./s"));
    GIVES(0, strcmp(said, strcat(strcpy(line, say), "|say  -e  -x|./s|one|")));
    GIVES(0, comes_to(without_arguments, "./s"));
    GIVES(0, strcmp(said, strcat(strcpy(line, say), "|say  -e  -x|./s|")));
    script("s", first_line(say, " say\r\n"));
    GIVES(0, comes_to(by_path, "s"));
    GIVES(0, strcmp(said, strcat(strcpy(line, say), "|say\r|s|one|")));
    script("s", first_line(say, " say "));
    GIVES(0, comes_to(by_path, "s"));
    GIVES(0, strcmp(said, strcat(strcpy(line, say), "|say |s|one|")));
    GIVES(0, comes_to(by_descriptor, "s"));
    CHECK(strstr(said, "|say |/dev/fd/"));
    GIVES(0, comes_to(in_directory, "s"));
    CHECK(strstr(said, "/s|one|"));
    GIVES(ENOENT, comes_to(by_closed_descriptor, "s"));
    GIVES(ENOENT, comes_to(in_closed_directory, "s"));
    GIVES(0, comes_to(with_threads, "s"));
    GIVES(0, comes_to(in_thread, "s"));

    const struct {
        const char *text;
        int error;
    } bad[] = {
        {"", ENOEXEC},
        {"text", ENOEXEC},
        {"#!", EACCES},
        {"#!\n/bin/sh\n", ENOEXEC},
        {"#! \t \n", ENOEXEC},
        {"#!/bin/sh\r\n", ENOENT},
        {"#!/no/such\n", ENOENT},
        {"#!/tmp\n", EACCES},
        {"#!plain\n", EACCES},
        {"#!plain/x\n", ENOTDIR},
        {"#!/proc/self/status\n", EACCES},
        {"#!/dev/null\n", EACCES},
    };
    put("plain", "no program");
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++) {
        script("bad", bad[at].text);
        GIVES(bad[at].error, comes_to(by_path, "bad"));
        GIVES(bad[at].error, comes_to(fails_in_thread, "bad"));
    }

    /* A path that is cut off counts for nothing; one that just fits counts. */
    char path[300];
    memset(path, 'p', sizeof path);
    path[253] = 0;
    script("long", first_line(path, "\n"));
    GIVES(ENOENT, comes_to(by_path, "long"));
    path[253] = 'p';
    path[254] = 0;
    script("long", first_line(path, "\n"));
    GIVES(ENOEXEC, comes_to(by_path, "long"));

    char name[] = "chain0", next[16];
    script("chain0", first_line(say, " say\n"));
    for (int n = 1; n <= 6; n++) {
        snprintf(next, sizeof next, "chain%d", n);
        script(next, first_line(name, "\n"));
        strcpy(name, next);
    }
    GIVES(0, comes_to(by_path, "chain4"));
    CHECK(strstr(said, "|say|chain0|chain1|chain2|chain3|chain4|one|"));
    GIVES(ELOOP, comes_to(by_path, "chain5"));
    GIVES(ELOOP, comes_to(by_path, "chain6"));
    script("self", "#!./self\n");
    GIVES(ELOOP, comes_to(by_path, "./self"));
}

static void strings(void) {
    GIVES(EBADF, comes_to(by_no_descriptor, ""));
    GIVES(EACCES, comes_to(working_directory, ""));
    GIVES(EFAULT, comes_to(with_bad_argument, "/bin/true"));
    GIVES(EFAULT, comes_to(with_bad_vector, "/bin/true"));
    GIVES(ENOENT, comes_to(with_bad_vector, "/no/such"));
    GIVES(EFAULT, comes_to(with_bad_vector, "bad"));
    GIVES(0, long_arguments(128 << 10, 1));
    GIVES(E2BIG, long_arguments((128 << 10) + 1, 1));
    GIVES(0, long_arguments(100000, 20));
    GIVES(E2BIG, long_arguments(100000, 21));
    GIVES(0, long_arguments(2, 200000));
    GIVES(E2BIG, long_arguments(2, 210000));
}

static unsigned char image[1 << 18];
static size_t size;
static Elf64_Ehdr *header = (Elf64_Ehdr *)image;
static Elf64_Phdr *segment(unsigned kind) {
    Elf64_Phdr *table = (Elf64_Phdr *)(image + header->e_phoff);
    for (int at = 0; at < header->e_phnum; at++)
        if (table[at].p_type == kind) return table + at;
    abort();
}
static void load(const char *from) {
    int fd = open(from, O_RDONLY);
    ssize_t len = read(fd, image, sizeof image);
    if (len <= 0 || len == sizeof image) abort();
    size = len;
    close(fd);
}
static int damaged(void) {
    unlink("program");
    int fd = open("program", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    if (write(fd, image, size) != (ssize_t)size) abort();
    close(fd);
    return comes_to(by_path, "./program");
}
/* What comes of a program in which something is changed. */
#define CHANGED(expected, change) \
    do { \
        load(own); \
        change; \
        int result = damaged(); \
        load(own); \
        check_value(result, expected, #change, __LINE__); \
    } while (0)

static void headers(const char *own) {
    CHANGED(0, (void)0);
    CHANGED(ENOEXEC, image[0] = 'X');
    CHANGED(1000 + SIGSEGV, segment(PT_INTERP)->p_type = PT_NULL; header->e_entry = 1UL << 40);
    CHANGED(0, image[EI_DATA] = 7);
    CHANGED(0, image[EI_VERSION] = 7);
    CHANGED(0, image[EI_OSABI] = 7);
    CHANGED(0, header->e_version = 7);
    CHANGED(ENOEXEC, header->e_type = ET_REL);
    CHANGED(ENOEXEC, header->e_type = ET_CORE);
    CHANGED(ENOEXEC, header->e_machine = EM_AARCH64);
    CHANGED(ENOEXEC, header->e_phentsize = 55);
    CHANGED(ENOEXEC, header->e_phnum = 0);
    CHANGED(ENOEXEC, header->e_phnum = 1171);
    CHANGED(ENOEXEC, header->e_phoff = 1 << 20);
    CHANGED(ENOEXEC, size = 40);
    CHANGED(ENOEXEC, size = 80);
    CHANGED(0, header->e_shoff = 1 << 20);
    CHANGED(ENOEXEC, segment(PT_INTERP)->p_filesz = 1);
    CHANGED(ENOEXEC, segment(PT_INTERP)->p_filesz = 4097);
    CHANGED(ENOEXEC, segment(PT_INTERP)->p_filesz -= 1);
    CHANGED(EIO, segment(PT_INTERP)->p_offset = 1 << 20);
    CHANGED(ENOENT, image[segment(PT_INTERP)->p_offset + 1] = 'X');
    CHANGED(EACCES, strcpy((char *)image + segment(PT_INTERP)->p_offset, "plain"));
    CHANGED(EACCES, strcpy((char *)image + segment(PT_INTERP)->p_offset, "/tmp"));
    CHANGED(EIO, strcpy((char *)image + segment(PT_INTERP)->p_offset, "self"));
    CHANGED(ELIBBAD, strcpy((char *)image + segment(PT_INTERP)->p_offset, "text"));
    CHANGED(1000 + SIGSEGV, size = 1000);
    CHANGED(1000 + SIGSEGV, segment(PT_LOAD)->p_memsz = 1);
    CHANGED(1000 + SIGSEGV, segment(PT_LOAD)->p_offset += 1);
    CHANGED(1000 + SIGSEGV, segment(PT_LOAD)->p_vaddr += 1);
    CHANGED(1000 + SIGSEGV, segment(PT_LOAD)->p_vaddr = 1ul << 47);
    CHANGED(1000 + SIGSEGV, segment(PT_LOAD)->p_memsz = 1ul << 47);
}

/* A program at a fixed place. Linux lets root have one from address 0 on, if /proc/sys/vm/mmap_min_addr permits it. */
static void placed(unsigned long at) {
    static const unsigned char exit_0[] = {0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05};
    memset(image, 0, size = 4096);
    *header = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = at + 128,
        .e_phoff = sizeof *header,
        .e_ehsize = sizeof *header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    memcpy(image + sizeof *header, &(Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, at, at, size, size, 4096}, sizeof(Elf64_Phdr));
    memcpy(image + 128, exit_0, sizeof exit_0);
    printf("at %#lx: %d\n", at, damaged());
}

/* The same at a usual place, with another segment far away. */
static void far_apart(unsigned long at) {
    placed(0x400000);
    header->e_phnum = 2;
    memcpy(image + 512, image + 128, 16);
    memcpy(image + sizeof *header + sizeof(Elf64_Phdr), &(Elf64_Phdr){PT_LOAD, PF_R, 0, at, at, size, size, 4096}, sizeof(Elf64_Phdr));
    header->e_entry += 512 - 128;
    memcpy(image + 512, (unsigned char[]){0xb8, 60, 0, 0, 0, 0xbf, 7, 0, 0, 0, 0x0f, 0x05}, 12);
    printf("and at %#lx: %d\n", at, damaged());
}

int main(int argc, char **argv) {
    char own[128];
    if (argc > 1 && !strncmp(argv[1], "say", 3)) {
        for (char **word = argv; *word; word++) printf("%s|", *word);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "one")) return 0;
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    if (len <= 0) abort();
    own[len] = 0;
    enter_folder();
    char say[160];
    load(own);
    int fd = open("sayer", O_WRONLY | O_CREAT, 0755);
    if (write(fd, image, size) != (ssize_t)size) abort();
    close(fd);
    snprintf(say, sizeof say, "%s/sayer", folder);
    scripts("./sayer");
    strings();
    char much[512];
    memset(much, 'x', sizeof much);
    much[sizeof much - 1] = 0;
    script("text", much);
    headers(say);
    puts("-- places");
    for (unsigned long at = 0x40000; at >= 0x1000; at >>= 1) placed(at);
    placed(0);
    far_apart(1ul << 40);
    far_apart(0x700000400000);
    leave_folder();
    return done();
}
