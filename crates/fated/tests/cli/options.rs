//! What options do, and what fated exits with.

use crate::Test;
use std::io::Write as _;

use crate::fated::{Folder, Running, engine, fated, is_there, run, with_input};

pub const WITHOUT_A_RUN: &[Test] = &[
    ("help", &[], help),
    ("wrong_use", &[], wrong_use),
    ("wrong_use_is_met_with_advice", &[], wrong_use_is_met_with_advice),
    ("generated_files", &[], generated_files),
];

pub const TESTS: &[Test] = &[
    ("exit_codes", &[], exit_codes),
    ("fated_dies_as_its_guest", &[], fated_dies_as_its_guest),
    ("programs_that_do_not_run", &["perl"], programs_that_do_not_run),
    ("streams", &[], streams),
    ("environment", &[], environment),
    ("directory", &[], directory),
    ("world", &[], world),
    ("seed", &[], seed),
    ("seeds_in_hex", &[], seeds_in_hex),
    ("policies", &[], policies),
    ("policy_that_measures", &["python3"], policy_that_measures),
    ("limits_of_time", &[], limits_of_time),
    ("quiet", &["python3"], quiet),
    ("how_to_repeat_a_failed_run", &["env"], repeated),
    ("spinning", &[], spinning),
    ("stacks_do_not_depend_on_the_order_of_variables", &[], order_of_variables),
];

fn help() {
    let top = fated(&["--help"]).code(0);
    for word in ["Examples:", "run", "bench", "completions", "man"] {
        assert!(top.stdout.contains(word), "no {word:?} in:\n{}", top.stdout);
    }
    let long = fated(&["run", "--help"]).code(0);
    let sections =
        ["The world:", "The program:", "Scheduling and time:", "What to show:", "Inside fated:", "Exit status:"];
    let options = ["--seed", "--epoch", "--hostname", "--env", "--clear-env", "--cwd", "--verify", "--log", "--stats"];
    for word in sections.iter().chain(&options) {
        assert!(long.stdout.contains(word), "no {word:?} in:\n{}", long.stdout);
    }
    let version = fated(&["--version"]).code(0);
    assert_eq!(version.stdout, format!("fated {}\n", env!("CARGO_PKG_VERSION")));
}

/// So that nothing of fated's own looks like a guest's exit status.
fn wrong_use() {
    for args in [
        &[][..],
        &["run"],
        &["run", "--sed", "1", "true"],
        &["run", "--seed", "-1", "true"],
        &["run", "--seed", "abc", "true"],
        &["run", "--seed", "0x", "true"],
        &["ls"],
        &["run", "--epoch", "tomorrow", "true"],
        &["run", "--env", "=x", "true"],
        &["run", "--policy", "fifo", "true"],
        &["run", "--policy", "pct:auto", "true"],
        &["run", "--policy", "pct:3:auto", "--stdio", "inherit", "true"],
        &["run", "--cpus", "0", "true"],
        &["run", "--engine", "magic", "true"],
        &["run", "--cpu", "100000", "true"],
        &["run", "--log", "/nowhere/log", "true"],
        &["run", "--fresh", "/nowhere", "true"],
        &["bench", "wait", "--rounds", "0"],
    ] {
        let outcome = fated(args).code(125).stdout("");
        assert!(!outcome.stderr.is_empty());
    }
}

fn wrong_use_is_met_with_advice() {
    fated(&["run", "--cpu", "9999", "true"])
        .code(125)
        .says(&["failed to run on CPU 9999: EINVAL (Invalid argument); fated may use "]);
    fated(&["ls"]).code(125).says(&["unrecognized subcommand 'ls'", "fated run -- ls"]);
    fated(&["run", "--seed", "abc", "true"]).code(125).says(&["invalid value 'abc'", "a whole number", "0x"]);
}

