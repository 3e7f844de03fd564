//! Limits of the shell that starts fated: the run works, or the message names the limit and what to do.

use crate::Test;
use crate::fated::{ANOTHER_USER, Outcome, Running, as_user, engine};

pub const TESTS: &[Test] = &[
    ("limit_of_descriptors", &[], descriptors),
    ("limit_of_address_space", &[], || only_traced("-v 4000000", "address space")),
    ("limit_of_file_sizes", &[], || only_traced("-f 3000", "the size of files")),
    ("limit_of_processes", &["setpriv", "prlimit", ANOTHER_USER], processes),
    ("limit_of_stacks", &[], || works("-s 1024")),
    ("soft_limits", &[], soft_limits),
];

/// A shell with a limit (`ulimit`) starts fated with another engine than this test's, or with this one.
#[track_caller]
fn limited(limit: &str, engine: &str) -> Outcome {
    let fated = env!("CARGO_BIN_EXE_fated");
    let script =
        format!("ulimit {limit} && exec {fated} run --engine {engine} -- sh -c 'echo here; /bin/true; exit 3'");
    Running::start_program("sh", &["-c", &script]).end()
}

#[track_caller]
fn works(limit: &str) {
    limited(limit, engine()).code(3).stdout("here\n");
}

/// The engine inside can't work, says why, and the other one takes its place.
#[track_caller]
fn only_traced(limit: &str, what: &str) {
    if engine() == "ptrace" {
        works(limit);
        return;
    }
    let option = limit.split(' ').next().unwrap_or(limit);
    limited(limit, "inside").code(125).stdout("").says(&[what, &format!("(ulimit {option})"), "--engine ptrace"]);
    limited(limit, "any").code(3).stdout("here\n").says(&[what, "so this run is traced"]);
}

fn descriptors() {
    for engine in [engine(), "any"] {
        limited("-n 20", engine).code(125).says(&["the limit on descriptors is 20, and it takes 1024 (ulimit -n)"]);
    }
    only_traced("-n 1024", "descriptors");
    works("-n 2000");
}

/// fated itself may raise these.
fn soft_limits() {
    for limit in ["-Sn 20", "-Sv 4000000", "-Sf 3000", "-Ss 1024"] {
        works(limit);
    }
}

fn processes() {
    let run = ["prlimit", "--nproc=1:1", env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine(), "true"];
    as_user(&run).code(125).says(&["EAGAIN", "the limit on processes (ulimit -u)"]);
}
