//! A journal that was written, read back and obeyed gives the same run without the seed; one that was changed, another run from there on.

use crate::stories::{Engine, Told, tell_by};
use crate::world::config;
use fated_kernel::config::{Config, Inherited, Policy};
use fated_kernel::fs::own_tmp::OwnTmp;
use fated_kernel::host::Ending;
use fated_kernel::journal::entry::Entry;
use fated_kernel::journal::header::{Checked, Header};
use fated_kernel::journal::{Journal, Mode};
use fated_kernel::ports::Store;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A journal in memory, handed out in small pieces.
#[derive(Debug, Default)]
struct Memory {
    written: RefCell<Vec<u8>>,
    obeyed: Vec<u8>,
    at: Cell<usize>,
}

impl Store for Memory {
    fn append(&self, lines: &[u8]) {
        self.written.borrow_mut().extend_from_slice(lines);
    }
    fn more(&self) -> Vec<u8> {
        const PIECE: usize = 37;
        let rest = &self.obeyed[self.at.get()..];
        let piece = &rest[..rest.len().min(PIECE)];
        self.at.set(self.at.get() + piece.len());
        piece.to_vec()
    }
}

const POLICIES: [Policy; 3] = [Policy::RoundRobin, Policy::Random, Policy::Pct { changes: 3, span: 0 }];

fn configured(story: u64, seed: u64) -> Config {
    let policy = POLICIES[story as usize % 3];
    Config { seed, policy, slice_calls: 1 + story as u32 % 7, log: story.is_multiple_of(2), ..config() }
}

/// A story whose run is recorded.
fn record(story: u64, engine: Engine) -> (Told, String) {
    record_of(story, engine, true)
}

fn record_of(story: u64, engine: Engine, interrupts: bool) -> (Told, String) {
    let memory = Rc::new(Memory::default());
    let journal = Journal::new(memory.clone(), Mode { write: true, ..Mode::default() });
    let told = tell_by(configured(story, story), engine, story, interrupts, journal);
    let text = memory.written.take();
    (told, String::from_utf8(text).unwrap())
}

/// The same story with a journal and another seed; also what that run records.
fn obey(story: u64, seed: u64, engine: Engine, text: &str, until: u64) -> (Told, String) {
    let memory = Rc::new(Memory { obeyed: text.into(), ..Memory::default() });
    let journal = Journal::new(memory.clone(), Mode { obey: Some(until), begin_line: 0, write: true });
    let told = tell_by(configured(story, seed), engine, story, false, journal);
    (told, String::from_utf8(memory.written.take()).unwrap())
}

#[test]
fn an_obeyed_journal_gives_the_same_run_without_the_seed() {
    let mut signals = 0;
    for story in 1..=150 {
        let engines = [Engine::Asks, Engine::Answers];
        let recorder = engines[story as usize / 2 % 2];
        let (told, text) = record(story, recorder);
        signals += text.lines().filter(|line| line.contains("signal")).count();
        for engine in engines {
            let (again, copy) = obey(story, 1_000_000 + story, engine, &text, u64::MAX);
            if told != again {
                let same = told.turns.iter().zip(&again.turns).take_while(|(one, other)| one == other).count();
                let (one, other) = (told.turns.get(same), again.turns.get(same));
                panic!(
                    "story {story} by {recorder:?}, then {engine:?}, turn {same}: {one:x?} {other:x?} {:?}",
                    again.ending
                );
            }
            assert_eq!(text, copy, "story {story}");
        }
    }
    assert!(signals > 50, "{signals} signals");
}

#[test]
fn a_cut_journal_goes_on_by_the_seed() {
    let mut differ = 0;
    for story in 1..=60 {
        let (told, text) = record_of(story, Engine::Answers, false);
        let half = text.lines().count() as u64 / 2;
        // With its own seed it goes on as it did, with another one otherwise.
        assert_eq!(obey(story, story, Engine::Answers, &text, half).0, told, "story {story}");
        let (other, copy) = obey(story, 77, Engine::Answers, &text, half);
        let same = text.lines().zip(copy.lines()).take_while(|(one, other)| one == other).count();
        assert!(same as u64 >= half, "story {story}: {same} entries of {half}");
        differ += u32::from(other != told);
    }
    assert!(differ > 5, "{differ} runs differ");
}

/// Changes the first choice of a kind behind `from`.
fn change(text: &str, word: &str, from: usize) -> Option<(usize, String)> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = lines.iter().enumerate().skip(from).find(|(_, line)| line.contains(word))?.0;
    let Ok(Entry::Chosen { what, chosen, among }) = Entry::parse(&lines[at]) else { return None };
    let changed = Entry::Chosen { what, chosen: (chosen + 1) % among, among };
    lines[at] = format!("{} {changed}", at + 1);
    Some((at, lines.join("\n") + "\n"))
}

