//! Sources of chance, one a test: what a guest sees of each is the same in two runs, whatever differs around them. The program is
//! `same.c`; docs/DETERMINISM.md names the sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use crate::Test;
use crate::fated::{Folder, Outcome, Running, engine};

pub const TESTS: &[Test] = &[
    ("same_start", &["cc", "nice"], || same("start")),
    ("same_registers", &["cc", "nice"], registers),
    ("same_instructions", &["cc", "nice"], || same("instructions")),
    ("same_time", &["cc", "nice"], || same("passing")),
    ("same_order", &["cc", "nice"], || same("order")),
    ("same_ids", &["cc", "nice"], || same("ids")),
    ("same_random_bytes", &["cc", "nice"], random_bytes),
    ("same_memory", &["cc", "nice"], || same("memory")),
    ("same_machine", &["cc", "nice"], || same("machine")),
    ("same_files", &["cc"], files),
    ("same_input_from_a_file", &["cc", "nice"], input),
];

/// Starts its arguments as another shell on a busy machine would: with signals ignored, limits lowered, a lower priority, and a loop on the processor that ends with this shell.
const DISTURBED: &str = "trap '' INT HUP USR1; ulimit -Sc 0; ulimit -Ss 4096; ulimit -Sn 300
    while kill -0 $$; do :; done 2>/dev/null &
    nice \"$@\"";

static PROGRAM: LazyLock<String> = LazyLock::new(|| compile("same.c", &["-O1", "-pthread"]));
static REGISTERS: LazyLock<String> = LazyLock::new(|| compile("registers.s", &["-nostdlib", "-static"]));

/// Compiles a file beside this one; returns the path of the program.
fn compile(source: &str, options: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(source);
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{source}.out"));
    let output = Command::new("cc").args(options).arg("-o").arg(&program).arg(path).output().expect("cc is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program.to_str().expect("cargo's directory has a plain name").to_owned()
}

/// The arguments of fated for a run of `words` on this thread's engine, in an empty environment.
fn arguments<'a>(options: &[&'a str], words: &[&'a str]) -> Vec<&'a str> {
    [&["run", "--engine", engine(), "--clear-env"], options, &["--"], words].concat()
}

/// The same under [`DISTURBED`].
#[track_caller]
fn disturbed(options: &[&str], words: &[&str]) -> Outcome {
    let shell = ["-c", DISTURBED, "sh", env!("CARGO_BIN_EXE_fated")];
    Running::start_program("sh", &[&shell[..], &arguments(options, words)].concat()).end()
}

#[track_caller]
fn undisturbed(options: &[&str], words: &[&str]) -> Outcome {
    Running::start(&arguments(options, words)).end()
}

/// Both runs end with 0 and print the same, which is not nothing.
#[track_caller]
fn equal(one: Outcome, other: &Outcome) -> String {
    let one = one.code(0);
    assert_eq!(one, *other);
    assert!(!one.stdout.is_empty());
    one.stdout
}

#[track_caller]
fn same(kind: &str) {
    let words = [PROGRAM.as_str(), kind];
    equal(undisturbed(&[], &words), &disturbed(&[], &words));
}

/// At a program's first instruction all registers are zero but the stack pointer, as natively; the floating-point state is initial.
fn registers() {
    let words = [REGISTERS.as_str()];
    let shown = equal(undisturbed(&[], &words), &disturbed(&[], &words));
    let (general, state) = shown.as_bytes().split_at(15 * 8);
    assert!(general.iter().all(|&byte| byte == 0), "{general:?}");
    // The flags: interrupts are on, and the bit that always is.
    assert!(state.starts_with(&[0x02, 0x02]), "{state:?}");
}

fn random_bytes() {
    let words = [PROGRAM.as_str(), "random"];
    let one = equal(undisturbed(&["--seed", "1"], &words), &disturbed(&["--seed", "1"], &words));
    let other = undisturbed(&["--seed", "2"], &words).code(0).stdout;
    for (one, other) in one.lines().zip(other.lines()).filter(|(line, _)| !line.starts_with("--")) {
        assert_ne!(one, other, "another seed gives the same");
    }
}

/// Two folders with the same content, filled in another order.
fn files() {
    let (one, other) = (Folder::new("files"), Folder::new("files-in-another-order"));
    let names = ["a", "b", "c", "dir", "e", "f", "g"];
    names.iter().for_each(|name| fill(&one, name));
    names.iter().rev().for_each(|name| fill(&other, name));
    let show = |folder: &Folder| {
        set_time(folder.path(), 1);
        undisturbed(&["--cwd", folder.path()], &[PROGRAM.as_str(), "files"])
    };
    equal(show(&one), &show(&other));
}

/// A file or folder that was changed at a time that its name says.
fn fill(folder: &Folder, name: &str) {
    let path = folder.file(name);
    if name == "dir" {
        fs::create_dir(&path).expect("the directory is ours");
    } else {
        fs::write(&path, name.repeat(7000)).expect("the directory is ours");
    }
    set_time(&path, name.as_bytes()[0]);
}

fn set_time(path: &str, seconds: u8) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(seconds));
    fs::File::open(path).and_then(|file| file.set_modified(time)).expect("it is ours");
}

/// A file is read in the same parts at the same times; what comes through a pipe isn't.
fn input() {
    let folder = Folder::new("input");
    let file = folder.write("input", "x".repeat(100_000));
    let words = [PROGRAM.as_str(), "input"];
    let from_file = |script: &str| {
        let shell = ["-c", script, &file, env!("CARGO_BIN_EXE_fated")];
        Running::start_program("sh", &[&shell[..], &arguments(&[], &words)].concat()).end()
    };
    let disturbed = format!("exec <\"$0\"; {DISTURBED}");
    equal(from_file("exec \"$@\" <\"$0\""), &from_file(&disturbed));
}
