//! What goes wrong: nothing hangs, nothing is left, and the message says what happened.

use crate::Test;
use crate::fated::{ANOTHER_USER, Folder, HARDENED, Marker, Running, as_user, engine, hardened, kill, run};

pub const TESTS: &[Test] = &[
    ("killed_fated_leaves_no_guest", &[], killed_fated_leaves_no_guest),
    ("guest_killed_from_outside", &[], guest_killed_from_outside),
    ("signals_for_fated", &[], signals_for_fated),
    ("guest_that_blocks_all_signals", &["perl"], guest_that_blocks_all_signals),
    ("guest_that_closes_all_descriptors", &["perl"], guest_that_closes_all_descriptors),
    ("limit_of_tasks", &["perl"], limit_of_tasks),
    ("fork_bomb", &["perl"], fork_bomb),
    ("guest_that_spins", &["perl"], guest_that_spins),
    ("guest_that_computes", &["perl"], guest_that_computes),
    ("deadlock", &["perl"], deadlock),
    ("deadlock_by_a_lock", &["perl"], deadlock_by_a_lock),
    ("deadlock_in_own_tmp", &["perl"], deadlock_in_own_tmp),
    ("stopped_guest", &[], stopped_guest),
    ("orphans_end_with_the_run", &[], orphans),
    ("fated_under_fated", &[], fated_under_fated),
    ("old_linux", &["setarch"], old_linux),
    ("machine_that_suits_one_engine", &[HARDENED], machine_that_suits_one_engine),
    ("limits_of_the_host", &["setpriv", "prlimit", "perl", ANOTHER_USER], limits_of_the_host),
    ("output_that_nobody_reads", &[], output_that_nobody_reads),
    ("time_of_guests", &["bash", "perl"], time_of_guests),
];

/// Two processes that wait for standard input, once they have said so.
const WAITS: &str = "exec 3<&0; (echo ready; read x <&3) & wait";

#[track_caller]
fn start_waiting(marker: &Marker, options: &[&str]) -> Running {
    let mut running = Running::start(&[&["run"], options, &["sh", "-c", WAITS, marker.word()]].concat());
    assert_eq!(running.line(), "ready");
    assert_eq!(marker.guests().len(), 2, "the marker finds both processes");
    running
}

fn killed_fated_leaves_no_guest() {
    for options in [&[][..], &["--verify", "--stats"]] {
        let marker = Marker::new();
        if options.is_empty() {
            let running = start_waiting(&marker, options);
            running.signal("KILL");
            running.end().code(137);
        } else {
            // With --verify standard input is memory, so that nothing waits for it; it ends by itself.
            let running = Running::start(&[&["run"], options, &["sh", "-c", WAITS, marker.word()]].concat());
            running.end().code(0);
        }
        marker.gone();
    }
}

/// It is named after a while, and the first Ctrl-C ends it although it makes no call at which it could get the signal.
fn guest_that_computes() {
    let mut running = Running::start(&["run", "perl", "-e", "$| = 1; print qq(ready\\n); 1 while 1"]);
    assert_eq!(running.line(), "ready");
    let line = running.error_line();
    assert!(line.contains("perl (pid 2) has run for 5 s without a system call, since 0.0"), "{line}");
    assert!(line.contains(" s of virtual time; "), "{line}");
    running.signal("INT");
    assert_eq!(running.end().signal, Some(2));
    // One that makes calls gets the signal at the next one.
    let mut running = Running::start(&[
        "run",
        "perl",
        "-e",
        "$SIG{INT} = sub { exit 7 }; $| = 1; print qq(ready\\n); kill 0, $$ while 1",
    ]);
    assert_eq!(running.line(), "ready");
    running.signal("INT");
    running.end().code(7);
}

