//! Files that others have made before the run.

use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::Test;
use crate::fated::{Folder, Running, engine, run};

pub const TESTS: &[Test] = &[
    ("old_files", &["make"], old_files),
    ("old_files_by_order_alone", &[], by_order_alone),
    ("standard_output_that_is_a_file", &[], output_to_file),
];

fn set_time(path: &str, time: SystemTime) {
    let file = File::options().append(true).open(path).expect("the file is ours");
    file.set_modified(time).expect("the file is ours");
}

/// However near to each other they are, the order of their times is kept: make(1) depends on it.
fn old_files() {
    let folder = Folder::new(&format!("old-files-{}", engine()));
    let makefile = folder.write("Makefile", "out: src\n\ttouch out\n");
    let (out, src) = (folder.write("out", ""), folder.write("src", ""));
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for (distance, rebuilds) in [(1, true), (50_000_000, true), (0, false)] {
        set_time(&out, hour_ago);
        set_time(&src, hour_ago + Duration::from_nanos(distance));
        let ended = run(&["make", "-n", "-f", &makefile, "-C", folder.path()]).code(0);
        assert_eq!(ended.stdout.contains("touch out"), rebuilds, "{distance} ns apart:\n{}", ended.stdout);
    }
}

/// Nothing but their order is seen.
fn by_order_alone() {
    let folder = Folder::new(&format!("order-{}", engine()));
    let files: Vec<_> = (0..20).map(|number| folder.write(&format!("file{number:02}"), "")).collect();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let mut shown = Vec::new();
    for unit in [Duration::from_nanos(1), Duration::from_micros(3), Duration::from_millis(37)] {
        for (number, file) in files.iter().enumerate() {
            set_time(file, hour_ago - unit * (1 + number as u32 * 7 % 20));
        }
        let script = "cd \"$1\" && stat -c '%n %.Y' file*";
        shown.push(run(&["sh", "-c", script, "sh", folder.path()]).code(0).stdout);
    }
    assert!(shown.windows(2).all(|pair| pair[0] == pair[1]), "{shown:#?}");
}

/// It has the size and the times that follow from what is written.
fn output_to_file() {
    let folder = Folder::new(&format!("output-{}", engine()));
    let out = folder.file("out");
    let script = "echo text; stat -L -c '%s %F' /proc/self/fd/3 3>&1 >&2";
    let command = format!(
        "{} run --stdio inherit --engine {} -- sh -c \"{script}\" > {out}",
        env!("CARGO_BIN_EXE_fated"),
        engine()
    );
    let ended = Running::start_program("sh", &["-c", &command]).end().code(0);
    assert_eq!(ended.guests_stderr(), "5 regular file\n");
    let by_name = format!("echo more; stat -c '%i %.Y %s' {out}; stat -L -c '%i %.Y %s' /dev/stdout");
    let command = format!(
        "{} run --stdio inherit --engine {} -- sh -c \"{by_name}\" > {out}",
        env!("CARGO_BIN_EXE_fated"),
        engine()
    );
    Running::start_program("sh", &["-c", &command]).end().code(0);
    let text = std::fs::read_to_string(&out).expect("it is there");
    let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(' ').collect()).collect();
    assert!(lines.len() == 2 && lines[0][0] == lines[1][0], "{text}");
}