fn generated_files() {
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete -c fated")] {
        let script = fated(&["completions", shell]).code(0).stdout;
        assert!(script.contains(word) && script.contains("verify"), "{script}");
    }
    let manual = fated(&["man"]).code(0).stdout;
    for word in [".TH fated", "EXIT STATUS", "\\-\\-verify", "FATED RUN", "fated bench wait"] {
        assert!(manual.to_uppercase().contains(&word.to_uppercase()), "no {word:?} in:\n{manual}");
    }
}

fn exit_codes() {
    for code in [0, 1, 2, 42, 123, 255] {
        run(&["sh", "-c", &format!("exit {code}")]).code(code).says(&[]);
    }
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("USR1", 138), ("SEGV", 139)] {
        run(&["sh", "-c", &format!("kill -{signal} $$; exit 3")]).code(code);
    }
}

/// Not only with the code that a shell would make of it: otherwise a shell's loop doesn't end by Ctrl-C.
fn fated_dies_as_its_guest() {
    for signal in ["TERM", "INT", "KILL", "USR1", "SEGV", "PIPE"] {
        let killed = run(&["--", "sh", "-c", &format!("kill -{signal} $$; exit 3")]);
        let natively = std::process::Command::new("sh").args(["-c", &format!("kill -{signal} $$; exit 3")]).status();
        let signal = natively.ok().and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
        assert_eq!(killed.signal, signal);
    }
}

fn programs_that_do_not_run() {
    run(&["--", "/nowhere/at/all"]).code(127).says(&["fated: failed to run /nowhere/at/all"]);
    run(&["--env", "PATH=/usr/bin:/bin", "no-such-program-anywhere"]).code(127);
    run(&["--env", "PATH=/nowhere", "sh"]).code(127).says(&["PATH"]);
    run(&["/etc/passwd"]).code(126).says(&["failed to run /etc/passwd", "chmod"]);
    run(&["/"]).code(126);
    let folder = Folder::new("formats");
    let text = folder.write("garbage", "\x7f\x01\x02 no program at all \x00");
    executable(&text);
    run(&[&text]).code(126);
    let old = folder.write("old", elf32());
    executable(&old);
    run(&[&old]).code(126).says(&["32-bit"]);
    // 59 is execve(2), 8 is ENOEXEC.
    let outcome = run(&["perl", "-e", "syscall(59, $ARGV[0], 0, 0); print $!+0", &old]).code(0).stdout("8");
    outcome.says(&[&format!("a guest has tried to start {old}, a 32-bit program"), "ENOEXEC"]);
    let script = folder.write("script", "#!/nowhere/interpreter\n");
    executable(&script);
    run(&[&script]).code(127).says(&[&script, "names the interpreter /nowhere/interpreter"]);
    let script = folder.write("script", "#!/bin/sh\r\necho\r\n");
    executable(&script);
    run(&[&script]).code(127).says(&["CRLF", "sed -i"]);
    run(&["--env", "PATH=/usr/bin:/bin", "echo hi"]).code(127).says(&["fated run -- sh -c 'echo hi'"]);
    let numbers = "syscall(999); syscall(451); syscall(29, 0, 1, 0)";
    let outcome = run(&["perl", "-e", numbers]).code(0);
    let refused: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains("refused")).collect();
    assert_eq!(
        refused,
        [
            "fated: refused with ENOSYS: shmget (1): not yet: System V IPC",
            "fated: refused with ENOSYS: call 999 (1): fated doesn't know the call",
        ]
    );
    let script = folder.write("script", "#!/bin/sh\necho $# \"$2\"; exit 5\n");
    executable(&script);
    run(&[&script, "a", "b c"]).code(5).stdout("2 b c\n");
    run(&["--cwd", folder.path(), "./script"]).code(5).stdout("0 \n");
}

fn executable(path: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("the file is ours");
}

