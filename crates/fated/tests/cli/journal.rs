//! Journals: a run that was recorded is repeated without seed and input, on either engine; one that was changed goes another way.

use std::fs;
use std::io::Write as _;

use crate::fated::{Folder, Outcome, Running, engine, fated, with_input};
use crate::{ENGINES, Test};

pub const TESTS: &[Test] = &[
    ("journal_of_jobs", &["bash"], jobs),
    ("journal_of_threads", &["python3"], threads),
    ("journal_of_entropy", &["od"], entropy),
    ("journal_of_input", &[], input),
    ("journal_of_slow_input", &[], slow_input),
    ("journal_of_a_signal", &[], signal),
    ("journal_of_a_terminal", &["script", "stty"], terminal),
    ("journal_that_was_cut", &["bash"], cut),
    ("journal_with_a_changed_decision", &["bash"], changed_decision),
    ("journal_with_changed_input", &[], changed_input),
    ("journal_with_changed_entropy", &["od"], changed_entropy),
    ("journal_that_is_left", &[], left),
    ("journal_that_is_damaged", &[], damaged),
    ("journal_from_before_stdio", &[], before_stdio),
    ("journal_of_another_program", &[], another_program),
    ("journal_beside_regular_files", &[], regular_files),
];

const JOBS: &str = "for i in 1 2 3 4 5 6; do (for j in a b c; do echo $i$j; done; sleep 0.00$i; echo $i $RANDOM) & done; wait; echo $$";

/// A run with its journal and its log.
#[track_caller]
fn record(folder: &Folder, args: &[&str], input: &str) -> (Outcome, String, String) {
    let (journal, log) = (folder.file("journal"), folder.file("log"));
    let all = [&["run", "--record", &journal, "--log", &log], args].concat();
    let outcome = with_input(&all, input);
    (outcome, read(&journal), read(&log))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("fated has written it")
}

/// The journal is repeated with both engines, without the input and with another seed, and recorded once more.
#[track_caller]
fn check_repeats(folder: &Folder, outcome: &Outcome, journal: &str, log: &str) {
    let (path, copy, second) = (folder.write("checked", journal), folder.file("copy"), folder.file("second"));
    for engine in ENGINES {
        let again = fated(&["replay", "--engine", engine, "--seed", "999", "--record", &copy, "--log", &second, &path]);
        assert_eq!(
            (again.code, &again.stdout, again.guests_stderr()),
            (outcome.code, &outcome.stdout, outcome.guests_stderr()),
            "{}",
            again.stderr
        );
        assert_eq!(entries(&read(&copy)), entries(journal));
        assert_eq!(read(&second), log);
    }
}

/// The journal without its head.
fn entries(journal: &str) -> &str {
    journal.split_once("\nentries\n").expect("the head has an end").1
}

/// A run is recorded and repeated.
#[track_caller]
fn check(name: &str, args: &[&str], input: &str) -> String {
    let folder = Folder::new(&format!("journal-{name}-{}", engine()));
    let (outcome, journal, log) = record(&folder, args, input);
    check_repeats(&folder, &outcome, &journal, &log);
    journal
}

fn jobs() {
    for (policy, seed) in [("rr", "1"), ("random", "2"), ("pct:5", "3")] {
        let journal = check("jobs", &["--policy", policy, "--seed", seed, "bash", "-c", JOBS], "");
        assert!(journal.contains(" auxv ") && journal.ends_with(" end\n"), "{journal}");
    }
}

fn threads() {
    let program = "
import threading, time, random, os
order = []
def work(n):
    for i in range(20):
        time.sleep(random.random() / 1000)
        order.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
[t.start() for t in threads]
[t.join() for t in threads]
print(order, os.urandom(4).hex(), time.time())
";
    check("threads", &["--policy", "random", "--seed", "5", "python3", "-S", "-c", program], "");
}

fn entropy() {
    let script = "head -c 600 /dev/urandom | od; cat /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/boot_id; date +%N";
    let journal = check("entropy", &["sh", "-c", script], "");
    for word in [" urandom ", " uuid ", " boot-id ", " epoch ", " auxv "] {
        assert!(journal.contains(word), "no {word} in {journal}");
    }
    assert_eq!(journal.matches(" boot-id ").count(), 1);
}

