//! Starts fated and finds its guests.

use std::cell::Cell;
use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Nothing here takes as long as this, unless it hangs.
pub const LIMIT: Duration = Duration::from_secs(600);

thread_local! {
    /// The engine of all runs that the test of this thread starts, unless it names one itself.
    static ENGINE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// From now on this thread's runs are on this engine.
pub fn use_engine(engine: Option<&'static str>) {
    ENGINE.set(engine);
}

/// The engine of this thread's runs.
pub fn engine() -> &'static str {
    ENGINE.get().expect("the test is about runs")
}

/// Whether fated itself says this line.
pub fn is_notice(line: &str) -> bool {
    line.starts_with("fated: ")
}

/// How a run of fated ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// As a shell gives it.
    pub code: i32,
    /// What it was killed by.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Checks the exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Outcome {
        assert_eq!(self.code, expected, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks all of standard output.
    #[track_caller]
    pub fn stdout(self, expected: &str) -> Outcome {
        assert_eq!(self.stdout, expected, "stderr:\n{}", self.stderr);
        self
    }

    /// Standard error without what fated itself says, which depends on the machine.
    pub fn guests_stderr(&self) -> String {
        self.stderr.split_inclusive('\n').filter(|line| !is_notice(line)).collect()
    }

    /// Checks that standard error says all of this.
    #[track_caller]
    pub fn says(self, expected: &[&str]) -> Outcome {
        for part in expected {
            assert!(self.stderr.contains(part), "no {part:?} in:\n{}", self.stderr);
        }
        self
    }
}

/// `fated` with these arguments, to its end.
#[track_caller]
pub fn fated(args: &[&str]) -> Outcome {
    with_input(args, "")
}

/// `fated run` with these arguments, to its end.
#[track_caller]
pub fn run(args: &[&str]) -> Outcome {
    fated(&[&["run"], args].concat())
}

/// `fated` with these arguments and this standard input.
#[track_caller]
pub fn with_input(args: &[&str], input: &str) -> Outcome {
    let mut running = Running::start(args);
    let mut stdin = running.child.stdin.take().expect("it is a pipe");
    let input = input.to_owned();
    // A guest that doesn't read it may end before.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap_or(()));
    let outcome = running.end();
    writer.join().expect("it can't fail");
    outcome
}

/// A fated, or a program that starts one. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    args: Vec<String>,
}

impl Running {
    /// Starts it.
    #[track_caller]
    pub fn start(args: &[&str]) -> Running {
        let args: Vec<&str> = match (args, ENGINE.get()) {
            (["run", rest @ ..], Some(engine)) if !rest.contains(&"--engine") => {
                ["run", "--engine", engine].iter().chain(rest).copied().collect()
            }
            _ => args.to_vec(),
        };
        Running::start_program(env!("CARGO_BIN_EXE_fated"), &args)
    }

    /// Starts something else.
    #[track_caller]
    pub fn start_program(program: &str, args: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.args(args).env("FATED_TEST_VARIABLE", "inherited").env("TZ", "UTC").env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        close_others(&mut command);
        let child = command.spawn().expect("it is installed, or cargo has built it");
        Running { child, args: args.iter().map(|&arg| arg.to_owned()).collect() }
    }

    /// Its standard input.
    #[track_caller]
    pub fn input(&mut self) -> &mut std::process::ChildStdin {
        self.child.stdin.as_mut().expect("it is a pipe")
    }

