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
    /// The next moment at which there is something to do: the next alarm, or `stop`; [`NEVER`] without any.
    due: Cell<u64>,
    /// See [`Timers::set_horizon`].
    horizon: Cell<Option<u64>>,
    /// The first moment from which a call may end beyond the horizon.
    stop: Cell<u64>,
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
            horizon: Cell::new(None),
            stop: Cell::new(u64::MAX),
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

    /// Takes an alarm back, if it is still pending.
    pub fn cancel(&self, id: AlarmId) {
        self.list.borrow_mut().remove(&id);
        self.look_ahead();
    }

    fn look_ahead(&self) {
        let next = self.next_at().unwrap_or(NEVER);
        self.due.set(next.min(self.stop.get()));
    }

    /// The moment of the next alarm.
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.list.borrow().first_key_value().map(|(id, _)| id.at)
    }

    /// How much time may pass before there is anything to do.
    pub(crate) fn undisturbed_ns(&self) -> u64 {
        self.due.get().saturating_sub(self.now.get() + 1)
    }

    /// From now on, time goes no farther than `horizon`, in steps of at most `step` nanoseconds.
    pub(crate) fn set_horizon(&self, horizon: Option<u64>, step: u64) {
        if self.horizon.replace(horizon) != horizon {
            // A step that begins before this moment ends by the horizon.
            self.stop.set(horizon.map_or(u64::MAX, |at| at.saturating_add(1).saturating_sub(step)));
            self.look_ahead();
        }
    }

    /// How far time may go.
    pub(crate) fn horizon(&self) -> Option<u64> {
        self.horizon.get()
    }

    /// Whether one more step might end beyond the horizon.
    #[inline]
    pub(crate) fn is_at_horizon(&self) -> bool {
        self.now.get() >= self.stop.get()
    }
}

/// What became of a jump in time.
pub(crate) enum Jump {
    /// It is the moment of the next alarm.
    Done,
    /// The next alarm is at this moment, beyond the horizon.
    BeyondHorizon(u64),
    /// There is no alarm.
    NoAlarm,
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

    /// Jumps to the next alarm, if that is by the horizon.
    pub(crate) fn jump(self: &Rc<Self>) -> Jump {
        let Some(at) = self.timers.next_at() else { return Jump::NoAlarm };
        if self.timers.horizon().is_some_and(|horizon| at > horizon) {
            return Jump::BeyondHorizon(at);
        }
        self.timers.now.set(self.timers.now.get().max(at));
        self.ring();
        Jump::Done
    }

    #[cold]
    fn ring(self: &Rc<Self>) {
        while self.timers.next_at().is_some_and(|at| at <= self.timers.now.get()) {
            let first = self.timers.list.borrow_mut().pop_first();
            self.timers.look_ahead();
            match first {
                Some((_, Alarm::Task(task))) => self.wake(&task, Woken::Timeout),
                Some((_, Alarm::Watcher(watcher))) => watcher.fire(self),
                None => return,
            }
        }
        if self.timers.is_at_horizon() {
            // The end of the call has to see that.
            self.watch();
        }
    }
}
