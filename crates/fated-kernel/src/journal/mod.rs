//! The journal of a run: all that it decides ([`sched::choose`](crate::sched::choose)) and all that comes in from outside
//! ([`console`], signals of the user), in the order in which the run meets it.
//!
//! A run that obeys a journal takes its decisions and its input from there. It is the same run, whatever the seed is. Behind the
//! end of a journal that was cut, the run goes on by the seed and the real console.
//!
//! Invariants: a run with a journal is the same as one without. A run that asks for what the journal doesn't have next has left
//! it, and ends with a message: nothing is guessed.

pub mod console;
pub mod entry;
pub mod header;
pub mod words;

use crate::journal::entry::Entry;
use crate::ports::Store;
use crate::sched::choice::{Choice, Entropy};
use alloc::{
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::cell::{Cell, RefCell};
use core::fmt;

/// What is wrong with a journal, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1 on.
    pub line: usize,
    /// The column, from 1 on.
    pub column: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.why)
    }
}

impl core::error::Error for Error {}

/// What a run does with a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// It obeys one: at most so many entries of it.
    pub obey: Option<u64>,
    /// Behind which line the entries begin, for messages.
    pub begin_line: u64,
    /// It writes one.
    pub write: bool,
}

/// The journal of a host.
#[derive(Debug)]
pub struct Journal {
    store: Option<Rc<dyn Store>>,
    writes: bool,
    obeys: Cell<bool>,
    failed: Cell<bool>,
    /// When the kernel last looked at its streams, in nanoseconds since the epoch.
    moment: Cell<u64>,
    /// The next input is due, whatever its moment is.
    forced: Cell<bool>,
    /// The signal at the head has been set.
    armed: Cell<bool>,
    source: RefCell<Source>,
    written: Cell<u64>,
    failure: RefCell<Option<String>>,
}

/// The journal that is obeyed.
#[derive(Debug, Default)]
struct Source {
    text: Vec<u8>,
    at: usize,
    line: u64,
    /// How many entries may still be read.
    left: u64,
    /// The next entry, if it has been read.
    head: Option<Entry>,
}

impl Source {
    /// The next line of the text.
    fn line(&mut self, store: &dyn Store) -> Option<Vec<u8>> {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if let Some(len) = rest.iter().position(|&byte| byte == b'\n') {
                let line = rest.get(..len).unwrap_or_default().to_vec();
                self.at += len + 1;
                self.line += 1;
                return Some(line);
            }
            let more = store.more();
            if more.is_empty() {
                return None;
            }
            self.text.drain(..self.at);
            self.at = 0;
            self.text.extend_from_slice(&more);
        }
    }

    /// Reads the next entry, if there is one and it hasn't been read.
    fn fill(&mut self, store: &dyn Store) -> Result<(), Error> {
        while self.head.is_none() && self.left > 0 {
            let Some(line) = self.line(store) else {
                self.left = 0;
                break;
            };
            let line = String::from_utf8_lossy(&line);
            if header::is_comment(&line) {
                continue;
            }
            let error = |wrong: words::Wrong| Error { line: self.line as usize, column: wrong.column, why: wrong.why };
            self.head = Some(Entry::parse(&line).map_err(error)?);
            self.left -= 1;
        }
        Ok(())
    }
}

impl Journal {
    /// No journal.
    #[must_use]
    pub fn off() -> Journal {
        Journal {
            store: None,
            writes: false,
            obeys: Cell::new(false),
            failed: Cell::new(false),
            moment: Cell::new(0),
            forced: Cell::new(false),
            armed: Cell::new(false),
            source: RefCell::default(),
            written: Cell::new(0),
            failure: RefCell::default(),
        }
    }

    /// A journal in `store`.
    #[must_use]
    pub fn new(store: Rc<dyn Store>, mode: Mode) -> Journal {
        let source = Source { line: mode.begin_line, left: mode.obey.unwrap_or(0), ..Source::default() };
        let obeys = Cell::new(source.left > 0);
        Journal { store: Some(store), writes: mode.write, obeys, source: RefCell::new(source), ..Journal::off() }
    }

