//! fated on a terminal, which script(1) makes.

use std::io::Write as _;

use crate::Test;
use crate::fated::{Running, engine, is_notice};

pub const TESTS: &[Test] = &[
    ("terminal_passes_through", &["script", "stty"], passes_through),
    ("terminal_interrupt_ends_guests", &["script"], interrupt),
    ("terminal_is_given_back", &["script", "stty"], given_back),
    ("terminal_that_looks_like_a_pipe", &["script"], looks_like_a_pipe),
];

/// A shell command on a terminal of its own.
#[track_caller]
fn on_a_terminal(command: &str) -> Running {
    let fated = format!("{} run --stdio inherit --engine {}", env!("CARGO_BIN_EXE_fated"), engine());
    let command = command.replace("FATED run", &fated);
    Running::start_program("script", &["--quiet", "--return", "--command", &command, "/dev/null"])
}

fn passes_through() {
    let mut running =
        on_a_terminal("FATED run sh -c 'test -t 0 && test -t 1 && echo ready; read line; echo \"got $line\"'");
    assert_eq!(running.line().trim_end(), "ready");
    running.input().write_all(b"a line\n").expect("script reads it");
    let outcome = running.end().code(0);
    assert!(outcome.stdout.contains("got a line"), "{}", outcome.stdout);
}

fn interrupt() {
    let mut running = on_a_terminal("FATED run sh -c 'echo ready; (read x </dev/tty); sleep 1; echo never'");
    assert_eq!(running.line().trim_end(), "ready");
    running.input().write_all(b"\x03").expect("script reads it");
    let outcome = running.end().code(130);
    assert!(!outcome.stdout.contains("never"), "{}", outcome.stdout);
}

/// A guest that is killed can't do it itself.
fn given_back() {
    let show = "stty -a | tr ';' '\\n' | tr ' ' '\\n' | grep -x -e -*echo -e -*icanon";
    let guest = "stty -echo -icanon; stty -a | grep -q -e -icanon && kill -9 $$";
    let outcome = on_a_terminal(&format!("FATED run sh -c '{guest}'; echo $?; {show}")).end().code(0);
    let words: Vec<&str> =
        outcome.stdout.lines().filter(|line| !is_notice(line)).flat_map(str::split_whitespace).collect();
    // The shell says first that fated was killed, as its guest was.
    assert!(words.ends_with(&["137", "icanon", "echo"]), "{}", outcome.stdout);
}

/// A program that would be interactive on the terminal gets a pipe by default, and the user hears of it; one that only asks doesn't
/// bother anybody.
fn looks_like_a_pipe() {
    const LINE: &str = "--stdio inherit makes it interactive";
    let fated = format!("{} run --engine {}", env!("CARGO_BIN_EXE_fated"), engine());
    let says = |options: &str, guest: &str| {
        let command = format!("{fated} {options} sh -c '{guest}'");
        let mut running =
            Running::start_program("script", &["--quiet", "--return", "--command", &command, "/dev/null"]);
        running.input().write_all(b"a line\n").expect("script reads it");
        running.end().stdout.contains(LINE)
    };
    assert!(says("", "test -t 0 || read line"));
    assert!(says("", "test -t 0"), "it fails");
    assert!(!says("", "test -t 0 || echo no"));
    assert!(!says("", "read line"));
    assert!(!says("--quiet", "test -t 0 || read line"));
    assert!(!says("--stdio inherit", "test -t 0 && read line"));
    assert!(!says("--stdio tty", "test -t 0 && read line"));
}
