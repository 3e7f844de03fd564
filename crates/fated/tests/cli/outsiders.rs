//! Locks that somebody outside of the run holds are waited for, in real time.

use crate::Test;
use crate::fated::{Folder, Running, engine, run};

pub const TESTS: &[Test] = &[
    ("outsider_with_a_lock_of_flock", &["bash", "flock"], || waits("flock", "flock -x l -c", "flock l echo got")),
    ("outsider_with_a_lock_of_fcntl", &["bash", "python3"], fcntl),
    ("outsider_beside_other_waiters", &["bash", "flock"], beside_others),
    ("lock_that_only_guests_hold", &["flock"], guests_alone),
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