    /// Waits until a guest has written a line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        loop {
            let line = self.any_line();
            // On a terminal, both write to the same.
            if !is_notice(&line) {
                return line;
            }
        }
    }

    #[track_caller]
    fn any_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.child.stdout.as_mut().expect("it is a pipe");
        // Without a buffer, so that nothing behind the line is lost.
        let mut byte = [0];
        while stdout.read(&mut byte).expect("a pipe can be read") == 1 && byte != *b"\n" {
            line.push(char::from(byte[0]));
        }
        line
    }

    /// Waits until something has come on standard error, and returns its first line.
    #[track_caller]
    pub fn error_line(&mut self) -> String {
        let stderr = self.child.stderr.as_mut().expect("it is a pipe");
        let mut line = String::new();
        let mut byte = [0];
        while stderr.read(&mut byte).expect("a pipe can be read") == 1 && byte != *b"\n" {
            line.push(char::from(byte[0]));
        }
        line
    }

    /// From now on nobody reads standard output.
    pub fn close_output(&mut self) {
        drop(self.child.stdout.take());
    }

    /// Sends a signal to fated itself.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        kill(signal, self.child.id());
    }

    /// Closes standard input and waits for the end.
    #[track_caller]
    pub fn end(mut self) -> Outcome {
        drop(self.child.stdin.take());
        self.end_later()
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end_later(mut self) -> Outcome {
        let stderr = self.child.stderr.take().expect("it is a pipe");
        let stderr = std::thread::spawn(move || text(stderr));
        let stdout = self.child.stdout.take();
        let stdout = std::thread::spawn(move || stdout.map_or_else(String::new, text));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "fated hangs: {:?}", self.args);
            std::thread::sleep(Duration::from_millis(2));
        };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("it has ended");
        let [stdout, stderr] = [stdout, stderr].map(|it| it.join().expect("a pipe can be read"));
        Outcome { code, signal: status.signal(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the tests themselves have inherited isn't for those that they start.
fn close_others(command: &mut Command) {
    let close = || {
        // SAFETY: takes numbers.
        unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
        Ok(())
    };
    // SAFETY: it makes a system call only, as the child of a process with threads has to.
    unsafe { command.pre_exec(close) };
}

fn text(from: impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    BufReader::new(from).read_to_end(&mut bytes).expect("a pipe can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// kill(1).
#[track_caller]
pub fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", signal, "--", &pid.to_string()]).status().expect("kill is there");
    assert!(status.success(), "failed to send {signal} to {pid}");
}

/// A word that no other process has among its arguments.
#[derive(Debug)]
pub struct Marker(String);

impl Marker {
    pub fn new() -> Marker {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Marker(format!("fated-marker-{}-{}-", std::process::id(), COUNT.fetch_add(1, Relaxed)))
    }

    pub fn word(&self) -> &str {
        &self.0
    }

    /// The processes that have the word among their arguments, but for fated itself.
    pub fn guests(&self) -> Vec<u32> {
        let processes = fs::read_dir("/proc").expect("/proc is there").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &u32| {
            // Whoever has gone meanwhile has no arguments.
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = arguments.split(|&byte| byte == 0);
            let is_fated = arguments.next() == Some(env!("CARGO_BIN_EXE_fated").as_bytes());
            !is_fated && arguments.any(|it| it == self.0.as_bytes())
        })
        .collect()
    }

    /// Waits until none is left; what was killed may need a moment to go.
    #[track_caller]
    pub fn gone(&self) {
        let start = Instant::now();
        while !self.guests().is_empty() {
            assert!(start.elapsed() < LIMIT, "guests are left: {:?}", self.guests());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A directory of its own, removed at the end.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("cargo's directory is ours");
        Folder(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("cargo's directory has a plain name")
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }

    /// Writes a file; returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        fs::write(&path, content).expect("the directory is ours");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a test needs that starts fated as somebody else.
pub const ANOTHER_USER: &str = "right to start fated as another user";

/// What a test needs that runs fated where files in memory can't be executed.
pub const HARDENED: &str = "right to forbid that files in memory are executed";

/// Runs fated where files in memory can't be executed (memfd_create(2), `vm.memfd_noexec`).
#[track_caller]
pub fn hardened(args: &[&str]) -> Outcome {
    let script = "echo 2 >/proc/sys/vm/memfd_noexec || exit 99; exec \"$@\"";
    let unshare = ["--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_fated")];
    Running::start_program("unshare", &[&unshare[..], args].concat()).end()
}

/// Runs a command as a user who has nothing else.
#[track_caller]
pub fn as_user(command: &[&str]) -> Outcome {
    let user = ["--reuid=61234", "--regid=61234", "--clear-groups"];
    Running::start_program("setpriv", &[&user[..], command].concat()).end()
}

/// Whether a command is there, or something else that a test needs.
pub fn is_there(need: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_installed = |command: &str| std::env::split_paths(&path).any(|folder| folder.join(command).exists());
    match need {
        ANOTHER_USER => is_installed("setpriv") && as_user(&[env!("CARGO_BIN_EXE_fated"), "--version"]).code == 0,
        HARDENED => is_installed("unshare") && hardened(&["--version"]).code == 0,
        command => is_installed(command),
    }
}
