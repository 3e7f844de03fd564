//! Standard input: in blocks a run depends on the bytes alone; live it depends on the pieces that they come in.

use std::fs;
use std::io::Write as _;

use crate::fated::{Folder, Outcome, Running, engine, fated, with_input};
use crate::{ENGINES, Test};

pub const TESTS: &[Test] = &[
    ("input_in_blocks", &["seq", "cat"], in_blocks),
    ("input_of_who_polls", &["python3"], of_who_polls),
    ("input_whose_end_is_awaited", &["python3"], whose_end_is_awaited),
    ("input_is_repeated", &["python3"], is_repeated),
    ("streams_look_alike", &["stat", "stty"], looks),
    ("input_for_a_dialogue", &["python3"], for_a_dialogue),
    ("input_that_is_not_read_stays", &["head"], that_is_not_read_stays),
];

/// A guest that gets these pieces one after the other. It says on standard error how far it is, so that each piece comes alone.
#[track_caller]
fn in_pieces(args: &[&str], pieces: &[&str]) -> Outcome {
    let mut running = Running::start(args);
    for piece in pieces {
        // If the writer is faster than the guest, they are one piece, which is as good.
        running.input().write_all(piece.as_bytes()).expect("the guest reads it");
        std::thread::yield_now();
    }
    running.end()
}

/// The same text at once, in lines and byte by byte.
#[track_caller]
fn same(args: &[&str], text: &str) -> Outcome {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let bytes: Vec<&str> = text.split_inclusive(|_| true).collect();
    let args = &[&["run"], args].concat();
    let at_once = in_pieces(args, &[text]);
    assert_eq!(in_pieces(args, &lines), at_once);
    assert_eq!(in_pieces(args, &bytes), at_once);
    at_once
}

fn in_blocks() {
    let text: String = (0..2000).map(|line| format!("line {line}\n")).collect();
    let read = "while read -r word; do n=$((n+1)); done; echo $n; date +%N";
    assert!(same(&["sh", "-c", read], &text).code(0).stdout.starts_with("2000\n"));
    let copy = "cat | cat; date +%N";
    assert!(same(&["sh", "-c", copy], &text).code(0).stdout.starts_with(&text));
    let beside = "(while :; do kill -0 $$; done) & cat | tail -n 1; date +%N; kill $!";
    assert!(same(&["sh", "-c", beside], &text).code(0).stdout.starts_with("line 1999\n"));
}

const POLLS: &str = "
import array, fcntl, os, select, sys, termios, time
os.set_blocking(0, False)
poller = select.epoll() if sys.argv[1] == 'epoll' else select.poll()
poller.register(0, select.POLLIN)
looks = 0
while True:
    looks += 1
    found = poller.poll(0)
    if not found:
        time.sleep(0.01)
        continue
    queued = array.array('i', [0])
    fcntl.ioctl(0, termios.FIONREAD, queued)
    data = os.read(0, 100000)
    print(looks, queued[0], len(data), found, time.time())
    if not data:
        break
    assert len(data) == queued[0]
";

fn of_who_polls() {
    let text: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
    for how in ["poll", "epoll"] {
        let args = ["run", "python3", "-S", "-c", POLLS, how];
        let at_once = in_pieces(&args, &[&text]).code(0);
        let halves = text.split_at(100_001);
        assert_eq!(in_pieces(&args, &[halves.0, halves.1]), at_once);
        assert!(at_once.stdout.contains(" 65536 65536 "), "{}", at_once.stdout);
    }
}

/// Waits for urgent data, which no pipe has, and with that for the end: for a while, beside a reader, and for ever.
const AWAITS_END: &str = "
import os, select, sys, time
poller, epoll = select.poll(), select.epoll()
poller.register(0, select.POLLPRI)
epoll.register(0, select.EPOLLPRI)
if sys.argv[1] == 'reads':
    print(poller.poll(100), epoll.poll(0.1), time.time())
    while os.read(0, 1000):
        print(poller.poll(100), epoll.poll(0.1), time.time())
print(poller.poll(), epoll.poll(), time.time())
";

