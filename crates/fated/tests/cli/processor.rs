//! Which processor guests see: fated's, or the real one where `cpuid` can't be made to fault and with `--no-cpuid-faulting`.

use std::process::Command;

use fated_engine::{NO_CPUID_FAULTING, cpuid};
use serde_json::Value;

use crate::Test;
use crate::fated::{Folder, Running, engine, run};

pub const TESTS: &[Test] =
    &[("guests_see_this_processor", &["gcc"], guests_see), ("a_real_processor_is_told_of_on_request", &[], is_told_of)];

/// What fated says of a processor that guests see.
const NOTICE: &str = "this processor can't hide its features";
const OPTION: &str = "--no-cpuid-faulting";
const FATEDS: &str = "fated virtual processor (x86-64-v3)\n";

/// Prints the processor's name.
const PROGRAM: &str = r"
#include <cpuid.h>
#include <stdio.h>
int main(void) {
    unsigned words[13] = {0};
    for (unsigned i = 0; i < 3; i++)
        __cpuid(0x80000002 + i, words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
    return puts((char *)words) < 0;
}
";

/// Whether fated hides the processor from guests if no option forbids it.
fn hides() -> bool {
    std::env::var_os(NO_CPUID_FAULTING).is_none_or(|it| it != "1") && cpuid::can_fault()
}

fn guests_see() {
    let folder = Folder::new(&format!("processor-{}", engine()));
    let (source, program) = (folder.write("name.c", PROGRAM), folder.file("name"));
    let compiled = Command::new("gcc").args(["-o", &program, &source]).status().expect("gcc is there");
    assert!(compiled.success());
    let real = Command::new(&program).output().expect("it has been compiled").stdout;
    let real = String::from_utf8_lossy(&real);
    assert_ne!(real, FATEDS, "the tests themselves run under fated");

    run(&[&program]).code(0).stdout(if hides() { FATEDS } else { &real });
    run(&[OPTION, &program]).code(0).stdout(&real);
    let variable = format!("{NO_CPUID_FAULTING}=1");
    let fated = [&variable, env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine(), &program];
    Running::start_program("env", &fated).end().code(0).stdout(&real);
}

fn is_told_of() {
    for options in [&[][..], &["-v"], &["--verify", "--verbose"]] {
        let is_told = |more: &[&str]| run(&[options, more, &["true"]].concat()).code(0).stderr.contains(NOTICE);
        let wants_to_know = !options.is_empty();
        assert_eq!(is_told(&[]), wants_to_know && !hides(), "{options:?}");
        assert_eq!(is_told(&[OPTION]), wants_to_know, "{options:?}");
    }
    let seen = |options: &[&str]| -> Value {
        let outcome = run(&[&["--stats=json"], options, &["true"]].concat()).code(0);
        serde_json::from_str::<Value>(&outcome.guests_stderr()).expect("it is one JSON object")["cpuid"].take()
    };
    assert_eq!(seen(&[]), if hides() { "virtual" } else { "real" });
    assert_eq!(seen(&[OPTION]), "real");
    run(&["--stats", OPTION, "true"]).code(0).says(&[NOTICE]);
}