/// One of the two waits for the other, and that one for standard input.
fn guest_killed_from_outside() {
    for which in 0..2 {
        let marker = Marker::new();
        let mut running = start_waiting(&marker, &[]);
        let mut guests = marker.guests();
        guests.sort_unstable();
        kill("KILL", guests[which]);
        // It is seen when its turn comes.
        std::io::Write::write_all(running.input(), b"x\n").unwrap_or(());
        running.end().code(125).says(&["from outside of the run"]);
        marker.gone();
    }
}

fn signals_for_fated() {
    for (signal, code) in [("INT", 130), ("HUP", 129), ("TERM", 143)] {
        let marker = Marker::new();
        let running = start_waiting(&marker, &[]);
        running.signal(signal);
        running.end().code(code);
        marker.gone();
    }
}

fn guest_that_blocks_all_signals() {
    let marker = Marker::new();
    let script = "use POSIX; my $all = POSIX::SigSet->new; $all->fillset; sigprocmask(SIG_BLOCK, $all); $| = 1; \
                  print \"ready\\n\"; <STDIN>";
    let start = || {
        let mut running = Running::start(&["run", "perl", "-e", script, marker.word()]);
        assert_eq!(running.line(), "ready");
        running
    };
    start().end().code(0);
    let running = start();
    running.signal("TERM");
    running.end().code(143);
    let running = start();
    running.signal("KILL");
    running.end().code(137);
    marker.gone();
}

fn guest_that_closes_all_descriptors() {
    run(&["sh", "-c", "exec 0<&- 1>&- 2>&-; echo nowhere; exit 7"]).code(7).stdout("");
    run(&[
        "perl",
        "-e",
        "use POSIX; POSIX::close($_) for 0..1100; my $p = fork; exit 8 if !$p; waitpid $p, 0; exit $? >> 8",
    ])
    .code(8)
    .stdout("");
}

fn limit_of_tasks() {
    let script = "my @c; while (defined(my $p = fork)) { if (!$p) { sleep 1000; exit } push @c, $p } \
                  print scalar(@c), ' ', $!+0, \"\\n\"; kill 9, @c; my $n = 0; $n++ while wait > 0; \
                  my $p = fork; exit if defined($p) && !$p; print $n, ' ', defined($p) ? 'again' : 'never', \"\\n\"";
    // 11 is EAGAIN; the parent is a task as well.
    run(&["--max-tasks", "20", "perl", "-e", script]).code(0).stdout("19 11\n19 again\n");
}

fn fork_bomb() {
    let marker = Marker::new();
    let script = "$| = 1; print \"ready\\n\"; while (1) { fork }";
    let mut running = Running::start(&["run", "--max-tasks", "64", "perl", "-e", script, marker.word()]);
    assert_eq!(running.line(), "ready");
    while marker.guests().len() < 32 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(marker.guests().len() <= 64);
    running.signal("TERM");
    running.end().code(143);
    marker.gone();
}

fn guest_that_spins() {
    let marker = Marker::new();
    let outcome = run(&["--spin-limit", "1", "perl", "-e", "1 while 1", marker.word()]).code(124);
    outcome.says(&["perl", "pid ", "0x", "without a system call", "--spin-limit"]);
    marker.gone();
}

fn deadlock() {
    let marker = Marker::new();
    let script = "pipe(R, W); if (!fork) { sleep 5; wait; <R>; exit } <R>";
    let outcome = run(&["perl", "-e", script, marker.word()]).code(124);
    outcome.says(&["every task waits", "perl in read(3 <pipe:["]);
    marker.gone();
}

fn deadlock_by_a_lock() {
    let folder = Folder::new(&format!("deadlock-{}", engine()));
    let path = folder.write("lock", "");
    let script = "open(F, $ARGV[0]); flock(F, 2); if (!fork) { open(G, $ARGV[0]); flock(G, 2) } wait";
    let outcome = run(&["perl", "-e", script, &path]).code(124);
    outcome.says(&["perl in wait4(-1, 0)", &format!("perl in flock(4 <{path}>")]);
}