/// A program for i386 that only exits: a header, one segment, nine bytes of code (elf(5)).
fn elf32() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let code = [0x31, 0xdb, 0x31, 0xc0, 0x40, 0xcd, 0x80, 0xeb, 0xfe];
    let size = HEADERS + 9;
    let mut image = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |image: &mut Vec<u8>, value: u16| image.extend(value.to_le_bytes());
    let word = |image: &mut Vec<u8>, value: u32| image.extend(value.to_le_bytes());
    half(&mut image, 2); // an executable
    half(&mut image, 3); // for i386
    for value in [1, BASE + HEADERS, 52, 0, 0] {
        word(&mut image, value);
    }
    for value in [52, 32, 1, 0, 0, 0] {
        half(&mut image, value);
    }
    // One loadable segment: all of the file, readable and executable.
    for value in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        word(&mut image, value);
    }
    image.extend(code);
    image
}

fn streams() {
    with_input(&["run", "cat"], "one\ntwo\n").code(0).stdout("one\ntwo\n");
    let outcome = run(&["sh", "-c", "echo out; echo err >&2"]).code(0).stdout("out\n");
    assert_eq!(outcome.guests_stderr(), "err\n");
    let long = "0123456789abcdef\n".repeat(20_000);
    with_input(&["run", "sh", "-c", "cat | cat"], &long).code(0).stdout(&long);
}

fn environment() {
    let variable = "FATED_TEST_VARIABLE";
    let show = ["sh", "-c", "echo \"$FATED_TEST_VARIABLE\""];
    run(&show).stdout("inherited\n");
    run(&[&["--env", "FATED_TEST_VARIABLE=a=b c"][..], &show].concat()).stdout("a=b c\n");
    run(&["--clear-env", "/usr/bin/env"]).code(0).stdout("");
    run(&["--clear-env", "--env", "B=2", "--env", variable, "--env", "A=1", "--env", "FATED_NOT_SET", "/usr/bin/env"])
        .code(0)
        .stdout("A=1\nB=2\nFATED_TEST_VARIABLE=inherited\n");
}

fn directory() {
    run(&["--cwd", "/usr/bin", "/bin/pwd"]).code(0).stdout("/usr/bin\n");
    run(&["--cwd", "/nowhere", "true"]).code(125).says(&["/nowhere", "--cwd"]);
}

fn world() {
    run(&["uname", "-n"]).stdout("fated\n");
    run(&["--hostname", "box-7", "uname", "-n"]).stdout("box-7\n");
    run(&["date", "+%FT%TZ"]).stdout("2026-01-01T00:00:00Z\n");
    run(&["--epoch", "1999-12-31T23:30:00.5-00:30", "date", "+%FT%TZ"]).stdout("2000-01-01T00:00:00Z\n");
    run(&["--epoch", "@86400", "date", "+%F"]).stdout("1970-01-02\n");
    run(&["nproc"]).stdout("1\n");
    run(&["--cpus", "3", "nproc"]).stdout("3\n");
    // An hour takes no time.
    run(&["sh", "-c", "sleep 3600; date +%T"]).stdout("01:00:00\n");
}

fn seeds_in_hex() {
    let script = &["sh", "-c", "head -c 8 /dev/urandom | od -An -tx1"][..];
    let of = |seed: &str| run(&[&["--seed", seed, "--"], script].concat()).code(0).stdout;
    assert_eq!(of("0x10"), of("16"));
}

fn seed() {
    let draw = |seed: &str| run(&["--seed", seed, "sh", "-c", "od -An -N16 -tx1 /dev/urandom; echo $$"]).code(0).stdout;
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
    assert_eq!(draw("0"), run(&["sh", "-c", "od -An -N16 -tx1 /dev/urandom; echo $$"]).stdout, "0 is the default");
}

fn policies() {
    let script = "for i in 1 2 3 4 5 6; do (echo $i; echo $i) & done; wait";
    for policy in ["rr", "random", "pct", "pct:5"] {
        let order = |seed: &str| {
            let outcome = run(&["--policy", policy, "--slice", "2", "--seed", seed, "sh", "-c", script]).code(0);
            assert_eq!(outcome.stdout.lines().count(), 12);
            outcome.stdout
        };
        let seeds = ["1", "2", "3", "4", "5", "6", "7", "8"];
        let orders: Vec<String> = seeds.iter().map(|seed| order(seed)).collect();
        assert!(orders.iter().any(|order| *order != orders[0]), "{policy}: no seed changes the order");
        assert_eq!(orders[3], order(seeds[3]), "{policy}");
    }
}

