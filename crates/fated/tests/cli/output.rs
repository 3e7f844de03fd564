//! What fated itself writes: logs, statistics, comparisons.

use std::fs;

use serde_json::Value;

use crate::Test;
use crate::fated::{Folder, Running, engine, run, with_input};

pub const TESTS: &[Test] = &[
    ("log_as_text", &[], log_as_text),
    ("log_as_json", &[], log_as_json),
    ("log_on_standard_error", &[], log_on_standard_error),
    ("standard_error_that_cannot_be_written", &["bash"], standard_error_that_cannot_be_written),
    ("logs_repeat", &[], logs_repeat),
    ("log_of_a_failed_run", &[], log_of_a_failed_run),
    ("statistics", &[], statistics),
    ("refused_calls_are_told", &["perl"], refused_calls),
    ("verify_same", &[], verify_same),
    ("verify_different", &[], verify_different),
    ("verify_fresh", &[], verify_fresh),
];

fn log_as_text() {
    let folder = Folder::new("log");
    let file = folder.file("calls");
    run(&["--log", &file, "sh", "-c", "(exit 3) & wait $!; kill -TERM $$"]).code(143);
    let log = fs::read_to_string(&file).expect("fated has written it");
    for part in ["+++ exited with 3 +++", "+++ killed by SIGTERM +++", "--- SIGCHLD", "wait4(", "exit_group(3) = ?"] {
        assert!(log.contains(part), "no {part:?} in:\n{log}");
    }
    let mut last = 0.0;
    for line in log.lines() {
        let mut words = line.split(' ');
        let task: u32 = words.next().and_then(|it| it.parse().ok()).expect("the first word is the task's id");
        let time: f64 = words.next().and_then(|it| it.parse().ok()).expect("the second word is the time");
        assert!(task > 0 && time >= last, "{line}");
        last = time;
    }
}

/// A full disk, and a reader that has gone: nothing but what was to be said is lost.
fn standard_error_that_cannot_be_written() {
    let fated = env!("CARGO_BIN_EXE_fated");
    for options in ["--stats", "--log -", "--verbose", "--verify"] {
        let command = format!("{fated} run --engine {} {options} -- sh -c 'echo out; exit 3'", engine());
        Running::start_program("sh", &["-c", &format!("{command} 2>/dev/full")]).end().code(3).stdout("out\n");
        let gone = format!("exec 3>&1; {{ {command} >/dev/null; echo $? >&3; }} 2>&1 | true");
        Running::start_program("bash", &["-c", &gone]).end().code(0).stdout("3\n");
    }
}

fn log_as_json() {
    let folder = Folder::new("json");
    for name in ["calls.json", "calls.jsonl"] {
        let file = folder.file(name);
        run(&["--log", &file, "sh", "-c", "(exit 3) & wait; cat /nowhere/at/all; exit 0"]).code(0);
        let log = fs::read_to_string(&file).expect("fated has written it");
        let lines: Vec<Value> =
            log.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        let mut last = 0;
        for line in &lines {
            let time = line["time_ns"].as_u64().expect("each line has a time");
            assert!(time >= last && line["pid"].is_u64() && line["tid"].is_u64(), "{line}");
            last = time;
        }
        assert!(lines.iter().any(|line| line["exit"] == 3));
        assert!(lines.iter().any(|line| line["call"] == "wait4" && line["args"].is_array()));
        assert!(lines.iter().any(|line| line["error"] == "ENOENT"));
    }
}

fn log_on_standard_error() {
    let outcome = run(&["--log", "-", "sh", "-c", "echo here"]).code(0).stdout("here\n");
    assert!(outcome.stderr.lines().any(|line| line.contains("+++ exited with 0 +++")), "{}", outcome.stderr);
}

fn logs_repeat() {
    let folder = Folder::new("repeat");
    let log = |name: &str, seed: &str| {
        let file = folder.file(name);
        run(&["--seed", seed, "--log", &file, "sh", "-c", "ls /etc | sort -R | head -3 & date; wait"]).code(0);
        fs::read_to_string(&file).expect("fated has written it")
    };
    let first = log("first", "5");
    assert!(first == log("second", "5"), "the same seed gives another log");
    assert!(first != log("third", "6"), "another seed gives the same log");
}

