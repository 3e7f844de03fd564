//! Failures: programs that can't start, guests that are killed from outside, and guests that spin.

use crate::harness::{Scratch, launch, run};
use fated_engine::{Error, Launch, Observer, Standard};
use fated_kernel::host::Ending;
use fated_ptrace::Engine;
use std::fs;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Runs a guest that writes its real id to the file `pid` and then spins without calls. Kills it meanwhile.
fn killed(name: &str, words: &[&str]) -> Ending {
    let scratch = Scratch::new(name);
    let mut launch = launch(words);
    launch.cwd = Some(scratch.0.clone());
    let file = scratch.path("pid");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                if let Some(pid) = fs::read_to_string(&file).ok().and_then(|text| text.trim_end().parse().ok()) {
                    // SAFETY: takes numbers only.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    return;
                }
                std::thread::yield_now();
            }
        });
        let ended = run(&launch);
        over.store(true, Relaxed);
        ended
    })
    .unwrap()
    .0
}

#[test]
fn a_guest_killed_from_outside_ends_the_run() {
    let ending =
        killed("killed", &["dash", "-c", "read -r pid rest < /proc/self/stat; echo $pid > pid; while :; do :; done"]);
    assert_eq!(ending, Ending::Broken("100 was killed by signal 9".into()));
}

/// Linux reports the leader only when its threads have been reaped.
#[test]
fn a_leader_killed_with_its_threads_ends_the_run() {
    let program = "
import os, threading, time
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lock.acquire).start()
time.sleep(0)
open('pid.new', 'w').write(os.readlink('/proc/self'))
os.rename('pid.new', 'pid')
while True: pass
";
    assert!(matches!(killed("killed-leader", &["/usr/bin/python3", "-S", "-c", program]), Ending::Broken(_)));
}

#[test]
fn a_spinning_guest_is_reported() {
    let mut launch = launch(&["sh", "-c", "while :; do :; done"]);
    launch.spin_limit = Some(Duration::from_millis(100));
    match run(&launch) {
        Err(Error::Spins { program, address, .. }) => {
            assert!(program.ends_with("sh"), "{program}");
            assert!(address > 0x1000);
        }
        other => panic!("{other:?}"),
    }
}

/// Whether this thread has children.
fn has_children() -> bool {
    // SAFETY: takes plain values; without a place for the status nothing is written.
    let waited = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL | libc::__WNOTHREAD) };
    waited != -1
}

#[test]
fn nothing_is_left_when_a_run_is_given_up() {
    let mut launch = launch(&["sh", "-c", "(sleep 1000 & while :; do :; done) | cat"]);
    launch.spin_limit = Some(Duration::from_millis(50));
    assert!(matches!(run(&launch), Err(Error::Spins { .. })));
    assert!(!has_children());
}

#[test]
fn nothing_is_left_of_an_engine_that_never_ran() {
    let trace = Rc::new(Observer::default());
    let engine = Engine::launch(
        &launch(&["sleep", "1000"]),
        crate::passthrough::Passthrough::default(),
        Rc::new(Standard::default()),
        trace,
    );
    drop(engine.unwrap());
    assert!(!has_children());
    assert!(run(&Launch::new("/no/such")).is_err());
    assert!(!has_children());
}