fn whose_end_is_awaited() {
    for how in ["reads", "waits"] {
        for text in [String::new(), "hi\n".into(), "line\n".repeat(20_000)] {
            let args = ["run", "python3", "-S", "-c", AWAITS_END, how];
            let at_once = in_pieces(&args, &[&text]).code(0);
            assert!(at_once.stdout.contains("\n[(0, 16)] [(0, 16)] ") || how == "waits", "{}", at_once.stdout);
            assert_eq!(at_once.stdout.matches("[(0, 16)]").count(), 2, "{}", at_once.stdout);
            let mut late = Running::start(&args);
            std::thread::sleep(std::time::Duration::from_millis(300));
            late.input().write_all(text.as_bytes()).expect("the guest reads it, or there is room");
            assert_eq!(late.end(), at_once);
        }
    }
}

fn is_repeated() {
    let folder = Folder::new(&format!("input-{}", engine()));
    let journal = folder.file("journal");
    let text = "a line\n".repeat(30_000);
    let guest = ["python3", "-S", "-c", POLLS, "poll"];
    let first = with_input(&[&["run", "--record", &journal][..], &guest].concat(), &text).code(0);
    let head = fs::read_to_string(&journal).expect("fated has written it");
    assert!(head.contains("\ninput blocks\n"), "{head}");
    for engine in ENGINES {
        fated(&["replay", "--engine", engine, &journal]).code(0).stdout(&first.stdout);
    }
    with_input(&[&["run", "--verify"][..], &guest].concat(), &text).code(0).stdout(&first.stdout);
}

/// What the guest sees of its streams, and the log, don't depend on what they are.
fn looks() {
    let folder = Folder::new(&format!("looks-{}", engine()));
    let (fated, engine) = (env!("CARGO_BIN_EXE_fated"), engine());
    let [log, output, errors] = ["log", "output", "errors"].map(|name| folder.file(name));
    let input = folder.write("input", "one\ntwo\nthree\n");
    let guest = "for fd in 0 1 2; do stat -Lc '%F %t %s' /dev/fd/$fd; readlink /proc/self/fd/$fd; test -t $fd; echo $?; done; \
                 stty -a; read x; echo $x; head -c 5; echo; echo error >&2; date +%N";
    for (stdio, first) in
        [("pipe", "fifo 0 0"), ("tty", "character special file 5 0"), ("null", "character special file 1 0")]
    {
        let run = format!("{fated} run --quiet --stdio {stdio} --engine {engine} --log {log} -- sh -c \"$1\"");
        let ways = [
            format!("{run} <{input} >{output} 2>&1"),
            format!("cat {input} | {run} 2>&1 | cat >{output}"),
            format!("(cat {input}; sleep 0.05) | {run} 2>&1 >{output} | cat >{errors}; cat {errors} >>{output}"),
        ];
        let mut runs = Vec::new();
        for way in &ways {
            let _ = fs::remove_file(&output);
            Running::start_program("sh", &["-c", way, "sh", guest]).end().code(0);
            let read = |path| fs::read_to_string(path).expect("fated has written it");
            let mut lines: Vec<String> = read(&output).lines().map(str::to_owned).collect();
            lines.sort_unstable();
            assert!(lines.iter().any(|line| line == first), "{lines:?}");
            runs.push((lines, read(&log)));
        }
        assert_eq!(runs[0], runs[1], "{stdio}");
        assert_eq!(runs[0], runs[2], "{stdio}");
    }
}

/// Both sides wait for each other: blocks of a line's length would come too late.
fn for_a_dialogue() {
    let echo = "import os\nwhile True:\n  data = os.read(0, 1000)\n  if not data: break\n  os.write(1, data)\n";
    let mut running = Running::start(&["run", "--input", "live", "python3", "-S", "-c", echo]);
    for line in ["one", "two"] {
        running.input().write_all(format!("{line}\n").as_bytes()).expect("the guest reads it");
        assert_eq!(running.line(), line);
    }
    running.end().code(0);
    // Without it, fated says what would help.
    let mut running = Running::start(&["run", "python3", "-S", "-c", echo]);
    running.input().write_all(b"one\n").expect("the guest reads it");
    assert!(running.error_line().contains("--input live"));
    running.end().code(0).stdout("one\n");
}

fn that_is_not_read_stays() {
    let script = format!("{} run --engine {} sh -c 'read x; echo got $x'; cat", env!("CARGO_BIN_EXE_fated"), engine());
    let mut running = Running::start_program("sh", &["-c", &script]);
    running.input().write_all(b"one\ntwo\n").expect("the shell reads it");
    assert_eq!(running.end().code(0).stdout, "got one\ntwo\n");
}