fn input() {
    let text: String = (0..3000).map(|line| format!("line {line} \\ \"quoted\" \u{e9}\n")).collect();
    let journal = check("input", &["sh", "-c", "sort | tail -n 3; date +%N"], &text);
    assert!(journal.contains("read 0 \"line 0 \\\\ \\\"quoted\\\" \\xc3\\xa9\\n"), "{journal}");
    check("no-input", &["sh", "-c", "read first; echo $?; cat; stat -c %F -L /dev/stdin"], "");
}

fn slow_input() {
    let folder = Folder::new(&format!("journal-slow-{}", engine()));
    let (path, log) = (folder.file("journal"), folder.file("log"));
    let script =
        "(for i in 1 2 3; do sleep 1; done; echo slept) & while read line; do echo got $line; date +%s.%N; done; wait";
    let mut running = Running::start(&["run", "--record", &path, "--log", &log, "sh", "-c", script]);
    let mut lines = Vec::new();
    for line in ["one", "two", "three"] {
        running.input().write_all(format!("{line}\n").as_bytes()).expect("the guest reads it");
        lines.extend([running.line(), running.line()]);
    }
    let mut outcome = running.end().code(0);
    outcome.stdout = lines.iter().map(|line| format!("{line}\n")).collect::<String>() + &outcome.stdout;
    let journal = read(&path);
    check_repeats(&folder, &outcome, &journal, &read(&log));
}

fn signal() {
    let folder = Folder::new(&format!("journal-signal-{}", engine()));
    let (path, log) = (folder.file("journal"), folder.file("log"));
    let script = "trap 'echo caught; date +%N' INT; echo ready; read line; read line; echo \"got $line\"; date +%N";
    let mut running = Running::start(&["run", "--record", &path, "--log", &log, "sh", "-c", script]);
    let mut stdout = running.line() + "\n";
    running.signal("INT");
    stdout += &(running.line() + "\n");
    running.input().write_all(b"a\nb\n").expect("the guest reads it");
    let mut outcome = running.end().code(0);
    outcome.stdout = stdout + &outcome.stdout;
    let journal = read(&path);
    assert!(journal.contains(" signal 2 @0."), "{journal}");
    check_repeats(&folder, &outcome, &journal, &read(&log));
}

/// What was recorded on a terminal is repeated without one.
fn terminal() {
    let folder = Folder::new(&format!("journal-terminal-{}", engine()));
    let (path, log) = (folder.file("journal"), folder.file("log"));
    let guest = "echo ready; read line; test -t 0 && echo terminal; echo \"got $line\"; stty size";
    let fated_run = format!(
        "stty cols 91 rows 17; {} run --stdio inherit --engine {} --record {path} --log {log} -- sh -c '{guest}'",
        env!("CARGO_BIN_EXE_fated"),
        engine()
    );
    let mut running = Running::start_program("script", &["--quiet", "--return", "--command", &fated_run, "/dev/null"]);
    while running.line().trim_end() != "ready" {}
    running.input().write_all(b"a line\n").expect("script reads it");
    running.end().code(0);
    for engine in ENGINES {
        let second = folder.file("second");
        fated(&["replay", "--engine", engine, "--log", &second, &path])
            .code(0)
            .stdout("ready\nterminal\ngot a line\n17 91\n");
        assert_eq!(read(&second), read(&log));
    }
}

/// How many entries two journals have in common at their begin.
fn same(one: &str, other: &str) -> usize {
    entries(one).lines().zip(entries(other).lines()).take_while(|(one, other)| one == other).count()
}

fn cut() {
    let folder = Folder::new(&format!("journal-cut-{}", engine()));
    let args = ["--policy", "random", "--seed", "7", "bash", "-c", JOBS];
    let (outcome, journal, log) = record(&folder, &args, "");
    let path = folder.write("whole", &journal);
    let (copy, second) = (folder.file("copy"), folder.file("second"));
    let count = entries(&journal).lines().count();
    for part in [0, 1, count / 3, count / 2, count - 2] {
        let until = part.to_string();
        let replay = ["replay", "--engine", engine(), "--until", &until, "--record", &copy, "--log", &second];
        // By its own seed it goes on as it did.
        let again = fated(&[&replay[..], &[&path]].concat());
        assert_eq!((again.code, &again.stdout, &read(&second)), (outcome.code, &outcome.stdout, &log), "{part}");
        let other = fated(&[&replay[..], &["--seed", "8", &path]].concat()).code(0);
        let written = read(&copy);
        assert!(same(&journal, &written) >= part, "{part}");
        if part <= count / 2 {
            assert_ne!(other.stdout, outcome.stdout, "{part}");
        }
        // What it recorded is a journal like any other.
        check_repeats(&folder, &other, &written, &read(&second));
    }
    // So is one that was cut by an editor.
    let head = journal.lines().count() - count;
    let shorter: String = journal.split_inclusive('\n').take(head + count / 2).collect();
    let shorter = folder.write("shorter", shorter);
    fated(&["replay", "--engine", engine(), &shorter]).code(0).stdout(&outcome.stdout);
}