    /// Whether there is a journal.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.store.is_some()
    }

    /// Whether the run is still obeying one.
    #[must_use]
    pub fn obeys(&self) -> bool {
        self.obeys.get()
    }

    /// Whether there is another entry to obey, which is read for that.
    pub(crate) fn goes_on(&self) -> bool {
        self.take(|_| None::<()>);
        self.obeys.get()
    }

    /// Whether the run has left the journal.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// How it left it.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if self.failed.get() { self.failure.borrow().clone() } else { None }
    }

    fn fail(&self, why: String) {
        self.obeys.set(false);
        self.failed.set(true);
        self.failure.borrow_mut().get_or_insert(why);
    }

    /// The moment of what is let in now.
    pub(crate) fn moment(&self) -> u64 {
        self.moment.get()
    }

    /// The kernel looks at its streams now, in nanoseconds since the epoch.
    pub(crate) fn set_moment(&self, at: u64) {
        self.moment.set(at);
    }

    /// Shows the next entry to `look`, and takes it if that finds something in it.
    pub(crate) fn take<T>(&self, look: impl FnOnce(&Entry) -> Option<T>) -> Option<T> {
        let store = self.store.as_ref().filter(|_| self.obeys.get())?;
        let mut source = self.source.borrow_mut();
        if let Err(error) = source.fill(&**store) {
            self.fail(format!("the journal can't be read: {error}"));
            return None;
        }
        let Some(head) = &source.head else {
            self.obeys.set(false);
            return None;
        };
        let found = look(head)?;
        source.head = None;
        self.forced.set(false);
        Some(found)
    }

    /// As [`Journal::take`], for input that has its moment, if that has come.
    pub(crate) fn take_due<T>(&self, look: impl FnOnce(&Entry) -> Option<T>) -> Option<T> {
        let (now, forced) = (self.moment.get(), self.forced.get());
        self.take(|entry| match entry {
            Entry::Ready { at, .. } | Entry::Queued { at, .. } if forced || *at <= now => look(entry),
            _ => None,
        })
    }

    /// What the run asks for has to be the next entry; if it isn't, the run has left the journal. `None` also if there are no
    /// more entries to obey.
    pub(crate) fn require<T>(&self, asked: &str, look: impl FnOnce(&Entry) -> Option<T>) -> Option<T> {
        let found = self.take(look);
        if found.is_none() && self.obeys.get() {
            self.leave(&format!("the run asks for {asked}"));
        }
        found
    }

    /// The run does something else than the journal says.
    fn leave(&self, what: &str) {
        let source = self.source.borrow();
        let next = source.head.as_ref().map(ToString::to_string).unwrap_or_default();
        let next: String = next.chars().take(80).collect();
        let line = source.line;
        drop(source);
        self.fail(format!("the run has left its journal at line {line}: it says {next:?}, but {what}"));
    }

    /// Appends an entry.
    pub(crate) fn write(&self, entry: impl FnOnce() -> Entry) {
        let Some(store) = self.store.as_ref().filter(|_| self.writes && !self.failed.get()) else { return };
        let number = self.written.get() + 1;
        self.written.set(number);
        store.append(format!("{number} {}\n", entry()).as_bytes());
    }

    /// A choice: what was drawn, unless the journal says otherwise.
    #[inline]
    pub(crate) fn choice(&self, what: Choice, drawn: u64, among: u64) -> u64 {
        if self.store.is_none() { drawn } else { self.kept_choice(what, drawn, among) }
    }

    #[cold]
    fn kept_choice(&self, what: Choice, drawn: u64, among: u64) -> u64 {
        let asked = format!("{} among {among}", what.word());
        let obeyed = self.require(&asked, |entry| match entry {
            Entry::Chosen { what: kind, chosen, among: possible } if (*kind, *possible) == (what, among) => {
                Some(*chosen)
            }
            _ => None,
        });
        let chosen = obeyed.unwrap_or(drawn);
        self.write(|| Entry::Chosen { what, chosen, among });
        chosen
    }

    /// Random bytes: what was drawn, unless the journal says otherwise.
    #[inline]
    pub(crate) fn entropy(&self, kind: Entropy, bytes: &mut [u8]) {
        if self.store.is_some() {
            self.kept_entropy(kind, bytes);
        }
    }

    #[cold]
    fn kept_entropy(&self, kind: Entropy, bytes: &mut [u8]) {
        let asked = format!("{} of {} bytes", kind.word(), bytes.len());
        let obeyed = self.require(&asked, |entry| match entry {
            Entry::Drawn { kind: found, bytes: drawn } if *found == kind && drawn.len() == bytes.len() => {
                Some(drawn.clone())
            }
            _ => None,
        });
        if let Some(obeyed) = obeyed {
            bytes.copy_from_slice(&obeyed);
        }
        self.write(|| Entry::Drawn { kind, bytes: bytes.to_vec() });
    }

    /// The signal that the journal has next, with its moment, if the kernel doesn't know of it.
    pub(crate) fn next_signal(&self) -> Option<(i32, u64)> {
        if self.armed.get() {
            return None;
        }
        let mut next = None;
        self.take(|entry| {
            if let Entry::Signal { signal, at } = entry {
                next = Some((*signal, *at));
            }
            None::<()>
        });
        self.armed.set(next.is_some());
        next
    }

    /// The user's signal comes now.
    pub(crate) fn signal(&self, signal: i32, at: u64) {
        if self.obeys.get() {
            self.armed.set(false);
            self.take(|entry| matches!(entry, Entry::Signal { .. }).then_some(()));
        }
        self.write(|| Entry::Signal { signal, at });
    }

    /// Whether the journal that is obeyed says that something else happens before the run ends: a signal of the user's was on its way
    /// then, or input.
    pub(crate) fn has_more(&self) -> bool {
        let mut more = false;
        self.take(|entry| {
            more = *entry != Entry::End;
            None::<()>
        });
        self.obeys.get() && more
    }

    /// All tasks wait, and nothing can happen but that input comes in: whether it comes from the journal.
    pub(crate) fn lets_in(&self) -> bool {
        let mut input = false;
        self.take(|entry| {
            input = matches!(entry, Entry::Ready { .. } | Entry::Queued { .. });
            None::<()>
        });
        if self.obeys.get() && (!input || self.forced.replace(true)) {
            self.leave("all tasks wait for input of another kind");
        }
        self.obeys.get() || self.failed.get()
    }

    /// The run is over. A journal that goes on has been left.
    pub(crate) fn finish(&self) {
        let over = self.take(|entry| (*entry == Entry::End).then_some(()));
        if over.is_none() && self.obeys.get() {
            self.leave("the run is over");
        }
        self.write(|| Entry::End);
    }
}
