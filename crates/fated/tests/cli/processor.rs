//! Which processor guests see: fated's, on every machine. The exception is code that they generate themselves, where `cpuid` can't be made
//! to fault and with `--no-cpuid-faulting`.

use std::process::Command;

use fated_engine::{NO_CPUID_FAULTING, cpuid};
use serde_json::Value;

use crate::Test;
use crate::fated::{Folder, Running, engine, run};

pub const TESTS: &[Test] = &[
    ("guests_see_this_processor", &["gcc"], guests_see),
    ("sensitive_instructions_are_decided", &["gcc"], instructions),
    ("sensitive_instructions_are_remembered", &["gcc"], remembered),
    ("random_device_is_decided", &["g++"], random_device),
    ("registers_after_the_vdso", &["gcc"], after_vdso),
    ("a_real_processor_is_told_of_on_request", &[], is_told_of),
];

/// What fated says of a processor that can't make `cpuid` fault.
const NOTICE: &str = "this processor can't make cpuid fault";
const OPTION: &str = "--no-cpuid-faulting";
const FATEDS: &str = "fated virtual processor (x86-64-v3)\n";

/// Prints the processor's name as its own code sees it, then as generated code does.
const PROGRAM: &str = r#"
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static void generated(unsigned leaf, unsigned *words) {
    // push rbx; mov eax, edi; cpuid; four stores behind rsi; pop rbx; ret
    static const unsigned char code[] = {0x53, 0x89, 0xf8, 0x0f, 0xa2, 0x89, 0x06, 0x89, 0x5e, 4, 0x89, 0x4e, 8, 0x89, 0x56, 12, 0x5b, 0xc3};
    static void (*run)(unsigned, unsigned *);
    if (!run) {
        run = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(run, code, sizeof code);
    }
    run(leaf, words);
}
int main(void) {
    unsigned words[13] = {0};
    for (unsigned i = 0; i < 3; i++)
        __cpuid(0x80000002 + i, words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
    puts((char *)words);
    for (unsigned i = 0; i < 3; i++) generated(0x80000002 + i, words + 4 * i);
    return puts((char *)words) < 0;
}
"#;

/// Whether `cpuid` faults in guests if no option forbids it.
fn faults() -> bool {
    std::env::var_os(NO_CPUID_FAULTING).is_none_or(|it| it != "1") && cpuid::can_fault()
}

/// A program of this source.
fn compile(folder: &Folder, compiler: &str, options: &[&str], name: &str, source: &str) -> String {
    let (source, program) = (folder.write(name, source), folder.file(&format!("{name}.out")));
    let compiled = Command::new(compiler).args(["-o", &program, &source]).args(options).status();
    assert!(compiled.expect("the compiler is there").success());
    program
}

fn guests_see() {
    let folder = Folder::new(&format!("processor-{}", engine()));
    let program = compile(&folder, "gcc", &[], "name.c", PROGRAM);
    let real = Command::new(&program).output().expect("it has been compiled").stdout;
    let real = String::from_utf8_lossy(&real);
    let real = real.lines().next().unwrap_or_default();
    assert_ne!(real, FATEDS.trim_end(), "the tests themselves run under fated");

    let in_files_only = format!("{FATEDS}{real}\n");
    run(&[&program]).code(0).stdout(&if faults() { FATEDS.repeat(2) } else { in_files_only.clone() });
    run(&[OPTION, &program]).code(0).stdout(&in_files_only);
    let variable = format!("{NO_CPUID_FAULTING}=1");
    let fated = [&variable, env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine(), &program];
    Running::start_program("env", &fated).end().code(0).stdout(&in_files_only);
}

/// A run finds what another one has found, and is the same; nonsense in the cache changes nothing.
fn remembered() {
    let folder = Folder::new(&format!("remembered-{}", engine()));
    let program = compile(&folder, "gcc", &[], "name.c", PROGRAM);
    let cache = folder.file("cache");
    let fated = |cache: &str| {
        let variable = format!("FATED_CACHE={cache}");
        let words = [&variable, env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine(), "--log", "-", &program];
        let outcome = Running::start_program("env", &words).end().code(0);
        (outcome.stdout, outcome.stderr)
    };
    fated("");
    assert!(!std::path::Path::new(&cache).exists());
    let first = fated(&cache);
    let files: Vec<_> = std::fs::read_dir(&cache).expect("fated has made it").collect();
    let [Ok(file)] = &files[..] else { panic!("one file, not {files:?}") };
    let known = std::fs::read_to_string(file.path()).expect("fated has made it");
    assert!(known.lines().count() > 0, "libraries are older than this run");
    let second = fated(&cache);
    assert_eq!(std::fs::read_to_string(file.path()).expect("it is there"), known, "nothing is searched again");
    // Other offsets, and half a line.
    std::fs::write(file.path(), known.replace('\n', " 77\n") + "1 2 3").expect("the folder is ours");
    for other in [second, fated(&cache)] {
        assert_eq!(other, first);
    }
}

/// Executes each sensitive instruction, in the forms that compilers emit. None of them reaches the processor, which may lack it.
const SENSITIVE: &str = r#"
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
void sensitive(const char *where) {
    uint64_t all[2] = {0}, processor = 99;
    unsigned a, b, c, d, half = 0x12345678, limit = 99;
    unsigned char drawn, sown, valid;
    __cpuid(0, a, b, c, d);
    __asm__ volatile("rdrand %0; setc %1" : "=r"(all[0]), "=q"(drawn));
    __asm__ volatile("rdseed %0; setc %1" : "=r"(all[1]), "=q"(sown));
    __asm__ volatile("rdrand %w0" : "+r"(half));
    __asm__ volatile("rdpid %0" : "=r"(processor));
    __asm__ volatile("lsl %2, %0; setz %1" : "=r"(limit), "=q"(valid) : "r"(0x7b));
    printf("%s %.4s %d%d %x %d %d%d %llx %llx %x\n", where, (char *)&b, drawn, sown, half >> 16, (int)processor, limit, valid,
           (unsigned long long)all[0], (unsigned long long)all[1], half);
}
#ifndef LIBRARY
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    sensitive("program");
    if (argc > 1) {
        void *library = dlopen(argv[1], RTLD_NOW);
        void (*function)(const char *) = library ? (void (*)(const char *))dlsym(library, "sensitive") : 0;
        if (!function) return 1;
        function("library");
    }
    fflush(stdout);
    if (!fork()) {
        sensitive("child");
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    return 0;
}
#endif
"#;

fn instructions() {
    let folder = Folder::new(&format!("sensitive-{}", engine()));
    let library = compile(&folder, "gcc", &["-shared", "-fPIC", "-DLIBRARY"], "library.c", SENSITIVE);
    for options in [&["-ldl"][..], &["-no-pie", "-ldl"], &["-O2", "-ldl"], &["-static-pie"], &["-static"]] {
        let program = compile(&folder, "gcc", options, "program.c", SENSITIVE);
        let linked = options.iter().any(|it| it.starts_with("-static"));
        let command = if linked { vec![&*program] } else { vec![&*program, &*library] };
        let of = |seed: &str, more: &[&str]| {
            let options = ["--seed", seed];
            run(&[&options, more, &command].concat()).code(0).stdout
        };
        let first = of("1", &[]);
        let whole = first.lines().all(|line| line.contains(" Genu 11 1234 0 01 "));
        assert!(
            whole && first.lines().count() == command.len() + 1,
            "{options:?}:
{first}"
        );
        assert_eq!(of("1", &[OPTION]), first, "{options:?}");
        assert_ne!(of("2", &[]), first, "{options:?}");
        let words: Vec<&str> = first.split_whitespace().filter(|word| word.len() > 12).collect();
        assert!(words.iter().enumerate().all(|(at, word)| !words[..at].contains(word)), "{first}");
    }
}

fn random_device() {
    const SOURCE: &str = r#"#include <random>
#include <cstdio>
int main() { std::random_device r; printf("%x %x\n", r(), r()); }"#;
    let folder = Folder::new(&format!("random-device-{}", engine()));
    let program = compile(&folder, "g++", &[], "device.cc", SOURCE);
    let of = |options: &[&str]| run(&[options, &[&program]].concat()).code(0).stdout;
    let first = of(&[]);
    assert_eq!((of(&[]), of(&[OPTION])), (first.clone(), first.clone()));
    assert_ne!(of(&["--seed", "1"]), first);
}

fn is_told_of() {
    for options in [&[][..], &["-v"], &["--verify", "--verbose"]] {
        let is_told = |more: &[&str]| run(&[options, more, &["true"]].concat()).code(0).stderr.contains(NOTICE);
        let wants_to_know = !options.is_empty();
        assert_eq!(is_told(&[]), wants_to_know && !faults(), "{options:?}");
        assert_eq!(is_told(&[OPTION]), wants_to_know, "{options:?}");
    }
    let seen = |options: &[&str]| -> Value {
        let outcome = run(&[&["--stats=json"], options, &["true"]].concat()).code(0);
        serde_json::from_str::<Value>(&outcome.guests_stderr()).expect("it is one JSON object")["cpuid"].take()
    };
    assert_eq!(seen(&[]), if faults() { "virtual" } else { "virtual in files" });
    assert_eq!(seen(&[OPTION]), "virtual in files");
    run(&["--stats", OPTION, "true"]).code(0).says(&[NOTICE]);
}

/// Calls each function of the vDSO many times, and prints what it leaves in the registers that `syscall` changes.
const AFTER_VDSO: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
    const char *names[] = {"clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"};
    void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
    for (int i = 0; vdso && i < 5; i++) {
        long at[16], rcx, r11, flags, last[3] = {-1, -1, -1};
        void *function = dlvsym(vdso, names[i], "LINUX_2.6");
        int first = i == 0 || i == 3, clock = i < 4;
        for (int round = 0; round < 40; round++) {
            __asm__ volatile("sub $128, %%rsp\n call *%[function]\n pushf\n pop %%rax\n add $128, %%rsp\n mov %%rcx, %[rcx]\n mov %%r11, %[r11]"
                : [rcx] "=&r"(rcx), [r11] "=&r"(r11), "=&a"(flags)
                : [function] "r"(function), "D"(first ? 1 : clock ? (long)at : 0), "S"(first ? (long)at : 0), "d"(0)
                : "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
            if (rcx != last[0] || r11 != last[1] || flags != last[2]) printf("%s %lx %lx %lx\n", names[i], rcx, r11, flags);
            last[0] = rcx, last[1] = r11, last[2] = flags;
        }
    }
}
"#;

/// Nothing there tells how a call has reached the kernel.
fn after_vdso() {
    let folder = Folder::new(&format!("vdso-{}", engine()));
    let program = compile(&folder, "gcc", &["-ldl"], "vdso.c", AFTER_VDSO);
    let names = ["clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"];
    let expected: String = names.map(|name| format!("{name} 0 0 246\n")).concat();
    run(&[&program]).code(0).stdout(&expected);
    run(&["--no-rewrite", &program]).code(0).stdout(&expected);
}
