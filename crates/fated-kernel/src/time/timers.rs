//! Virtual time: the clock and everything that happens at a moment of it.

use crate::host::Kernel;
use crate::process::task::Task;
use crate::sched::Woken;
use crate::sched::wait_queue::Watcher;
use alloc::{collections::BTreeMap, rc::Rc};
use core::cell::{Cell, RefCell};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// Linux's clocks end here (`KTIME_MAX`): what is set for then never comes.
const NEVER: u64 = i64::MAX as u64;

/// The clock of a host and its pending alarms, ordered by (time, order of setting).
#[derive(Debug)]
pub struct Timers {
    now: Cell<u64>,
    boot: u64,
    /// The moment of the next alarm; [`NEVER`] without one.
    due: Cell<u64>,
    next: Cell<u64>,
    list: RefCell<BTreeMap<AlarmId, Alarm>>,
}

/// Names a pending alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlarmId {
    at: u64,
    number: u64,
}

/// Who is told at the moment.
#[derive(Clone, Debug)]
pub enum Alarm {
    /// A task whose sleep ends.
    Task(Rc<Task>),
    /// Anything else.
    Watcher(Rc<dyn Watcher>),
}

impl Timers {
    /// A clock that starts at `epoch` nanoseconds since 1970; the host was booted a little earlier.
    #[must_use]
    pub fn new(epoch: u64) -> Timers {
        Timers {
            now: Cell::new(epoch),
            boot: epoch.saturating_sub(100 * SECOND),
            due: Cell::new(NEVER),
            next: Cell::new(0),
            list: RefCell::default(),
        }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Nanoseconds since the host's boot: `CLOCK_MONOTONIC` and its kin.
    #[must_use]
    pub fn uptime(&self) -> u64 {
        self.now.get() - self.boot
    }

    /// Translates a moment of `CLOCK_MONOTONIC` to one since 1970.
    #[must_use]
    pub fn of_uptime(&self, uptime: u64) -> u64 {
        self.boot.saturating_add(uptime)
    }

    /// Sets an alarm; a moment that has passed comes at once.
    pub fn set(&self, at: u64, alarm: Alarm) -> AlarmId {
        let id = AlarmId { at, number: self.next.replace(self.next.get() + 1) };
        if at < NEVER {
            self.list.borrow_mut().insert(id, alarm);
            self.due.set(self.due.get().min(at));
        }
        id
    }

    /// Sets an alarm that comes behind all others of the same moment, whenever those are set.
    pub fn set_last(&self, at: u64, alarm: Alarm) {
        const LAST: u64 = 1 << 63;
        let number = LAST + self.next.replace(self.next.get() + 1);
        self.list.borrow_mut().insert(AlarmId { at, number }, alarm);
        self.due.set(self.due.get().min(at));
    }

    /// Takes an alarm back, if it is still pending.
    pub fn cancel(&self, id: AlarmId) {
        self.list.borrow_mut().remove(&id);
        self.look_ahead();
    }

    fn look_ahead(&self) {
        self.due.set(self.list.borrow().first_key_value().map_or(NEVER, |(id, _)| id.at));
    }

    /// The moment of the next alarm.
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        Some(self.due.get()).filter(|&at| at < NEVER)
    }
}

impl Kernel {
    /// Lets `ns` of virtual time pass.
    #[inline]
    pub fn pass_time(self: &Rc<Self>, ns: u64) {
        let now = self.timers.now.get().saturating_add(ns);
        self.timers.now.set(now);
        if now >= self.timers.due.get() {
            self.ring();
        }
    }

    /// Jumps to the next alarm; `false` if there is none.
    pub(crate) fn jump(self: &Rc<Self>) -> bool {
        let Some(at) = self.timers.next_at() else { return false };
        self.timers.now.set(self.timers.now.get().max(at));
        self.ring();
        true
    }

    #[cold]
    fn ring(self: &Rc<Self>) {
        while self.timers.due.get() <= self.timers.now.get() {
            let first = self.timers.list.borrow_mut().pop_first();
            self.timers.look_ahead();
            match first {
                Some((_, Alarm::Task(task))) => self.wake(&task, Woken::Timeout),
                Some((_, Alarm::Watcher(watcher))) => watcher.fire(self),
                None => return,
            }
        }
    }
}
