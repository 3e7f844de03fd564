//! When input from outside comes in.
//!
//! Input takes no virtual time, and it comes in when every task waits: only then does the kernel look what there is, and while a task
//! waits for input no virtual time passes. So a run depends on what is typed or piped in and in which pieces, not on how fast.
//!
//! In blocks, a task waits for as many bytes as it reads, or for [`BLOCK`] where it only wants to know whether there is input, and the host
//! waits for them however fast they come. So not even the pieces matter.
//!
//! The rest of a line comes in at once: whoever reads byte by byte waits once a line.
//!
//! Who waits for the end of such input alone, or for urgent data, doesn't wait for the bytes: the end shows when somebody has come to
//! it, or when nothing else can happen. When it comes really must not show.
//!
//! There are two exceptions, for programs that would never get their input otherwise. Where tasks don't stop making calls, input
//! comes in after many of them. And a task that polls without ever waiting sees what there was when all others waited last; in blocks the
//! host waits for a block then.

use crate::config::Input;
use crate::fs::poll;
use crate::ports::{Awaited, Console, FIFOS};
use crate::sched::wait_queue::WaitQueue;
use alloc::{collections::BTreeMap, vec::Vec};
use core::cell::{Cell, RefCell};
use linux_raw_sys::ioctl::FIONREAD;

/// How many turns of other tasks a task waits for input at most.
const PATIENCE: u32 = 20_000;
/// The most bytes that come in at once.
pub const BLOCK: u64 = 1 << 16;

/// What somebody waits for who doesn't want input: the end of a stream, or urgent data, which no stream has.
pub const END: u32 = poll::ERR | poll::HUP | poll::NVAL | poll::PRI;

/// Which of the waits for a stream are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Those for input, and those for the end of a stream that doesn't come in blocks.
    Input,
    /// All.
    End,
}

/// What the kernel of a host knows of the standard streams.
#[derive(Debug, Default)]
pub struct Streams {
    states: RefCell<BTreeMap<i32, State>>,
    /// What tasks wait for, by a number of their own.
    awaited: RefCell<BTreeMap<u64, Awaited>>,
    last: Cell<u64>,
    /// How many named pipes there were.
    fifos: Cell<i32>,
    turns: Cell<u32>,
    /// Standard input comes in blocks.
    blocks: bool,
    /// Somebody has asked for such input without waiting for it.
    asked: Cell<bool>,
    /// Tasks have waited long enough for such input.
    due: Cell<bool>,
    /// They did so the last time, too: whoever reads byte by byte beside a task that never waits needn't be patient for each.
    was_due: Cell<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// The `POLL*` bits that guests see.
    ready: u32,
    /// How many bytes have come in and have not been read; 0 if that is not known.
    piece: u64,
    /// Somebody has polled since the last look.
    asked: bool,
    /// In blocks: the last byte that was read didn't end a line.
    in_line: bool,
    queue: WaitQueue,
}

impl Streams {
    /// Streams that nobody has asked for.
    pub(crate) fn new(input: Input) -> Streams {
        Streams { blocks: input == Input::Blocks, ..Streams::default() }
    }

    /// Whether input from this stream comes in blocks.
    fn in_blocks(&self, stream: i32) -> bool {
        self.blocks && stream == 0
    }

    /// What tasks wait for now, of each stream.
    #[must_use]
    pub fn awaited(&self) -> Option<Vec<Awaited>> {
        let mut streams: BTreeMap<i32, Awaited> = BTreeMap::new();
        let asked = Awaited { stream: 0, bits: poll::IN, want: BLOCK };
        let asked = self.asked.get().then_some(&asked);
        for one in self.awaited.borrow().values().chain(asked) {
            let all = streams.entry(one.stream).or_insert(*one);
            *all = Awaited { bits: all.bits | one.bits, want: all.want.min(one.want), ..*all };
        }
        (!streams.is_empty()).then(|| streams.into_values().collect())
    }