/// `pct:N:auto` is `pct:N:CALLS` with the calls of a run before, of which nothing else is to be seen.
fn policy_that_measures() {
    let folder = Folder::new("measured");
    let journal = folder.file("journal");
    let script = "read a; echo $a; echo err >&2; cat; for i in 1 2 3 4; do (echo $i; echo $i) & done; wait";
    let guest = ["--", "sh", "-c", script];
    let run = |args: &[&str]| with_input(&[&["run", "--seed", "5"], args, &guest].concat(), "one\ntwo\n");
    let stats = run(&["--stats=json"]).code(0).stderr;
    let counts = stats.split("\"calls\":{").nth(1).and_then(|text| text.split('}').next()).expect("it counts calls");
    let calls: u64 = counts.split(',').filter_map(|count| count.split(':').nth(1)?.parse::<u64>().ok()).sum();
    let silent = run(&["--policy", "pct:2:auto"]).code(0);
    assert_eq!(silent.stderr, "err\n");
    assert!(silent.stdout.starts_with("one\ntwo\n"), "{}", silent.stdout);
    let measured = run(&["-v", "--policy", "pct:2:auto", "--record", &journal]).code(0);
    let measured = measured.says(&[&format!("the program makes {calls} calls under --policy rr")]);
    let policy = format!("pct:2:{calls}");
    let text = std::fs::read_to_string(&journal).expect("the run was recorded");
    assert!(text.lines().any(|line| line.contains(&policy)), "no {policy} in:\n{text}");
    let given = run(&["--policy", &policy]).code(0);
    assert_eq!([&given.stdout, &given.stdout], [&measured.stdout, &silent.stdout]);
    assert_eq!(fated(&["replay", &journal]).code(0).stdout, given.stdout);
    run(&["--policy", "pct:2:auto", "--verify"]).code(0).says(&["two runs, the same"]);

    // What the first run changes is there in the second one, unless each has a copy.
    let dir = folder.file("dir");
    std::fs::create_dir(&dir).expect("the folder is ours");
    let touch = "import os; print(len(os.listdir('.'))); open('f', 'w')";
    let fresh = ["run", "--policy", "pct:2:auto", "--fresh", &dir, "python3", "-c", touch];
    fated(&fresh).code(0).stdout("0\n");
}

fn limits_of_time() {
    for guest in [&["sh", "-c", "while :; do :; done"][..], &["sh", "-c", "while :; do kill -0 $$; done"], &["cat"]] {
        let mut running = Running::start(&[&["run", "--quiet", "--timeout", "300ms"], guest].concat());
        assert!(running.input().write_all(b"").is_ok());
        let (outcome, lines) =
            (running.end_later(), "fated: the run has taken longer than 300ms of real time (--timeout)\n");
        assert_eq!((outcome.code, &*outcome.stderr), (121, lines), "{guest:?}");
    }
    // The time may be over before the program has been started.
    for limit in ["1us", "100us"] {
        let computes = ["sh", "-c", "while :; do :; done"];
        let outcome = run(&[&["--timeout", limit][..], &computes].concat()).code(121);
        outcome.says(&["fated: the run has taken longer than 1", "s of real time (--timeout)\n"]);
    }
    let script = "while :; do echo 1; sleep 1; done";
    let outcome = run(&["--quiet", "--max-virtual-time", "3.5", "sh", "-c", script]).code(122).stdout("1\n1\n1\n1\n");
    assert_eq!(outcome.stderr, "fated: the run has taken longer than 3.5s of virtual time (--max-virtual-time)\n");
    run(&["--max-virtual-time", "4s", "--timeout", "1h", "sh", "-c", "sleep 3; echo 3; exit 3"]).code(3).stdout("3\n");
    // Who waits for ever doesn't wait until then.
    let forever = "import os; os.read(os.pipe()[0], 1)";
    if is_there("python3") {
        run(&["--max-virtual-time", "1h", "python3", "-c", forever]).code(124);
    }
}

