//! Instructions and unusual calls that the engine handles itself, in small C programs.

use crate::harness::{Scratch, launch, run};
use fated_kernel::host::Ending;
use std::process::Command;

const PRELUDE: &str = "
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#define CHECK(what) do { if (!(what)) { dprintf(2, \"%s\\n\", #what); return __LINE__ & 127; } } while (0)
int dprintf(int, const char *, ...);
typedef int lanes __attribute__((vector_size(32)));
int main(void) {
";

/// Runs the body of a `main` that returns 0, or the line of the check that failed.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the compiler is no guest")]
fn check(name: &str, body: &str) {
    let scratch = Scratch::new(name);
    let (source, program) = (scratch.path("guest.c"), scratch.path("guest"));
    std::fs::write(&source, format!("{PRELUDE}\n#line 1\n{body}\nreturn 0; }}\n")).unwrap();
    match Command::new("gcc").args(["-O1", "-mavx2", "-mxsave", "-o", &program, &source]).output() {
        Err(error) => eprintln!("skipped: gcc: {error}"),
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(run(&launch(&[&program])).unwrap().0, Ending::Exited(0), "{name}");
        }
    }
}

#[test]
fn the_time_stamp_counter_is_the_kernels() {
    check(
        "tsc",
        "unsigned aux = 7;
         CHECK(__builtin_ia32_rdtsc() < 1000000);
         unsigned long long now = __builtin_ia32_rdtscp(&aux);
         CHECK(aux == 0);
         CHECK(__builtin_ia32_rdtsc() == now + 1000);",
    );
}

#[test]
fn the_processor_is_the_baseline() {
    check(
        "cpuid",
        "unsigned a, b, c, d; char brand[49] = {0};
         unsigned *words = (unsigned *)brand;
         for (int i = 0; i < 3; i++) __cpuid(0x80000002 + i, words[4*i], words[4*i+1], words[4*i+2], words[4*i+3]);
         CHECK(!strncmp(brand, \"fated virtual processor\", 23));
         __cpuid(1, a, b, c, d);
         CHECK(!(c >> 30 & 1));
         unsigned long *auxv = (unsigned long *)environ;
         while (*auxv++) {}
         for (; *auxv && *auxv != AT_HWCAP; auxv += 2) {}
         CHECK(auxv[1] == d && getauxval(AT_HWCAP2) == 0);
         CHECK(!memcmp((char *)getauxval(AT_RANDOM), \"0123456789abcdef\", 16));
         __cpuid_count(0xd, 0, a, b, c, d);
         CHECK(!((unsigned)__builtin_ia32_xgetbv(0) & ~a));",
    );
}

#[test]
fn nothing_is_left_of_linuxs_vdso() {
    check(
        "vdso",
        "unsigned char *image = (void *)getauxval(AT_SYSINFO_EHDR), *page = image + 4096;
         char maps[16384] = {0};
         int fd = open(\"/proc/self/maps\", O_RDONLY), len = 0, got;
         while ((got = read(fd, maps + len, sizeof maps - 1 - len)) > 0) len += got;
         CHECK(image && strstr(maps, \"[vdso]\") && !strstr(maps, \"[vvar\"));
         for (unsigned char *end = page - 64; end < page; end++) CHECK(!*end);",
    );
}

#[test]
fn the_base_of_a_segment_can_be_read() {
    check(
        "arch_prctl",
        "unsigned long base = 0;
         CHECK(syscall(SYS_arch_prctl, 0x1003, &base) == 0 && base != 0);",
    );
}

#[test]
fn calls_of_other_architectures_are_refused() {
    check(
        "foreign",
        "long result = 20;
         asm volatile(\"int $0x80\" : \"+a\"(result) : : \"memory\");
         CHECK(result == -ENOSYS);
         CHECK(syscall(0x40000000 + SYS_getpid) == -1 && errno == ENOSYS);
         CHECK(syscall(-1) == -1 && errno == ENOSYS);
         CHECK(syscall(999) == -1 && errno == ENOSYS);",
    );
}

#[test]
fn registers_survive_a_call() {
    check(
        "registers",
        "long rdi = 11, rsi = 12, rdx = 13, result;
         register long r10 asm(\"r10\") = 14, r8 asm(\"r8\") = 15, r9 asm(\"r9\") = 16;
         asm volatile(\"syscall\" : \"=a\"(result), \"+D\"(rdi), \"+S\"(rsi), \"+d\"(rdx), \"+r\"(r10), \"+r\"(r8), \"+r\"(r9)
                      : \"a\"(SYS_getpid) : \"rcx\", \"r11\", \"memory\");
         CHECK(result == 100 && rdi == 11 && rsi == 12 && rdx == 13 && r10 == 14 && r8 == 15 && r9 == 16);
         lanes ones = {1, 1, 1, 1, 1, 1, 1, 1}, twos;
         asm volatile(\"vmovdqa %1, %%ymm7; mov %2, %%eax; syscall; vmovdqa %%ymm7, %0\"
                      : \"=x\"(twos) : \"x\"(ones), \"i\"(SYS_fork) : \"rax\", \"rcx\", \"r11\", \"xmm7\", \"memory\");
         CHECK(!memcmp(&ones, &twos, sizeof ones));",
    );
}

#[test]
fn a_guest_may_close_everything() {
    check(
        "close",
        "for (int fd = 0; fd < 1024; fd++) close(fd);
         CHECK(open(\"/dev/null\", O_RDWR) == 0);
         CHECK(fork() >= 0);",
    );
}

#[test]
fn a_guest_may_unmap_the_vdso_and_the_code_of_a_call() {
    // The call unmaps its own page. The task then faults, and this driver ends the guest.
    check(
        "unmap",
        "if (fork() == 0) {
             unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
             code[0] = 0x0f; code[1] = 0x05; code[2] = 0xc3;
             long (*call)(long, long) = (void *)code, result;
             asm volatile(\"call *%1\" : \"=a\"(result) : \"r\"(call), \"a\"(SYS_munmap), \"D\"(code), \"S\"(4096L)
                          : \"rcx\", \"r11\", \"memory\");
             _exit(0);
         }
         int status;
         CHECK(syscall(SYS_wait4, -1, &status, 0, 0) > 0 && status == SIGSEGV);",
    );
}