    /// Lets in what there is; `true` if that has woken a task, or may have if it comes in blocks.
    pub(super) fn check(&self, console: &dyn Console, look: Look) -> bool {
        self.turns.set(0);
        self.was_due.set(false);
        let awaited = self.awaited().unwrap_or_default();
        let mut woken = Vec::new();
        for (stream, state) in self.states.borrow_mut().iter_mut() {
            let awaited = awaited.iter().find(|it| it.stream == *stream);
            let wanted = awaited.map_or(0, |it| it.bits | poll::ERR | poll::HUP | poll::NVAL);
            let for_end = self.in_blocks(*stream) && wanted & !END == 0;
            if (wanted == 0 || for_end && look == Look::Input) && !state.asked {
                continue;
            }
            state.asked = false;
            // Whether it could be written doesn't matter to readers.
            state.ready = console.poll(*stream, awaited.map_or(BLOCK, |it| it.want)) & !(poll::OUT | poll::WRNORM);
            if self.in_blocks(*stream) && !for_end && state.ready & poll::IN != 0 {
                // For readers the end comes behind the last byte.
                state.ready &= !poll::HUP;
            }
            let mut bytes = [0; 4];
            let known = state.ready & poll::IN != 0 && console.ioctl(*stream, FIONREAD, &mut bytes).is_ok();
            state.piece = if known { u32::from_le_bytes(bytes).into() } else { 0 };
            if state.ready != 0 {
                if self.in_blocks(*stream) {
                    self.asked.set(false);
                    self.due.set(false);
                }
                woken.push((state.queue.clone(), state.ready & wanted != 0));
            }
        }
        woken.iter().for_each(|(queue, _)| queue.wake());
        woken.iter().any(|(_, waited)| *waited)
    }

    /// Whether a task waits for a stream, or has asked for a block.
    pub(crate) fn are_awaited(&self) -> bool {
        self.asked.get() || !self.awaited.borrow().is_empty()
    }

    /// Counts a turn; `true` if tasks have waited long enough.
    pub(super) fn count_turn(&self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.turns.get() >= if self.was_due.get() { 1 } else { PATIENCE }
    }

    /// Tasks have waited long enough. `true` if that makes a block of input due.
    pub(super) fn become_due(&self) -> bool {
        let input =
            self.awaited().is_some_and(|all| all.iter().any(|it| self.in_blocks(it.stream) && it.bits & poll::IN != 0));
        self.due.set(input);
        input
    }

    /// Whether nothing may go on before a block of input has come in.
    pub(crate) fn is_due(&self) -> bool {
        self.due.get()
    }

    /// A block that was due has come in. The next one will be due at once.
    pub(crate) fn stay_due(&self) {
        self.was_due.set(true);
    }

    /// The number of another named pipe.
    pub(super) fn new_fifo(&self) -> i32 {
        FIFOS + self.fifos.replace(self.fifos.get() + 1)
    }

    /// Somebody wants to know whether there is input, without waiting for it.
    pub(super) fn ask(&self, stream: i32) {
        let mut states = self.states.borrow_mut();
        let Some(state) = states.get_mut(&stream) else { return };
        state.asked = true;
        if self.in_blocks(stream) && state.ready == 0 {
            self.asked.set(true);
        }
    }

    /// Woken when input comes in.
    pub(super) fn queue(&self, stream: i32) -> WaitQueue {
        self.states.borrow_mut().entry(stream).or_default().queue.clone()
    }

    /// The `POLL*` bits of a stream that guests see.
    pub(super) fn ready(&self, stream: i32) -> u32 {
        let mut states = self.states.borrow_mut();
        let Some(state) = states.get_mut(&stream) else { return 0 };
        state.asked |= !self.in_blocks(stream);
        state.ready
    }

    /// How many bytes a read may take at most: those that have come in. `None` if their number is not known.
    pub(super) fn piece(&self, stream: i32) -> Option<u64> {
        self.states.borrow().get(&stream).map(|state| state.piece).filter(|&bytes| bytes > 0)
    }

    /// Whether a read of so many bytes gets them at once, and the host waits for them meanwhile: the rest of a line. Those who read byte
    /// by byte would otherwise wait for each.
    pub(super) fn flows(&self, stream: i32, bytes: u64) -> bool {
        bytes < BLOCK && self.states.borrow().get(&stream).is_some_and(|state| state.in_line)
    }

    /// Somebody has read so many bytes, up to `last`. What is there beyond that comes in later.
    pub(super) fn consumed(&self, stream: i32, bytes: u64, last: Option<u8>) {
        if let Some(state) = self.states.borrow_mut().get_mut(&stream) {
            let blocks = self.in_blocks(stream);
            state.in_line = blocks && last.is_some_and(|byte| byte != b'\n');
            state.piece = state.piece.saturating_sub(bytes);
            if state.piece == 0 {
                // The end of blocks stays; that of a terminal, which has no such bit, doesn't.
                state.ready &= if blocks && bytes == 0 { poll::HUP } else { 0 };
            }
        }
    }

    /// A wait for a stream begins; returns its number.
    pub(super) fn begin_wait(&self, wanted: Awaited) -> u64 {
        let number = self.last.get() + 1;
        self.last.set(number);
        self.awaited.borrow_mut().insert(number, wanted);
        number
    }

    /// A wait ends.
    pub(super) fn end_wait(&self, number: u64) {
        self.awaited.borrow_mut().remove(&number);
    }
}