fn changed_decision() {
    let folder = Folder::new(&format!("journal-changed-{}", engine()));
    let args = ["--policy", "random", "--seed", "7", "bash", "-c", JOBS];
    let (outcome, journal, _) = record(&folder, &args, "");
    let (before, all) = journal.split_once("\nentries\n").expect("the head has an end");
    let mut differ = 0;
    let lines: Vec<&str> = all.lines().collect();
    let choices: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].contains(" next ")).collect();
    for &at in choices.iter().step_by(1 + choices.len() / 6) {
        let (head, among) = lines[at].rsplit_once('/').expect("a choice has possibilities");
        let (head, chosen) = head.rsplit_once(' ').expect("a choice is a number");
        let chosen: u64 = chosen.parse().expect("a choice is a number");
        let other = (chosen + 1) % among.parse::<u64>().expect("possibilities are a number");
        let line = format!("{head} {other}/{among}");
        let mut changed = lines.clone();
        changed[at] = &line;
        let path = folder.write("changed", format!("{before}\nentries\n{}\n", changed.join("\n")));
        let (copy, until) = (folder.file("copy"), (at + 1).to_string());
        let again = fated(&["replay", "--engine", engine(), "--until", &until, "--record", &copy, &path]).code(0);
        let copy = read(&copy);
        assert_eq!(same(&journal, &copy), at, "the same up to the changed entry, and no further");
        assert_eq!(entries(&copy).lines().nth(at), Some(&*line));
        differ += u32::from(again.stdout != outcome.stdout);
    }
    assert!(differ > 0, "no change made a difference");
}

fn changed_input() {
    let folder = Folder::new(&format!("journal-typed-{}", engine()));
    let (outcome, journal, _) = record(&folder, &["cat"], "alpha\n");
    outcome.code(0).stdout("alpha\n");
    let path = folder.write("changed", journal.replace("\"alpha\\n\"", "\"omega\\n\""));
    fated(&["replay", "--engine", engine(), &path]).code(0).stdout("omega\n");
}

fn changed_entropy() {
    let folder = Folder::new(&format!("journal-drawn-{}", engine()));
    let (_, journal, _) = record(&folder, &["sh", "-c", "head -c 4 /dev/urandom | od -An -tx1"], "");
    let line = journal.lines().find(|line| line.contains(" urandom ")).expect("head has read it");
    let (head, _) = line.rsplit_once(' ').expect("an entry has words");
    let path = folder.write("changed", journal.replace(line, &format!("{head} 0123abcd")));
    fated(&["replay", "--engine", engine(), &path]).code(0).stdout(" 01 23 ab cd\n");
}

fn left() {
    let folder = Folder::new(&format!("journal-left-{}", engine()));
    let (_, journal, _) = record(&folder, &["sh", "-c", "cat; head -c 4 /dev/urandom"], "alpha\n");
    let drawn = journal.lines().find(|line| line.contains(" urandom ")).expect("head has read it");
    let replay = |name: &str, journal: String| {
        let path = folder.write(name, journal);
        fated(&["replay", "--engine", engine(), &path])
    };
    replay("missing", journal.replace(&format!("{drawn}\n"), ""))
        .code(123)
        .says(&["the run has left its journal at line", "but the run asks for urandom of 4 bytes"]);
    let number = journal.lines().position(|line| line == drawn).expect("it is there") + 1;
    replay("longer", journal.replace(drawn, &format!("{drawn}00")))
        .code(123)
        .says(&[&format!("left its journal at line {number}: it says"), "but the run asks for urandom of 4 bytes"]);
    replay("early", journal.replace(&format!("{drawn}\n"), "9 end\n")).code(123).says(&["it says \"end\""]);
    let end = journal.lines().last().expect("it has an end");
    replay("late", journal.replace(end, "99 slice 3/51\n100 end")).code(123).says(&["but the run is over"]);
    let read = journal.lines().find(|line| line.contains("read 0")).expect("sh has read it");
    replay("no-input", journal.replace(&format!("{read}\n"), "")).code(123).says(&["but the run asks for a read of"]);
}

