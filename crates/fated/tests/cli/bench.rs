//! That benchmarks measure and print; not what.

use serde_json::Value;

use crate::Test;
use crate::fated::fated;

pub const TESTS: &[Test] = &[
    ("bench_wait", &["cc", "taskset"], wait),
    ("bench_stop", &["cc", "taskset"], stop),
    ("bench_call", &["cc", "taskset"], call),
    ("bench_engines", &["cc", "taskset"], engines),
    ("bench_memory", &["cc", "taskset"], memory),
    ("bench_programs", &["gcc", "make", "python3", "git", "find", "taskset"], programs),
    ("bench_strace", &["cc", "taskset", "strace"], strace),
];

/// The table that a benchmark prints; all its numbers are there.
#[track_caller]
fn table(args: &[&str], columns: usize) {
    let json = fated(&[args, &["--rounds", "1", "--json"]].concat()).code(0).stdout;
    let table: Value = serde_json::from_str(&json).expect("it is one JSON object");
    assert_eq!(table["columns"].as_array().map(Vec::len), Some(columns), "{table}");
    let rows = table["rows"].as_array().expect("it has rows");
    assert!(!rows.is_empty());
    for row in rows {
        let numbers = row["numbers"].as_array().expect("it has numbers");
        assert!(numbers.len() == columns && numbers.iter().all(Value::is_f64), "{row}");
    }
}

fn wait() {
    table(&["bench", "wait", "--max", "3"], 2);
    let text = fated(&["bench", "wait", "--max", "1", "--rounds", "1", "--markdown"]).code(0).stdout;
    assert!(text.starts_with("## `fated bench wait`\n") && text.contains("\n| fated, any child | "), "{text}");
}

fn stop() {
    table(&["bench", "stop", "--max", "2"], 2);
}

fn call() {
    table(&["bench", "call"], 5);
}

fn strace() {
    table(&["bench", "strace"], 4);
}

fn engines() {
    table(&["bench", "engines", "--max", "2"], 5);
}

fn memory() {
    table(&["bench", "memory", "--max", "3"], 5);
}

fn programs() {
    table(&["bench", "programs"], 5);
}