#[test]
fn a_changed_entry_gives_another_run_from_there_on() {
    let mut differ = 0;
    for story in 1..=90 {
        let (told, text) = record(story, Engine::Answers);
        let Some((at, changed)) = change(&text, if story % 3 == 1 { " next " } else { " slice " }, 10) else {
            continue;
        };
        let (again, copy) = obey(story, story, Engine::Answers, &changed, at as u64 + 1);
        assert!(text.lines().take(at).eq(copy.lines().take(at)), "story {story}");
        assert_eq!(copy.lines().nth(at), changed.lines().nth(at), "story {story}");
        differ += u32::from(again.turns != told.turns);
    }
    assert!(differ > 10, "{differ} runs differ");
}

#[track_caller]
fn leaves(text: &str, expected: &str) {
    let (told, _) = obey(1, 1, Engine::Answers, text, u64::MAX);
    match told.ending {
        Some(Ending::LeftJournal(why)) => assert_eq!(why, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_that_leaves_its_journal_says_where() {
    leaves(
        "1 epoch 3/1000000\n2 slice 0/4\n",
        "the run has left its journal at line 2: it says \"slice 0/4\", but the run asks for what stream 0 is",
    );
    leaves(
        "# a comment\n1 epoch 3/7\n",
        "the run has left its journal at line 2: it says \"epoch 3/7\", but the run asks for epoch among 1000000",
    );
    leaves(
        "1 epoch 3/1000000\n2 end\n",
        "the run has left its journal at line 2: it says \"end\", but the run asks for what stream 0 is",
    );
    leaves(
        "1 epoch x\n",
        "the journal can't be read: line 1, column 9: expected the number of what was chosen, found \"x\"",
    );
}

fn header() -> Header {
    Header {
        config: Config { policy: Policy::Pct { changes: 4, span: 500 }, ..config() },
        command: vec![b"sh".to_vec(), b"-c".to_vec(), b"echo \"\xff\"\n".to_vec()],
        env: vec![b"A=b".to_vec()],
        cwd: b"/tmp/x y".to_vec(),
        stdio: "pipe".into(),
        files: vec![(0, b"/etc/passwd".to_vec(), 5)],
        inherited: vec![Inherited { fd: 7, flags: 0o100_001 }],
    }
}

#[test]
fn a_head_is_what_was_written() {
    let mut header = header();
    let host = vec![b"/tmp/x y".to_vec()];
    header.config.tmp = Some(OwnTmp { root: b"/tmp/root".to_vec(), host: host.clone() });
    let text = header.to_text() + "1 epoch 3/7\n# changed\n\n2 end\n";
    let checked = Checked::new(text.as_bytes()).unwrap();
    assert_eq!(checked.header.to_text(), header.to_text());
    let expected = OwnTmp { root: Vec::new(), host };
    assert_eq!(checked.header.config.tmp, Some(expected), "where the root was decides nothing");
    assert_eq!(checked.count, 2);
    assert!(text[checked.entries_at.0..].starts_with("1 epoch"));
    assert_eq!(text.lines().nth(checked.entries_at.1), Some("1 epoch 3/7"));
}

#[track_caller]
fn damaged(text: &str, expected: &str) {
    assert_eq!(Checked::new(text.as_bytes()).unwrap_err().to_string(), expected);
}

#[test]
fn a_damaged_journal_is_an_error_with_its_place() {
    let head = header().to_text();
    damaged("", "line 1, column 1: the file is empty");
    damaged(
        "fated journal 2\n",
        "line 1, column 15: this is a journal of another version of fated, which has to replay it",
    );
    damaged("\x7fELF\n", "line 1, column 1: this is not a journal of fated, which begins with \"fated journal 1\"");
    damaged("fated journal 1\nseed 1\n", "line 3, column 1: the head is cut off: there is no line \"entries\"");
    damaged("fated journal 1\nentries\n", "line 2, column 1: the head lacks slice, cpus or max-tasks");
    damaged("fated journal 1\ncolour 3\n", "line 2, column 1: the head of a journal has no line \"colour\"");
    damaged("fated journal 1\npolicy fifo\n", "line 2, column 8: there is no policy \"fifo\"");
    let lines = head.lines().count();
    damaged(&format!("{head}1 slice 3/"), &format!("line {}, column 11: the line is cut off", lines + 1));
    damaged(
        &format!("{head}1 slice 3/2\n"),
        &format!("line {}, column 9: expected a number below that of the possibilities", lines + 1),
    );
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let whole = header().to_text() + "1 epoch 3/7\n2 read 0 \"a\\x00\"\n3 signal 2 @1.000000000\n4 end\n";
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..3000 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes.truncate(at + 1),
                1 => bytes[at] = random(256) as u8,
                _ => bytes.insert(at, random(256) as u8),
            }
        }
        let _ = Checked::new(&bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if random(20) == 0 {
            obey(1, 1, Engine::Answers, &text, u64::MAX);
        }
    }
}
