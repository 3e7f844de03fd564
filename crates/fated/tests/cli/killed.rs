//! fated is killed at a random moment by any signal, and no process of the run is left.
//!
//! Every process of a run has the standard error of fated, or a copy of it. So the reader of that pipe sees its end when all are gone.
//!
//! `FATED_KILLS` says how many kills each engine gets (24), `FATED_KILLS_SEED` chooses the moments (printed if unset).

use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Test;
use crate::fated::{LIMIT, engine, kill};

pub const TESTS: &[Test] = &[("killed_at_any_moment", &["bash"], killed_at_any_moment)];

/// Signals that end a process by default.
const SIGNALS: [&str; 12] =
    ["KILL", "ALRM", "USR1", "TERM", "HUP", "PIPE", "SEGV", "USR2", "INT", "QUIT", "ABRT", "VTALRM"];

/// Forks, starts programs and makes threads without an end. Standard error stays what it is.
const WORKLOAD: &str = "while :; do
    true & /bin/true & sh -c ': & wait' &
    command -v python3 && python3 -S -c 'import _thread, os
for i in range(4): _thread.start_new_thread(os.getpid, ())
os.fork()'
done >/dev/null";

/// How long after the start fated is killed at the latest.
const LATEST: Duration = Duration::from_millis(500);
/// How often a signal is sent that fated ignores or passes on to its guests, before it is killed for good.
const TIMES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// xorshift64*
fn draw(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
}

fn killed_at_any_moment() {
    let kills = variable("FATED_KILLS").unwrap_or(24);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |it| u64::from(it.subsec_nanos()));
    let seed = variable("FATED_KILLS_SEED").unwrap_or(now);
    println!("FATED_KILLS={kills} FATED_KILLS_SEED={seed}");
    let mut state = seed | 1 << 40;
    for (number, signal) in (0..kills).zip(SIGNALS.iter().cycle()) {
        // The start is where most can go wrong, so early moments are more frequent.
        let part = (draw(&mut state) % 1000) as u32;
        let after = LATEST * part / 1000 * part / 1000;
        let left = kill_one(signal, after);
        assert!(left.is_empty(), "kill {number} by {signal} after {after:?} (seed {seed}) left {left:?}");
    }
}

/// Kills a run. Returns the processes that are left.
fn kill_one(signal: &str, after: Duration) -> Vec<u32> {
    let mut fated = Command::new("sh");
    // Some of the signals would leave core files.
    fated.args(["-c", "ulimit -c 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_fated")]);
    fated.args(["run", "--engine", engine(), "--max-tasks", "64", "--", "bash", "-c", WORKLOAD]);
    fated.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut fated = fated.spawn().expect("cargo has built it");
    let mut stderr = fated.stderr.take().expect("it is a pipe");
    let pipe = std::fs::read_link(format!("/proc/self/fd/{}", stderr.as_raw_fd())).expect("it is open");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let end = stderr.read_to_end(&mut said);
        // Nobody listens if it took too long.
        let _ = sender.send(end.map(drop));
    });
    std::thread::sleep(after);
    end(&mut fated, signal);
    if receiver.recv_timeout(LIMIT).is_ok() {
        return Vec::new();
    }
    let left = holders(&pipe);
    left.iter().for_each(|&pid| kill("KILL", pid));
    left
}

/// Sends the signal until fated is gone.
fn end(fated: &mut Child, signal: &str) {
    for _ in 0..TIMES {
        kill(signal, fated.id());
        std::thread::sleep(PAUSE);
        if fated.try_wait().expect("it is our child").is_some() {
            return;
        }
    }
    fated.kill().expect("it is our child");
    fated.wait().expect("it is our child");
}

/// The other processes that have a file open.
fn holders(file: &std::path::Path) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holds = |pid: &u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|it| it == file)
    };
    pids.filter(|&pid| pid != std::process::id()).filter(holds).collect()
}
