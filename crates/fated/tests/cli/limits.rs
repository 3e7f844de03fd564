//! Limits of the shell that starts fated: the run works, or the message names the limit and what to do.

use crate::Test;
use crate::fated::{ANOTHER_USER, Outcome, Running, as_user, engine};

pub const TESTS: &[Test] = &[
    ("limit_of_descriptors", &[], descriptors),
    ("limit_of_descriptors_reached", &["python3"], many_descriptors),
    ("limit_of_descriptors_inherited", &["bash"], inherited_descriptors),
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

/// Hard limits on descriptors, and the last number that guests can have under each of them.
const LIMITS: [(u64, u64); 4] = [(256, 252), (1023, 252), (1024, 1020), (2000, 1023)];

/// The hard limit on descriptors of this test.
fn own_limit() -> u64 {
    let shown = Running::start_program("sh", &["-c", "ulimit -Hn"]).end().code(0).stdout;
    shown.trim_end().parse().unwrap_or(u64::MAX)
}

fn descriptors() {
    for engine in [engine(), "any"] {
        limited("-n 20", engine).code(125).says(&["the limit on descriptors is 20, and it takes 256 (ulimit -n)"]);
    }
    for (limit, _) in LIMITS.into_iter().filter(|(limit, _)| *limit <= own_limit()) {
        works(&format!("-n {limit}"));
    }
}

/// Guests see limits that are the same everywhere. Who wants more than there are really gets EMFILE, and the user the reason.
fn many_descriptors() {
    const PROGRAM: &str = "
import os, resource
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
try:
    while True: last = os.dup(0)
except OSError as error: print(error.errno, last)
os.closerange(3, 60)
print(os.spawnvp(os.P_WAIT, 'sh', ['sh', '-c', '/bin/true; exit 7']))";
    for (hard, last) in LIMITS.into_iter().filter(|(limit, _)| *limit <= own_limit()) {
        let script = format!("ulimit -n {hard} && exec \"$@\"");
        let shell = ["-c", &script, "sh", env!("CARGO_BIN_EXE_fated")];
        let run = ["run", "--engine", engine(), "--", "python3", "-c", PROGRAM];
        let outcome = Running::start_program("sh", &[&shell[..], &run].concat()).end().code(0);
        let names_limit = outcome.stderr.contains("(ulimit -Hn)");
        assert_eq!(names_limit, hard < 2000, "{}", outcome.stderr);
        outcome.stdout(&format!("1024 4096\n24 {last}\n7\n"));
    }
}

/// An inherited descriptor for which there is no room below the engine's own.
fn inherited_descriptors() {
    for (fd, shown) in [(1020, "yes\n"), (1022, "no\n")] {
        let look = format!("test -e /proc/self/fd/{fd} && echo yes || echo no");
        let script = format!("ulimit -n 1024 && exec \"$@\" {fd}</dev/null");
        let args = ["-c", &script, "bash", env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine(), "sh", "-c", &look];
        Running::start_program("bash", &args).end().code(0).stdout(shown);
    }
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
