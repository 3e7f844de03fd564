//! Descriptors from 3 on: guests inherit what an exec would leave open, and nothing of fated's own.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::Test;
use crate::fated::{Folder, Outcome, Running, engine};

pub const TESTS: &[Test] = &[
    ("inherited_process_substitution", &["bash"], process_substitution),
    ("inherited_files", &["bash"], files),
    ("inherited_pipes", &["bash"], pipes),
    ("inherited_nothing_of_fated", &["bash"], nothing_of_fated),
    ("inherited_devices", &["bash", "perl", "od"], devices),
    ("inherited_device_node_of_the_host", &["bash", "perl", "mknod"], device_node),
    ("inherited_what_guests_can_not_have", &["perl"], left_out),
    ("inherited_in_two_runs", &["bash"], two_runs),
    ("inherited_from_a_journal", &["bash"], journal),
    ("inherited_high_numbers", &["bash"], high_numbers),
];

/// A command of bash in a folder that has a `file`. FATED stands for `fated` and its options.
#[track_caller]
fn bash(folder: &Folder, command: &str) -> Outcome {
    folder.write("file", "one\ntwo\n");
    let fated = env!("CARGO_BIN_EXE_fated");
    let command = command.replace("FATED run", &format!("{fated} run --engine {}", engine()));
    let command = command.replace("FATED replay", &format!("{fated} replay --engine {}", engine()));
    let command = format!("cd {}; {command}", folder.path());
    Running::start_program("bash", &["-c", &command]).end()
}

#[track_caller]
fn in_bash(command: &str) -> Outcome {
    // Tests may run at the same time.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    bash(&Folder::new(&format!("inherited-{}", COUNT.fetch_add(1, Relaxed))), command)
}

fn process_substitution() {
    in_bash("FATED run -- cat <(echo hi) <(echo ho)").code(0).stdout("hi\nho\n");
    in_bash("FATED run -- sh -c 'echo out >\"$1\"' sh >(cat); wait $!").code(0).stdout("out\n");
}

fn files() {
    in_bash("FATED run -- sh -c 'cat <&3' 3<file").code(0).stdout("one\ntwo\n");
    // It is one open file, so it has one position.
    in_bash("{ FATED run -- sh -c 'read x <&3; echo $x'; cat <&3; } 3<file").code(0).stdout("one\ntwo\n");
    in_bash("FATED run -- sh -c 'echo first >&4; exec 5>&4; echo more >&5' 4>out; cat out").stdout("first\nmore\n");
    in_bash("FATED run -- sh -c 'ls -d /proc/self/fd/3/file' 3<.").code(0).stdout("/proc/self/fd/3/file\n");
    // What is written becomes newer.
    in_bash("FATED run -- sh -c 'touch a; sleep 1; echo x >&3; test out -nt a && echo newer' 3>out").stdout("newer\n");
    // So do the standard streams.
    in_bash("FATED run -- sh -c 'exec 5<&0; cat <&5' <file").code(0).stdout("one\ntwo\n");
}

fn pipes() {
    in_bash("echo in | FATED run -- sh -c 'read x <&7; echo got $x >&8' 7<&0 8>&1 </dev/null | cat").stdout("got in\n");
    // Input that comes later, in both directions.
    let command = "mkfifo a b; (exec <a >b; read x; echo \"$x there\") &
        FATED run -- sh -c 'echo hi >&4; read x <&3; echo $x' 4>a 3<b";
    in_bash(command).code(0).stdout("hi there\n");
    in_bash("FATED run -- sh -c 'exec 4>&1; echo x >&3; echo $?' 3< <(sleep 0.1) 2>/dev/null").stdout("1\n");
}

fn nothing_of_fated() {
    let list = "FATED run --log log --record journal -- bash -c 'echo /proc/self/fd/*'";
    in_bash(list).code(0).stdout("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n");
    let also = "FATED run --log log --record journal -- bash -c 'echo /proc/self/fd/*' 4<file";
    in_bash(also).stdout("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3 /proc/self/fd/4\n");
}

