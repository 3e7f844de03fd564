//! Garbage in every argument of every call that the kernel carries out: nothing panics, nothing hangs, what fails fails with
//! an error that Linux has, and the same seed does the same on the other engine. `garbage.c` makes the calls.
//!
//! `FATED_SEEDS` sets how many seeds are tried (2 if unset).

#![expect(clippy::disallowed_methods, reason = "starts gcc and fated, and reads how often")]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fated_kernel::syscall::table;
use fated_kernel::syscall::table::{Arg, CallInfo, Status};

/// Calls that would do to the host's disk what is asked for; and one whose limit, which doesn't hold for root, counts the memory of the
/// engine inside, too.
const LEFT_OUT: [&str; 7] = ["fallocate", "truncate", "ftruncate", "sync", "syncfs", "sync_file_range", "mlockall"];

#[test]
fn no_argument_breaks_the_kernel() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("garbage");
    fs::create_dir_all(&folder).expect("the folder is ours");
    let program = compile(&folder);
    let seeds = std::env::var("FATED_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(2);
    for seed in 0..seeds {
        let calls: Vec<String> = table::all().iter().filter(|call| is_carried_out(call)).map(describe).collect();
        let first = run(&folder, &program, "inside", seed, &calls);
        let output = String::from_utf8_lossy(&first.stdout);
        let errors = String::from_utf8_lossy(&first.stderr);
        assert!(
            first.status.success() && output.ends_with("done\n"),
            "seed {seed}: {}\n{output}\n{errors}",
            first.status
        );
        assert!(!errors.contains("panicked"), "seed {seed}:\n{errors}");
        let second = run(&folder, &program, "ptrace", seed, &calls);
        let again = String::from_utf8_lossy(&second.stdout);
        let differs = output.lines().zip(again.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}: the engines differ, inside first");
    }
}

fn is_carried_out(call: &CallInfo) -> bool {
    let modelled = matches!(call.status, Status::Modelled | Status::Partial(_));
    (modelled || call.status == Status::Native) && !LEFT_OUT.contains(&call.name)
}

/// `NUMBER:KINDS`, a letter for each argument.
fn describe(call: &CallInfo) -> String {
    let kind = |arg: &Arg| match arg {
        Arg::Fd | Arg::Dir => 'f',
        Arg::Path | Arg::Str | Arg::Strs | Arg::In | Arg::Out | Arg::Ptr => 'p',
        Arg::Pid => 'i',
        Arg::Signal => 's',
        Arg::Clock => 'c',
        Arg::Word => 'w',
        Arg::Len | Arg::Off | Arg::Int | Arg::Uint | Arg::Flags | Arg::Mode | Arg::Id => 'n',
    };
    format!("{}:{}", call.number, call.args.iter().map(kind).collect::<String>())
}

fn compile(folder: &Path) -> PathBuf {
    let program = folder.join("garbage");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/garbage.c");
    let mut gcc = Command::new("gcc");
    let output = gcc.args(["-O1", "-w", "-o"]).arg(&program).arg(source).output().expect("gcc is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Makes the calls in an empty folder.
fn run(folder: &Path, program: &Path, engine: &str, seed: u64, calls: &[String]) -> Output {
    /// Far more than it takes, in seconds.
    const LIMIT_S: &str = "300";
    let world = folder.join("world");
    // What a run before has left may be unreadable or a node of a device, but it is ours.
    let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&world).output();
    let _ = fs::remove_dir_all(&world);
    fs::create_dir(&world).expect("the folder is ours");
    let mut fated = Command::new("timeout");
    fated.args(["-k", "5", LIMIT_S, env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine, "--seed"]);
    fated.arg(seed.to_string()).arg("--");
    fated.arg(program).arg(seed.to_string()).args(calls).current_dir(&world);
    // No other file of the outside is open.
    let close = || {
        // SAFETY: takes numbers.
        unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
        Ok(())
    };
    // SAFETY: it makes a system call only, as the child of a process with threads has to.
    unsafe { fated.pre_exec(close) };
    // Pipes for all three streams: what is done to their modes and sizes is done to nothing else.
    fated.stdin(Stdio::piped()).output().expect("timeout(1) can be started")
}
