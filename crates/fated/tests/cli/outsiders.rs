//! Who is outside of the run: locks that somebody holds, and the other ends of named pipes, are waited for in real time.

use crate::Test;
use crate::fated::{Folder, Running, engine, fated, run};

pub const TESTS: &[Test] = &[
    ("outsider_with_a_lock_of_flock", &["bash", "flock"], || waits("flock", "flock -x l -c", "flock l echo got")),
    ("outsider_with_a_lock_of_fcntl", &["bash", "python3"], fcntl),
    ("outsider_beside_other_waiters", &["bash", "flock"], beside_others),
    ("lock_that_only_guests_hold", &["flock"], guests_alone),
    ("outsider_who_writes_to_a_fifo", &["bash", "mkfifo"], writer),
    ("outsider_who_reads_a_fifo", &["bash", "mkfifo"], reader),
    ("outsider_who_comes_again", &["bash", "mkfifo"], again),
    ("fifo_that_guests_open_later", &["mkfifo", "timeout"], fifo_of_guests),
    ("fifo_whose_wait_a_user_ends", &["mkfifo"], ended),
    ("fifo_that_takes_long", &["bash", "mkfifo"], patient),
];

/// `holder` takes a lock, tells of it, and holds it until the run has been waiting for a while. Whoever is first, the guest gets the
/// lock, and prints `got`.
#[track_caller]
fn waits(name: &str, holder: &str, guest: &str) {
    let folder = Folder::new(&format!("outsiders-{name}-{}", engine()));
    let script = format!(
        "cd {}; rm -f held go; mkfifo held go; exec 7<>held 8<>go
         {holder} 'echo >&7; read x <&8' & read x <&7
         {} run --engine {} -- {guest} 7>&- 8>&- & sleep 0.3; echo >&8; wait $!",
        folder.path(),
        env!("CARGO_BIN_EXE_fated"),
        engine(),
    );
    Running::start_program("bash", &["-c", &script]).end().code(0).stdout("got\n");
}

fn fcntl() {
    let lock = "import fcntl, os, sys; f = open(\"l\", \"w\"); fcntl.lockf(f, fcntl.LOCK_EX); ";
    let holder = format!("python3 -c '{lock}os.system(sys.argv[1])'");
    waits("fcntl", &holder, &format!("python3 -c '{lock}print(\"got\")'"));
}

/// Others wait for the lock, for time and for a child: all goes on once it is free.
fn beside_others() {
    let guest = "sh -c '(sleep 100; echo slept >&2) & for i in 1 2 3; do flock l true & done; wait; echo got'";
    waits("beside", "flock -x l -c", guest);
}

/// Nobody outside can end that.
fn guests_alone() {
    let folder = Folder::new(&format!("outsiders-alone-{}", engine()));
    run(&["--cwd", folder.path(), "sh", "-c", "exec 3>a; flock 3; flock a true"])
        .code(124)
        .says(&["flock(4 <", "/a>, 0x2)"]);
}

/// Somebody outside does `outside` to the named pipe `p` while a guest does `guest`, whoever is first; what both print. Then the same
/// from the journal, with nobody outside.
#[track_caller]
fn meet(name: &str, outside: &str, guest: &str, expected: [&str; 2]) {
    let folder = Folder::new(&format!("outsiders-{name}-{}", engine()));
    for delay in ["0", "0.3"] {
        let script = format!(
            "cd {}; rm -f p; mkfifo p; (sleep {delay}; {outside}) & {} run --engine {} --cwd . --record j -- {guest}; status=$?; wait; \
             exit $status",
            folder.path(),
            env!("CARGO_BIN_EXE_fated"),
            engine(),
        );
        Running::start_program("bash", &["-c", &script]).end().code(0).stdout(expected[0]);
        let journal = folder.file("j");
        fated(&["replay", "--engine", engine(), &journal]).code(0).stdout(expected[1]);
    }
}

fn writer() {
    meet("writer", "echo hello >p", "sh -c 'read x <p; echo got $x; date +%s'", ["got hello\n1767225600\n"; 2]);
    let guest = "sh -c 'cat p | tr a-z A-Z; sleep 100; echo over'";
    meet("writer-in-pieces", "(echo one; sleep 0.2; echo two) >p", guest, ["ONE\nTWO\nover\n"; 2]);
}

fn reader() {
    meet("reader", "wc -l <p", "sh -c 'seq 20000 >p'", ["20000\n", ""]);
    // One that goes away.
    let guest = "sh -c 'trap \"\" PIPE; exec 3>p; while echo x >&3; do :; done 2>/dev/null; echo gone'";
    meet("reader-away", "head -c 1 <p >/dev/null", guest, ["gone\n"; 2]);
}

fn again() {
    let outside = "for i in 1 2 3; do echo $i >p; read x <p; echo $x; done";
    let guest = "sh -c 'for i in 1 2 3; do read x <p; echo got $x >p; done'";
    meet("again", outside, guest, ["got 1\ngot 2\ngot 3\n", ""]);
}

/// Guests come first, and so do their timers.
fn fifo_of_guests() {
    let folder = Folder::new(&format!("outsiders-own-{}", engine()));
    Running::start_program("mkfifo", &[&folder.file("p")]).end().code(0);
    let at = ["--cwd", folder.path(), "sh", "-c"];
    run(&[&at[..], &["cat p & sleep 100; echo hello >p; wait"]].concat()).code(0).stdout("hello\n");
    run(&[&at[..], &["timeout 3 cat p; echo $?; timeout 3 sh -c 'echo >p'; echo $?"]].concat())
        .code(0)
        .stdout("124\n124\n");
    // In the run's own directory nobody is outside.
    run(&["sh", "-c", "d=$(mktemp -d) && mkfifo $d/p && cat $d/p"]).code(124).says(&["waits for something"]);
}

/// Who waits for somebody outside for some seconds isn't taken for one who computes.
fn patient() {
    let folder = Folder::new(&format!("outsiders-patient-{}", engine()));
    let script = format!(
        "cd {}; mkfifo p; (sleep 6; echo late >p) & {} run --engine {} --spin-limit 1 --cwd . cat p; wait",
        folder.path(),
        env!("CARGO_BIN_EXE_fated"),
        engine(),
    );
    let outcome = Running::start_program("bash", &["-c", &script]).end().code(0).stdout("late\n");
    assert_eq!(outcome.stderr, "");
}

/// The user's signal ends the wait.
fn ended() {
    let folder = Folder::new(&format!("outsiders-ended-{}", engine()));
    Running::start_program("mkfifo", &[&folder.file("p")]).end().code(0);
    let mut waiting =
        Running::start(&["run", "--engine", engine(), "--cwd", folder.path(), "sh", "-c", "echo ready; read x <p"]);
    assert_eq!(waiting.line(), "ready");
    waiting.signal("INT");
    waiting.end().code(130);
}