/// The run's own `/tmp` is elsewhere on the host, which the report doesn't show. A name in the arguments would be the host's.
fn deadlock_in_own_tmp() {
    let script = "$f = q(/) . 'tmp/lock'; open(F, '>', $f); flock(F, 2); if (!fork) { open(G, $f); flock(G, 2) } wait";
    run(&["perl", "-e", script]).code(124).says(&["perl in flock(4 </tmp/lock>, "]);
}

fn stopped_guest() {
    run(&["sh", "-c", "kill -STOP $$"]).code(124).says(&["stopped"]);
}

fn orphans() {
    let marker = Marker::new();
    run(&["sh", "-c", "sleep 1000000 & exit 6", marker.word()]).code(6);
    marker.gone();
}

/// The simulated kernel has no ptrace, which looks to fated like a machine that forbids it.
fn fated_under_fated() {
    for engine in ["any", "inside", "ptrace"] {
        let args = [env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine, "true"];
        run(&args).code(125).says(&["fated: fated can't run inside of fated"]);
    }
}

/// Linux can say that it is an old one (personality(2), `UNAME26`).
fn old_linux() {
    let args = ["x86_64", "--uname-2.6", env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine(), "true"];
    Running::start_program("setarch", &args).end().code(125).says(&["needs Linux 5.13", "this is 2.6"]);
}

fn machine_that_suits_one_engine() {
    let run = |options: &[&str]| hardened(&[&["run"], options, &["sh", "-c", "echo here; exit 3"]].concat());
    run(&["--engine", "inside"]).code(125).stdout("").says(&["failed to ", "--engine ptrace"]);
    run(&["--engine", "ptrace"]).code(3).stdout("here\n").says(&[]);
    run(&[]).code(3).stdout("here\n").says(&["so this run is traced"]);
    run(&["--verify"]).code(3).stdout("here\n").says(&["so this run is traced", "the same"]);
}

/// As a user who may have few processes: the guest sees EAGAIN where Linux says so, and nothing else changes.
fn limits_of_the_host() {
    let fated = env!("CARGO_BIN_EXE_fated");
    let run = |rest: &[&'static str]| [&[fated, "run", "--engine", engine()], rest].concat();
    as_user(&run(&["--verify", "id", "-u"])).code(0).stdout("61234\n").says(&["the same"]);
    let script = "my @c; while (defined(my $p = fork)) { if (!$p) { sleep 1000; exit } push @c, $p } \
                  print $!+0, @c > 5 && @c < 30 ? ' some' : ' none', \"\\n\"; kill 9, @c; my $n = 0; $n++ while wait > 0; \
                  my $p = fork; exit if defined($p) && !$p; print defined($p) ? 'again' : 'never', \"\\n\"";
    as_user(&[&["prlimit", "--nproc=30:30"], &run(&["perl", "-e", script])[..]].concat())
        .code(0)
        .stdout("11 some\nagain\n");
}

fn output_that_nobody_reads() {
    let mut running = Running::start(&["run", "sh", "-c", "echo ready; while echo more; do :; done; exit 3"]);
    assert_eq!(running.line(), "ready");
    running.close_output();
    // A shell dies of SIGPIPE, as natively.
    running.end().code(141);
}

/// `time fated run` shows the processor time of guests, of children that have exited, too.
fn time_of_guests() {
    let fated = env!("CARGO_BIN_EXE_fated");
    let guest = "if (!fork) { 1 for 1 .. 2e7; exit } wait";
    let script = format!("TIMEFORMAT=%3U; time {fated} run --engine {} -- perl -e '{guest}'", engine());
    let outcome = Running::start_program("bash", &["-c", &script]).end().code(0);
    let user: f64 = outcome.guests_stderr().trim().parse().expect("seconds");
    // Far less than any processor takes for that, and far more than fated itself.
    assert!(user > 0.05, "{user} s");
}
