//! When input from outside comes in.
//!
//! Input takes no virtual time, and it comes in when every task waits: only then does the kernel look what there is, and while a task
//! waits for input no virtual time passes. So a run depends on what is typed or piped in and in which pieces, not on how fast.
//!
//! There are two exceptions, for programs that would never get their input otherwise. Where tasks don't stop making calls, input
//! comes in after many of them. And a task that polls without ever waiting sees what there was when all others waited last.

use crate::fs::poll;
use crate::ports::Console;
use crate::sched::wait_queue::WaitQueue;
use alloc::{collections::BTreeMap, vec::Vec};
use core::cell::{Cell, RefCell};
use linux_raw_sys::ioctl::FIONREAD;

/// How many turns of other tasks a task waits for input at most.
const PATIENCE: u32 = 20_000;

/// What the kernel of a host knows of the standard streams.
#[derive(Debug, Default)]
pub struct Streams {
    states: RefCell<BTreeMap<i32, State>>,
    /// What tasks wait for: stream and `POLL*` bits, by a number of their own.
    awaited: RefCell<BTreeMap<u64, (i32, u32)>>,
    last: Cell<u64>,
    turns: Cell<u32>,
}

#[derive(Debug, Default)]
struct State {
    /// The `POLL*` bits that guests see.
    ready: u32,
    /// How many bytes have come in and have not been read; 0 if that is not known.
    piece: u64,
    /// Somebody has polled since the last look.
    asked: bool,
    queue: WaitQueue,
}

impl Streams {
    /// The streams that tasks wait for now, each with the bits waited for.
    #[must_use]
    pub fn awaited(&self) -> Option<Vec<(i32, u32)>> {
        let mut streams = BTreeMap::new();
        for &(stream, bits) in self.awaited.borrow().values() {
            *streams.entry(stream).or_insert(0) |= bits;
        }
        (!streams.is_empty()).then(|| streams.into_iter().collect())
    }

    /// Lets in what there is; `true` if that has woken a task.
    pub(super) fn check(&self, console: &dyn Console) -> bool {
        self.turns.set(0);
        let awaited: BTreeMap<i32, u32> = self.awaited().unwrap_or_default().into_iter().collect();
        let mut woken = Vec::new();
        for (stream, state) in self.states.borrow_mut().iter_mut() {
            let wanted = awaited.get(stream).map_or(0, |bits| bits | poll::ERR | poll::HUP | poll::NVAL);
            if wanted == 0 && !state.asked {
                continue;
            }
            state.asked = false;
            // Whether it could be written doesn't matter to readers.
            state.ready = console.poll(*stream) & !(poll::OUT | poll::WRNORM);
            let mut bytes = [0; 4];
            let known = state.ready & poll::IN != 0 && console.ioctl(*stream, FIONREAD, &mut bytes).is_ok();
            state.piece = if known { u32::from_le_bytes(bytes).into() } else { 0 };
            if state.ready != 0 {
                woken.push((state.queue.clone(), state.ready & wanted != 0));
            }
        }
        woken.iter().for_each(|(queue, _)| queue.wake());
        woken.iter().any(|(_, waited)| *waited)
    }

    /// Whether a task waits for a stream.
    pub(crate) fn are_awaited(&self) -> bool {
        !self.awaited.borrow().is_empty()
    }

    /// Counts a turn; `true` if tasks have waited long enough.
    pub(super) fn count_turn(&self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.turns.get() >= PATIENCE
    }

    /// Woken when input comes in.
    pub(super) fn queue(&self, stream: i32) -> WaitQueue {
        self.states.borrow_mut().entry(stream).or_default().queue.clone()
    }

    /// The `POLL*` bits of a stream that guests see.
    pub(super) fn ready(&self, stream: i32) -> u32 {
        let mut states = self.states.borrow_mut();
        let Some(state) = states.get_mut(&stream) else { return 0 };
        state.asked = true;
        state.ready
    }

    /// How many bytes a read may take at most: those that have come in. `None` if their number is not known.
    pub(super) fn piece(&self, stream: i32) -> Option<u64> {
        self.states.borrow().get(&stream).map(|state| state.piece).filter(|&bytes| bytes > 0)
    }

    /// Somebody has read. What is there beyond that comes in later.
    pub(super) fn consumed(&self, stream: i32, bytes: u64) {
        if let Some(state) = self.states.borrow_mut().get_mut(&stream) {
            state.piece = state.piece.saturating_sub(bytes);
            if state.piece == 0 {
                state.ready = 0;
            }
        }
    }

    /// A wait for a stream and `POLL*` bits begins; returns its number.
    pub(super) fn begin_wait(&self, wanted: (i32, u32)) -> u64 {
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