fn log_of_a_failed_run() {
    let folder = Folder::new("failed");
    let file = folder.file("calls");
    run(&["--log", &file, "sh", "-c", "kill -STOP $$"]).code(124);
    let log = fs::read_to_string(&file).expect("fated has written it");
    assert!(log.contains("kill("), "{log}");
}

fn statistics() {
    let text = run(&["--stats", "sh", "-c", "echo here"]).code(0).stdout("here\n");
    text.says(&["virtual time", "real time", "processor", "stops", "native calls", "  exit_group\n"]);
    let json = run(&["--stats=json", "sh", "-c", "(:); exit 4"]).code(4);
    let value: Value = serde_json::from_str(&json.guests_stderr()).expect("standard error is one JSON object");
    assert_eq!(value["calls"]["exit_group"], 2);
    assert_eq!((&value["tasks"], &value["programs"]), (&2.into(), &1.into()));
    assert!(value["virtual_ns"].as_u64() > Some(0) && value["real_ns"].as_u64() > Some(0));
    // It can't be counted everywhere.
    assert!(value["processor_ns"].is_null() || value["processor_ns"].as_u64() > Some(0));
    assert!(value["stops"].as_u64() > value["calls"]["exit_group"].as_u64());
}

fn refused_calls() {
    // 169 is reboot(2); with wrong magic numbers it would do nothing anyway.
    let script = "my $r = syscall(169, 0, 0, 0, 0); print $r, ' ', $!+0, \"\\n\"";
    let outcome = run(&["perl", "-e", script]).code(0).stdout("-1 38\n");
    outcome.says(&["ENOSYS", "reboot (1)"]);
}

fn verify_same() {
    let script = "date; od -An -N8 -tx1 /dev/urandom; (echo a) & (echo b) & wait; echo oops >&2; exit 3";
    let plain = run(&["sh", "-c", script]).code(3);
    let verified =
        run(&["--verify", "sh", "-c", script]).code(3).says(&["oops\n", "two runs, the same", "exit status 3"]);
    assert_eq!(plain.stdout.len(), verified.stdout.len(), "the output is shown once");
    let plain = with_input(&["run", "sort"], "b\na\n");
    let verified = with_input(&["run", "--verify", "sort"], "b\na\n").code(0).says(&["the same"]);
    assert_eq!(plain.stdout, verified.stdout);
    run(&["--verify", "sh", "-c", "kill -9 $$"]).code(137).says(&["the same", "signal 9"]);
}

const COUNT: &str = "read n < count; echo $((n + 1)) > count; echo run $n; test $n = 1";

fn verify_different() {
    let folder = Folder::new("different");
    folder.write("count", "1\n");
    let outcome = run(&["--verify", "--cwd", folder.path(), "sh", "-c", COUNT]).code(123).stdout("run 1\n");
    outcome.says(&[
        "two runs, not the same",
        "the calls differ from number ",
        "  both   ",
        "standard output differs from line 1 on:\n  run 1  run 1\n  run 2  run 2\n",
        "  run 1  exit status 0\n  run 2  exit status 1\n",
        "--fresh",
    ]);
}

fn verify_fresh() {
    let parent = Folder::new("fresh");
    let original = parent.file("original");
    fs::create_dir(&original).expect("the directory is ours");
    let count = parent.write("original/count", "1\n");
    run(&["--verify", "--fresh", &original, "sh", "-c", COUNT]).code(0).stdout("run 1\n").says(&["the same"]);
    run(&["--fresh", &original, "sh", "-c", COUNT]).code(0).stdout("run 1\n");
    assert_eq!(fs::read_to_string(count).expect("it is still there"), "1\n");
    let left = fs::read_dir(parent.path()).expect("the directory is ours").count();
    assert_eq!(left, 1, "a copy is left");
}
