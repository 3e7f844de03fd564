//! Pending signals.
//!
//! Invariant: a standard signal is pending once at most, those of timers excepted; real-time signals queue.

use crate::signal::info::{SI_TIMER, SI_USER, SigInfo};
use crate::signal::set::SigSet;
use alloc::{collections::VecDeque, vec::Vec};
use core::cell::{Cell, RefCell};

/// Signals that have been sent and not taken yet.
#[derive(Debug, Default)]
pub struct Pending {
    set: Cell<SigSet>,
    /// Each with whether it counts towards `RLIMIT_SIGPENDING`.
    queue: RefCell<VecDeque<(SigInfo, bool)>>,
}

impl Pending {
    /// Which signals are pending.
    #[must_use]
    pub fn set(&self) -> SigSet {
        self.set.get()
    }

    /// Adds one; standard signals are kept once, real-time signals queue. Without `room` it takes no place: what it tells is lost, and
    /// if somebody counts on that, it isn't added: `false`.
    pub fn add(&self, info: SigInfo, room: bool) -> bool {
        let signal = info.signal();
        // Each timer has a signal of its own in reserve, so its signal queues even if another is pending.
        if signal < 32 && self.set().has(signal) && info.code() != SI_TIMER {
            return true;
        }
        if !room && signal >= 32 && info.code() != SI_USER {
            return false;
        }
        let info = if room { info } else { SigInfo::new(signal, SI_USER) };
        self.set.set(self.set().with(SigSet::of(&[signal])));
        self.queue.borrow_mut().push_back((info, room && info.code() != SI_TIMER));
        true
    }

    /// Takes the first signal out of `wanted`.
    pub fn take(&self, wanted: SigSet) -> Option<SigInfo> {
        let signal = self.set().and(wanted).first()?;
        let mut queue = self.queue.borrow_mut();
        let at = queue.iter().position(|(info, _)| info.signal() == signal)?;
        let (info, _) = queue.remove(at)?;
        if !queue.iter().any(|(info, _)| info.signal() == signal) {
            self.set.set(self.set().without(SigSet::of(&[signal])));
        }
        Some(info)
    }

    /// Drops all of `signals`.
    pub fn remove(&self, signals: SigSet) {
        if !self.set().and(signals).is_empty() {
            self.queue.borrow_mut().retain(|(info, _)| !signals.has(info.signal()));
            self.set.set(self.set().without(signals));
        }
    }

    /// How many count towards `RLIMIT_SIGPENDING`.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.queue.borrow().iter().filter(|(_, counted)| *counted).count()
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<SigInfo> {
        self.queue.borrow().iter().map(|(info, _)| *info).collect()
    }
}
