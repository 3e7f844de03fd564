//! The timers of a process, as state. What setitimer(2) does with them is in [`interval`](super::interval), what timer_create(2)
//! does in [`posix`](super::posix).
//!
//! Invariant: a timer that repeats is started again when its signal is taken, not when it expires, as in Linux. What it missed
//! meanwhile is its overrun. So a timer whose signal nobody takes never keeps virtual time moving. The interval timers on CPU time
//! are the exception, in Linux as here.

use crate::id::{Pid, Tid};
use crate::time::clock::Clock;
use crate::time::timers::TimerId;
use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};

/// All timers of a process.
#[derive(Debug, Default)]
pub struct ProcessTimers {
    /// `ITIMER_REAL`, which is that of alarm(2) too, `ITIMER_VIRTUAL`, `ITIMER_PROF`.
    pub(super) interval: RefCell<[Option<Rc<Timer>>; 3]>,
    /// Those of timer_create(2) by their ids.
    pub(super) posix: RefCell<BTreeMap<i32, Rc<Timer>>>,
    pub(super) next_id: Cell<i32>,
    /// Whether any timer on CPU time may be armed.
    pub(crate) cpu: Cell<bool>,
}

impl ProcessTimers {
    pub(super) fn all(&self) -> Vec<Rc<Timer>> {
        let interval = self.interval.borrow();
        let posix = self.posix.borrow();
        interval.iter().flatten().chain(posix.values()).cloned().collect()
    }
}

/// What a timer does when it expires.
#[derive(Clone, Debug)]
pub enum Notify {
    /// Nothing: it is only read.
    Nobody,
    /// It sends a signal with `SI_KERNEL` to the process.
    Kernel(i32),
    /// It sends a signal with `SI_TIMER` and a value.
    Signal {
        /// The signal.
        signal: i32,
        /// `sigev_value`.
        value: u64,
        /// The task that gets it; `None` for the process.
        task: Option<Tid>,
    },
}

/// What `struct itimerspec` and `struct itimerval` hold, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimerSpec {
    /// Between two expiries; 0 for a timer that expires once.
    pub interval: u64,
    /// Until the next expiry; 0 for a timer that is not armed.
    pub value: u64,
}

/// A timer of a process.
#[derive(Debug)]
pub struct Timer {
    /// Its id; -1 for an interval timer.
    pub(super) id: i32,
    /// Its process, which outlives it: when a process ends its timers are disarmed.
    pub(super) process: Pid,
    pub(super) clock: Clock,
    pub(super) notify: Notify,
    /// When it expires, on its clock; `None` if it is not armed.
    pub(super) due: Cell<Option<u64>>,
    pub(super) interval: Cell<u64>,
    /// Its entry in the queue of the host. Timers on CPU time have none.
    pub(super) queued: Cell<Option<TimerId>>,
    /// Its signal has been sent and not taken yet.
    pub(super) sent: Cell<bool>,
    /// Expiries since its signal was sent, as far as they have been counted.
    pub(super) overrun: Cell<u64>,
    /// What timer_getoverrun(2) returns: the overrun of the last signal that was taken.
    pub(super) last_overrun: Cell<i32>,
}

impl Timer {
    pub(super) fn new(process: Pid, id: i32, clock: Clock, notify: Notify) -> Rc<Timer> {
        Rc::new(Timer {
            id,
            process,
            clock,
            notify,
            due: Cell::new(None),
            interval: Cell::new(0),
            queued: Cell::new(None),
            sent: Cell::new(false),
            overrun: Cell::new(0),
            last_overrun: Cell::new(0),
        })
    }

    /// Moves the next expiry past `now` by whole intervals; returns by how many.
    pub(super) fn forward(&self, now: u64) -> u64 {
        let (Some(due), interval) = (self.due.get(), self.interval.get()) else { return 0 };
        if interval == 0 || due > now {
            return 0;
        }
        let steps = (now - due) / interval + 1;
        self.due.set(Some(due.saturating_add(steps.saturating_mul(interval))));
        steps
    }

    /// What is left of it when its clock reads `now`; `least` if it has expired and its signal has not been taken.
    pub(super) fn setting_at(&self, now: u64, least: u64) -> TimerSpec {
        let interval = self.interval.get();
        let silent = matches!(self.notify, Notify::Nobody);
        if silent || self.sent.get() {
            let missed = self.forward(now);
            self.overrun.set(self.overrun.get().saturating_add(missed));
        }
        let value = match self.due.get() {
            // An interval timer reads 0 until its signal has been taken.
            Some(_) if self.sent.get() && matches!(self.notify, Notify::Kernel(_)) => 0,
            Some(due) if due > now => due - now,
            Some(_) if !silent => least,
            _ => 0,
        };
        TimerSpec { interval, value }
    }
}
