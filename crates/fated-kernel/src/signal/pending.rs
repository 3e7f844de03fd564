//! Pending signals.
//!
//! Invariant: a standard signal is pending once at most, those of timers excepted; real-time signals queue.

use crate::signal::info::{SI_TIMER, SigInfo};
use crate::signal::set::SigSet;
use alloc::{collections::VecDeque, vec::Vec};
use core::cell::{Cell, RefCell};

/// How many signals can be pending; more are dropped, and the call that sends one fails (`RLIMIT_SIGPENDING` of Linux).
const QUEUE_LIMIT: usize = 4096;

/// Signals that have been sent and not taken yet.
#[derive(Debug, Default)]
pub struct Pending {
    set: Cell<SigSet>,
    queue: RefCell<VecDeque<SigInfo>>,
}

impl Pending {
    /// Which signals are pending.
    #[must_use]
    pub fn set(&self) -> SigSet {
        self.set.get()
    }

    /// Adds one; standard signals are kept once, real-time signals queue. `false` if the queue is full.
    pub fn add(&self, info: SigInfo) -> bool {
        let signal = info.signal();
        // Each timer has a signal of its own in reserve, so its signal queues even if another is pending.
        if signal < 32 && self.set().has(signal) && info.code() != SI_TIMER {
            return true;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= QUEUE_LIMIT {
            return false;
        }
        self.set.set(self.set().with(SigSet::of(&[signal])));
        queue.push_back(info);
        true
    }

    /// Takes the first signal out of `wanted`.
    pub fn take(&self, wanted: SigSet) -> Option<SigInfo> {
        let signal = self.set().and(wanted).first()?;
        let mut queue = self.queue.borrow_mut();
        let at = queue.iter().position(|info| info.signal() == signal)?;
        let info = queue.remove(at)?;
        if !queue.iter().any(|info| info.signal() == signal) {
            self.set.set(self.set().without(SigSet::of(&[signal])));
        }
        Some(info)
    }

    /// Drops all of `signals`.
    pub fn remove(&self, signals: SigSet) {
        if !self.set().and(signals).is_empty() {
            self.queue.borrow_mut().retain(|info| !signals.has(info.signal()));
            self.set.set(self.set().without(signals));
        }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<SigInfo> {
        self.queue.borrow().iter().copied().collect()
    }
}
