//! The same program with the same seed gives the same on both engines: output, end, and every call with its arguments,
//! addresses and virtual time.

use std::cell::RefCell;
use std::rc::Rc;

use fated_inside::{Engine, Launch};
use fated_kernel::config::{Config, Policy};
use fated_kernel::kernel::{Ending, Kernel};
use fated_kernel::record::Record;
use fated_ptrace::{Captured, Observer, Streams};

const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

/// What can be compared of a run.
#[derive(Debug, PartialEq)]
struct Run {
    ending: Ending,
    output: [String; 2],
    log: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "files that are older than the run have their real times")]
fn config(seed: u64) -> Config {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later than 1970");
    Config {
        seed,
        epoch_ns: EPOCH_NS,
        call_cost_ns: 1000,
        policy: Policy::RoundRobin,
        slice_calls: 200,
        hostname: "fated".into(),
        cpus: 1,
        max_tasks: 1000,
        wait_by_scan: false,
        real_start_ns: now.as_nanos() as i64,
        log: true,
    }
}

/// The environment of all programs. Python must not write its caches: it would change its own input.
fn env() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    [("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("PYTHONDONTWRITEBYTECODE", "1")]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}

fn watched(run: impl FnOnce(Rc<Captured>) -> Ending) -> Run {
    let log = Rc::new(RefCell::new(Vec::new()));
    let sink = log.clone();
    let call = move |record: &Record| {
        let at = record.time_ns - EPOCH_NS;
        sink.borrow_mut().push(format!("{} {at} {:?}", record.tid, record.what));
    };
    let observer = Observer { call: Box::new(call), notice: Box::new(|line| panic!("unexpected notice: {line}")) };
    let outside = Rc::new(Captured::new(b"one\ntwo\n".to_vec(), false, observer));
    let ending = run(outside.clone());
    let output = outside.output().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let log = log.take();
    Run { ending, output, log }
}

fn inside(command: &[&str], seed: u64) -> Run {
    let launch = Launch {
        program: command[0].into(),
        args: command[1..].iter().map(Into::into).collect(),
        env: env(),
        cwd: None,
        placeholders: true,
        cpu: None,
    };
    watched(|outside| {
        let mut engine = Engine::launch(&launch, &config(seed), outside).expect("the engine starts");
        engine.run().expect("the program starts")
    })
}

fn traced(command: &[&str], seed: u64) -> Run {
    let mut launch = fated_ptrace::Launch::new(command[0]);
    launch.args = command[1..].iter().map(Into::into).collect();
    launch.env = env();
    launch.streams = Streams::Placeholders;
    watched(|outside| {
        let kernel = Kernel::new(config(seed), outside.clone());
        let mut engine = fated_ptrace::Engine::launch(&launch, kernel, outside).expect("the engine starts");
        engine.run().expect("the run comes to an end")
    })
}

/// Runs the command on both engines, with two seeds; the exit status and the beginning of the output are known.
#[track_caller]
fn check(command: &[&str], status: i32, output: &str) {
    let there = std::env::split_paths("/usr/bin:/bin").any(|folder| folder.join(command[0]).exists());
    if !there {
        println!("skipped: no {}", command[0]);
        return;
    }
    for seed in [0, 7] {
        let (ours, theirs) = (inside(command, seed), traced(command, seed));
        assert_eq!(ours.ending, Ending::Exited(status << 8), "{command:?}: {:?}", ours.output);
        assert!(ours.output[0].starts_with(output), "{command:?} gave {:?}", ours.output);
        let first = ours.log.iter().zip(&theirs.log).position(|(a, b)| a != b);
        if let Some(at) = first {
            let before = at.saturating_sub(3);
            panic!(
                "{command:?} with seed {seed}, call {at}:\n{}\ninside:\n{}\nptrace:\n{}",
                ours.log[before..at].join("\n"),
                ours.log[at],
                theirs.log[at]
            );
        }
        assert_eq!(ours, theirs, "{command:?} with seed {seed}");
    }
}

#[test]
fn static_programs() {
    check(&["busybox", "true"], 0, "");
    check(&["busybox", "false"], 1, "");
    check(&["busybox", "echo", "hello"], 0, "hello\n");
    check(&["busybox", "cat"], 0, "one\ntwo\n");
    check(&["busybox", "sh", "-c", "echo $$ $((6 * 7))"], 0, "");
}

#[test]
fn dynamic_programs() {
    check(&["true"], 0, "");
    check(&["ls", "/"], 0, "");
    check(&["date", "-u", "+%Y"], 0, "2026\n");
    check(&["wc", "-l"], 0, "2\n");
}

#[test]
fn processes_and_pipes() {
    check(&["busybox", "sh", "-c", "busybox false; echo $?"], 0, "1\n");
    check(&["bash", "-c", "echo a | cat | tr a b; exit 3"], 3, "b\n");
    check(&["sh", "-c", "for i in 1 2 3; do echo $i | wc -c; done"], 0, "2\n2\n2\n");
    check(&["sh", "-c", "sleep 1000 & sleep 500; kill $!; wait $!; echo $?"], 0, "143\n");
    check(&["sh", "-c", "/no/such; echo $?"], 0, "127\n");
    check(&["bash", "-c", "trap 'echo got it' USR1; kill -USR1 $$; echo done"], 0, "got it\ndone\n");
}

#[test]
fn interpreters() {
    check(&["perl", "-e", "print 6 * 7, qq(\\n)"], 0, "42\n");
    check(&["python3", "-c", "print(6 * 7)"], 0, "42\n");
}

#[test]
fn threads_of_one_process() {
    let program = "
import threading, queue
q = queue.Queue()
def work(n):
    for i in range(20): q.put(n)
ts = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in ts: t.start()
for t in ts: t.join()
print(q.qsize())";
    check(&["python3", "-c", program], 0, "80\n");
}

#[test]
fn spawned_processes() {
    let program = "
import subprocess, os
print(subprocess.run(['echo', 'hi'], capture_output=True).stdout)
try: subprocess.run(['/no/such'])
except FileNotFoundError as e: print(e.errno)
try: os.posix_spawn('/no/such', ['x'], {})
except FileNotFoundError as e: print(e.errno)";
    check(&["python3", "-c", program], 0, "b'hi\\n'\n2\n2\n");
}

#[test]
fn faults_are_guest_signals() {
    let program = "
import signal, ctypes, os
pid = os.fork()
if pid == 0:
    ctypes.string_at(16)
print(os.waitpid(pid, 0)[1] & 127)";
    check(&["python3", "-c", program], 0, "11\n");
}

#[test]
fn bad_pointers_give_efault() {
    let program = "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.pipe(ctypes.c_void_p(16)), ctypes.get_errno())
arena = 0x100000200000
print(libc.pipe(ctypes.c_void_p(arena)), ctypes.get_errno())";
    check(&["python3", "-c", program], 0, "-1 14\n-1 14\n");
}
