//! Linux first: each C program of `linux/` passes on the host's kernel and says the same under fated, on both engines.
//!
//! A program prints what it checks and exits with 1 if anything failed; its output may not depend on chance. A name alone
//! selects it: `cargo test -p fated --test semantics -- futex`.

#![expect(clippy::disallowed_methods, reason = "starts gcc, fated and native programs")]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

/// No program here takes as long as this, in seconds, unless it hangs.
const LIMIT_S: &str = "60";

fn main() -> ExitCode {
    if has_few_descriptors() {
        eprintln!("skipped: descriptors from 1024 on (ulimit -Hn)");
    }
    let arguments = Arguments::from_args();
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/linux");
    let mut trials = Vec::new();
    for entry in fs::read_dir(&programs).expect("the programs lie beside this file") {
        let source = entry.expect("the folder can be read").path();
        if source.extension().is_some_and(|it| it == "c") {
            let name = stem(&source);
            trials.push(Trial::test(name, move || check(&source)));
        }
    }
    trials.sort_by(|one, other| one.name().cmp(other.name()));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("it has an extension").to_string_lossy().into_owned()
}

fn check(source: &Path) -> Result<(), Failed> {
    let program = compile(source)?;
    let program = program.to_str().expect("the target folder has a name of text");
    // These lead a session on a terminal of their own.
    let on_terminal = stem(source).starts_with("terminal");
    if on_terminal && Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped {}: there is no script(1)", stem(source));
        return Ok(());
    }
    let native = passed("natively", &run(&[program], on_terminal))?;
    for engine in ["inside", "ptrace"] {
        let fated = [env!("CARGO_BIN_EXE_fated"), "run", "--stdio", "inherit", "--engine", engine, "--", program];
        let virtual_ = passed(&format!("with --engine {engine}"), &run(&fated, on_terminal))?;
        same(&native, engine, &virtual_)?;
    }
    Ok(())
}

fn compile(source: &Path) -> Result<PathBuf, Failed> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linux");
    fs::create_dir_all(&folder)?;
    let program = folder.join(stem(source));
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-pthread", "-Wall", "-o"]).arg(&program).arg(source);
    let output = gcc.output().map_err(|error| format!("failed to start gcc: {error}"))?;
    if output.status.success() {
        Ok(program)
    } else {
        Err(format!("gcc failed:\n{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

fn run(command: &[&str], on_terminal: bool) -> Output {
    let mut limited = Command::new("timeout");
    limited.args(["-k", "5", LIMIT_S]);
    if on_terminal {
        let line = format!("exec {}", command.join(" "));
        limited.args(["script", "--quiet", "--return", "--command", &line, "/dev/null"]).env("SHELL", "/bin/sh");
    } else {
        limited.args(command);
    }
    limited.stdin(Stdio::null()).env("LC_ALL", "C").env("TZ", "UTC");
    if has_few_descriptors() {
        limited.env("FEW_DESCRIPTORS", "1");
    }
    limited.output().expect("timeout(1) can be started")
}

/// Whether the hard limit leaves less room than a guest may have by its own, and the engine above. Tests of that are left out.
fn has_few_descriptors() -> bool {
    let limit = Command::new("sh").args(["-c", "ulimit -Hn"]).output().expect("there is a shell").stdout;
    String::from_utf8_lossy(&limit).trim_end().parse().is_ok_and(|limit: u32| limit < 4099)
}

/// Its output, if it has passed.
fn passed(how: &str, output: &Output) -> Result<String, Failed> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let failed: Vec<&str> = stdout.lines().filter(|line| !line.starts_with("ok: ")).collect();
    let last = stdout.lines().last().unwrap_or("nothing");
    let end = match (output.status.code(), output.status.signal()) {
        (Some(124), _) => format!("hangs after {last:?}"),
        (Some(code), _) => format!("exits with {code}"),
        (None, signal) => format!("dies of signal {}", signal.unwrap_or(0)),
    };
    Err(format!("{how} it {end}\n{}\n{stderr}", failed.join("\n")).into())
}

/// Both say the same, in the same order.
fn same(native: &str, engine: &str, virtual_: &str) -> Result<(), Failed> {
    let (mut one, mut other) = (native.lines(), virtual_.lines());
    for number in 1.. {
        match (one.next(), other.next()) {
            (None, None) => break,
            (one, other) if one == other => {}
            (one, other) => {
                let show = |line: Option<&str>| line.unwrap_or("(end)").to_owned();
                return Err(format!("line {number} differs\nnative: {}\n{engine}: {}", show(one), show(other)).into());
            }
        }
    }
    Ok(())
}