fn devices() {
    in_bash("FATED run -- sh -c 'echo lost >&3; cat <&3; head -c 3 <&4 | od -An -tx1' 3<>/dev/null 4</dev/zero")
        .code(0)
        .stdout(" 00 00 00\n");
    let random = || in_bash("FATED run -- sh -c 'head -c 8 <&3 | od -An -tx1' 3</dev/urandom").code(0).stdout;
    assert_eq!(random(), random());
    in_bash("FATED run --verify -- sh -c 'head -c 2 <&3 | od -An -tx1' 3</dev/zero").code(0).stdout(" 00 00\n");
}

/// A node of its own, so that nothing happens to the host's if this fails.
fn device_node() {
    let folder = Folder::new(&format!("inherited-node-{}", engine()));
    let made = bash(&folder, "mknod -m 666 null c 1 3 && echo >null");
    if made.code != 0 {
        println!("inherited_device_node_of_the_host is skipped: it takes the right to make and use a node");
        return;
    }
    let script = "open F, \"+<&=3\" or die; chmod 0600, *F; chown 12, 12, *F; truncate F, 0; utime 1, 1, *F; \
                  chmod 0600, \"/proc/self/fd/3\"";
    bash(&folder, &format!("FATED run -- perl -e '{script}' 3<>null; stat -c '%a %u' null")).stdout("666 0\n");
}

fn left_out() {
    let script = "use Socket; socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, 0 or die; $^F = 100; \
                  open my $status, '<', '/proc/self/status' or die; fcntl $a, 2, 0; \
                  exec @ARGV";
    let fated = ["run", "--engine", engine(), "--", "sh", "-c", "echo /proc/self/fd/*"];
    let args = [&["-e", script, env!("CARGO_BIN_EXE_fated")], &fated[..]].concat();
    let outcome = Running::start_program("perl", &args).end().code(0);
    assert!(!outcome.stdout.contains("/5"), "{}", outcome.stdout);
    outcome.says(&["don't inherit", "3 (a socket)", "5 (a file of the real /proc or /sys)"]);
}

fn two_runs() {
    in_bash(
        "FATED run --verify -- bash -c 'cat <&3 <&9; cat <&9; echo x >&4; echo y >&5' 3<file 9< <(echo hi) 4>out 5>&1",
    )
    .code(0)
    .stdout("hi\ny\n")
    .says(&["the same"]);
    in_bash("FATED run --verify -- sh -c 'cat <&3' 3<file").code(0).stdout("one\ntwo\n").says(&["the same"]);
    // As make's jobserver: this input has no end.
    in_bash("coproc cat; exec 4<&${COPROC[0]}; mkfifo f; FATED run --verify -- sh -c 'cat <&3' 3<>f")
        .says(&["--verify closes what is open as 3", "no end"]);
}

fn journal() {
    let folder = Folder::new(&format!("inherited-journal-{}", engine()));
    let guest = "sh -c 'cat <&3; cat <&4; echo out >&5; head -c 4 <&6 >/dev/null'";
    let others = "5> >(cat) 6</dev/zero; wait $!";
    let record = format!("FATED run --record j -- {guest} 3< <(echo pipe) 4<file {others}");
    bash(&folder, &record).code(0).stdout("pipe\none\ntwo\nout\n");
    bash(&folder, &format!("FATED replay j 4<file {others}")).code(0).stdout("pipe\none\ntwo\nout\n");
    // All but files needn't be there.
    bash(&folder, "FATED replay j 4<file").code(0).stdout("pipe\none\ntwo\n");
    bash(&folder, "FATED replay j").code(125).says(&["its stream 4 was the file", "redirect it again"]);
}

/// Those of the engines are out of the way.
fn high_numbers() {
    in_bash(
        "FATED run -- bash -c 'cat <&46; cat <&47; cat <&61; cat <&62; (cat <&63); cat <&1000' \
             46< <(echo a) 47<file 61< <(echo b) 62< <(echo c) 63< <(echo d) 1000< <(echo e)",
    )
    .code(0)
    .stdout("a\none\ntwo\nb\nc\nd\ne\n");
    in_bash("ulimit -n 1024; FATED run -- true 1022<file").code(0).says(&["1022 (beyond the limit"]);
}