fn damaged() {
    let folder = Folder::new(&format!("journal-damaged-{}", engine()));
    let (_, journal, _) = record(&folder, &["true"], "");
    let replay = |name: &str, journal: &[u8]| {
        let path = folder.write(name, journal);
        fated(&["replay", "--engine", engine(), &path]).code(125)
    };
    let count = journal.lines().count();
    replay("truncated", &journal.as_bytes()[..journal.len() - 2])
        .says(&[&format!("line {count}, column"), "the line is cut off"]);
    replay("headless", journal.split_inclusive('\n').take(4).collect::<String>().as_bytes())
        .says(&["the head is cut off"]);
    replay("garbage", b"\x7fELF\x02\x01\x01\n").says(&["line 1, column 1: this is not a journal of fated"]);
    replay("empty", b"").says(&["the file is empty"]);
    replay("newer", journal.replace("journal 1", "journal 2").as_bytes()).says(&["a journal of another version"]);
    replay("binary", &[journal.as_bytes(), b"\xff\xfe\n"].concat())
        .says(&[&format!("line {}, column 1: this is not text", count + 1)]);
    let path = folder.write("good", &journal);
    fated(&["replay", "--until", "1000000", &path]).code(125).says(&["failed to obey 1000000 entries"]);
    fated(&["replay", "--record", &path, &path]).code(125).says(&["the run obeys it"]);
    fated(&["replay", &folder.file("nowhere")]).code(125).says(&["failed to read the journal"]);
    fated(&["run", "--record", "/nowhere/at/all", "true"]).code(125).says(&["failed to write the journal"]);
}

fn another_program() {
    let folder = Folder::new(&format!("journal-other-{}", engine()));
    let (_, journal, _) = record(&folder, &["sh", "-c", "read line; echo $line"], "alpha\n");
    let path = folder.write("same", journal);
    let replay = ["replay", "--engine", engine(), &path, "--"];
    fated(&[&replay[..], &["sh", "-c", "read line; echo not $line"]].concat()).code(0).stdout("not alpha\n");
    fated(&[&replay[..], &["true"]].concat()).code(123).says(&["the run is over"]);
}

fn regular_files() {
    let folder = Folder::new(&format!("journal-files-{}", engine()));
    let (journal, input, output) = (folder.file("journal"), folder.write("input", "a\nb\n"), folder.file("output"));
    let fated_path = env!("CARGO_BIN_EXE_fated");
    let sh = |script: &str| Running::start_program("sh", &["-c", script]).end();
    sh(&format!("{fated_path} run --stdio inherit --engine {} --record {journal} -- cat <{input} >{output}", engine()))
        .code(0);
    assert_eq!(read(&output), "a\nb\n");
    sh(&format!("{fated_path} replay {journal}")).code(125).says(&["its stream 0 was the file", "redirect it again"]);
    let again = folder.file("again");
    sh(&format!("{fated_path} replay --engine {} {journal} <{input} >{again}", engine())).code(0);
    assert_eq!(read(&again), "a\nb\n");
    sh(&format!(
        "echo x | {fated_path} run --stdio inherit --engine {} --record {journal} --log {input} -- cat >{output}",
        engine()
    ))
    .code(0);
    let second = folder.file("second");
    sh(&format!("{fated_path} replay --log {second} {journal} >{again}")).code(0);
    assert_eq!((read(&again), read(&second)), ("x\n".to_owned(), read(&input)));
    // Those that were no files may be files now.
    sh(&format!("echo x | {fated_path} run --stdio inherit --engine {} --record {journal} -- cat | cat", engine()))
        .code(0)
        .stdout("x\n");
    sh(&format!("{fated_path} replay {journal} </dev/null >{again}")).code(0);
    assert_eq!(read(&again), "x\n");
}

/// Before the head had a line for them, standard streams looked like what they were.
fn before_stdio() {
    let folder = Folder::new(&format!("journal-before-stdio-{}", engine()));
    let script = "test -t 0 && echo terminal; stat -L -c %F /dev/stdout; read line; echo \"$line\"";
    let (outcome, journal, log) = record(&folder, &["--stdio", "inherit", "sh", "-c", script], "a line\n");
    let old: String = journal.lines().filter(|line| *line != "stdio inherit").map(|line| format!("{line}\n")).collect();
    assert!(old.len() < journal.len());
    check_repeats(&folder, &outcome, &old, &log);
}
