//! The same program with the same seed gives the same on both engines: output, end, and every call with its arguments,
//! addresses and virtual time.

mod compare;

use compare::{Case, config, difference};
use fated_kernel::config::{Config, Policy};
use fated_kernel::host::Ending;

/// Whether there is such a program; says so if not.
fn is_there(program: &str) -> bool {
    let there = std::env::split_paths("/usr/bin:/bin").any(|folder| folder.join(program).exists());
    if !there {
        println!("skipped: no {program}");
    }
    there
}

/// Runs the command on both engines, with two seeds, and once without rewriting and without a log; the exit status and the beginning of the output are known.
#[track_caller]
fn check(command: &[&str], status: i32, output: &str) {
    if !is_there(command[0]) {
        return;
    }
    for (seed, rewrite, log) in [(0, true, true), (7, true, true), (7, false, true), (7, true, false)] {
        let words = command.iter().map(ToString::to_string).collect();
        let config = Config { log, ..config(seed) };
        let case = Case { command: words, cwd: None, config, rewrite };
        let runs = case.both();
        assert_eq!(runs[0].ending, Ending::Exited(status << 8), "{command:?}: {:?}", runs[0].output);
        assert!(runs[0].output[0].starts_with(output), "{command:?} gave {:?}", runs[0].output);
        assert_eq!(difference(&runs), None, "{command:?} with seed {seed}, rewriting: {rewrite}, log: {log}");
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
fn what_programs_are_told_by_their_start() {
    check(&["cat", "/proc/self/maps"], 0, "");
    check(&["busybox", "cat", "/proc/self/maps"], 0, "");
    check(&["sh", "-c", "/lib64/ld-linux-x86-64.so.2 --list /bin/true"], 0, "\tlinux-vdso.so.1 (0x");
    check(&["sh", "-c", "LD_SHOW_AUXV=1 /bin/true"], 0, "AT_SYSINFO_EHDR: ");
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
print(libc.pipe(ctypes.c_void_p(ARENA)), ctypes.get_errno())";
    let program = program.replace("ARENA", &format!("{}", fated_inside::ARENA + (2 << 20)));
    check(&["python3", "-c", &program], 0, "-1 14\n-1 14\n");
}

/// Where V8 and allocators would like their memory, nothing is in their way.
#[test]
fn places_that_programs_ask_for() {
    let program = "
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
PRIVATE_ANONYMOUS_NORESERVE = 0x4022
for bits in range(33, 46):
    at = 1 << bits
    if libc.mmap(at, at // 2, 0, PRIVATE_ANONYMOUS_NORESERVE, -1, 0) != at: print(hex(at))
print('done')";
    check(&["python3", "-c", program], 0, "done\n");
}

/// Readings of the clock that the kernel learns of later: alarms come after the same one of them, and slices end there.
#[test]
fn readings_of_the_clock() {
    let program = "
import hashlib, signal, threading, time
seen = []
def note(*_): seen.append(('alarm', time.monotonic_ns()))
signal.signal(signal.SIGALRM, note)
signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0031)
def work(n):
    for i in range(1500): seen.append((n, time.monotonic_ns(), time.time_ns()))
ts = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for t in ts: t.start()
for t in ts: t.join()
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGPROF, note)
signal.setitimer(signal.ITIMER_PROF, 0.0013, 0.0017)
work(4)
seen.append((time.process_time_ns(), time.thread_time_ns()))
print(len([it for it in seen if it[0] == 'alarm']) > 3, hashlib.md5(repr(seen).encode()).hexdigest())";
    check(&["python3", "-c", program], 0, "True ");
    if !is_there("python3") {
        return;
    }
    for policy in [Policy::Random, Policy::Pct { changes: 3, span: 0 }] {
        let command = ["python3", "-c", program].map(String::from).to_vec();
        let config = Config { log: false, policy, ..config(3) };
        assert_eq!(difference(&Case { command, cwd: None, config, rewrite: true }.both()), None, "{policy:?}");
    }
}