fn quiet() {
    let script = "import ctypes; ctypes.CDLL(None).syscall(425, 1, 0)";
    run(&["python3", "-c", script]).code(0).says(&["fated: "]);
    assert_eq!(run(&["--quiet", "python3", "-c", script]).code(0).stderr, "");
}

/// Whoever spins until another one does something gets what it wants, whatever their priorities are.
fn spinning() {
    let script = "(while :; do kill -0 $$; done) & sleep 0.01; kill $!; wait; echo over";
    for policy in ["rr", "random", "pct:0", "pct"] {
        for seed in ["1", "2", "3", "4"] {
            run(&["--policy", policy, "--seed", seed, "sh", "-c", script]).code(0).stdout("over\n");
        }
    }
}

fn order_of_variables() {
    let show = ["/usr/bin/env"];
    let forth = run(&[&["--clear-env", "--env", "A=1", "--env", "B=2"][..], &show].concat());
    let back = run(&[&["--clear-env", "--env", "B=2", "--env", "A=1"][..], &show].concat());
    assert_eq!(forth, back);
}

/// A failed run says by which command it can be repeated, and that command gives the same run.
fn repeated() {
    const BEFORE: &str = "fated: this run again, with the same files, environment and input: fated ";
    let folder = Folder::new(&format!("repeated-{}", engine()));
    let cwd = folder.file("it's here");
    std::fs::create_dir(&cwd).expect("the folder is ours");
    let options = [
        "--seed",
        "0x2a",
        "--policy",
        "random",
        "--stdio",
        "tty",
        "--slice",
        "7",
        "--call-cost",
        "500",
        "--env",
        "A=b c",
        "--cwd",
        &cwd,
    ];
    let script = "echo \"$A $RANDOM $$ $PWD\"; test -t 1 && date +%N; (exit 3)";
    let repeat = |outcome: &crate::fated::Outcome| -> Option<String> {
        Some(outcome.stderr.lines().find_map(|line| line.strip_prefix(BEFORE))?.to_owned())
    };
    let outcome = run(&[&options[..], &["-v", "bash", "-c", script]].concat()).code(3);
    let command = repeat(&outcome).expect("it says so");
    for part in [
        "--seed 42 --policy random --stdio tty --input blocks",
        "--slice 7",
        "--call-cost 500",
        "--env 'A=b c'",
        "it'\\''s here",
    ] {
        assert!(command.contains(part), "no {part} in {command}");
    }
    let again = format!("{} {command}", env!("CARGO_BIN_EXE_fated"));
    let again = Running::start_program("sh", &["-c", &again]).end().code(3);
    assert_eq!(again.stdout, outcome.stdout);

    // By default only where fated has ended the run.
    assert_eq!(repeat(&run(&["sh", "-c", "exit 3"]).code(3)), None);
    assert_eq!(repeat(&run(&["-v", "true"]).code(0)), None);
    assert!(repeat(&run(&["--stats", "sh", "-c", "exit 3"]).code(3)).is_some());
    assert_eq!(repeat(&run(&["-v", "/nowhere/program"]).code(127)), None);
    let stuck = ["sh", "-c", "sleep 100 | read x; kill -STOP $$"];
    let outcome = run(&[&["--max-virtual-time", "1.5s"], &stuck[..]].concat()).code(122);
    assert!(repeat(&outcome).expect("it says so").contains("--max-virtual-time 1500ms -- sh -c 'sleep"));
    assert!(repeat(&run(&stuck).code(124)).is_some());
    assert_eq!(repeat(&run(&[&["--quiet"], &stuck[..]].concat()).code(124)), None);
}
