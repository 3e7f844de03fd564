//! The time of a host and the queue of its timers, as state: what happens at an expiry is in [`expiry`](super::expiry).
//!
//! Invariants: time never goes back. Timers expire in a total order: by time, then in the order in which they were started.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt::Debug;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// Linux's clocks end here (`KTIME_MAX`): a timer that is set for this moment or later never expires.
const NEVER: u64 = i64::MAX as u64;
/// How long a host has been up when its run starts.
const UPTIME_AT_START: u64 = 100 * SECOND;

/// What does something when its timer expires: a task whose sleep ends, a timer of a process. `H` is the host.
pub trait Expire<H>: Debug {
    /// The moment has come.
    fn expire(self: Rc<Self>, host: &Rc<H>);
}

/// The time of a host and its pending timers. `E` says what is to be done when a timer expires.
#[derive(Debug)]
pub struct Timers<E> {
    now: Cell<u64>,
    boot: u64,
    /// The next moment at which there is something to do: the first pending timer expires, or `stop` comes; [`NEVER`] without any.
    due: Cell<u64>,
    /// See [`Timers::set_horizon`].
    horizon: Cell<Option<u64>>,
    /// The first moment from which a call may end beyond the horizon.
    stop: Cell<u64>,
    next: Cell<u64>,
    pending: RefCell<BTreeMap<TimerId, E>>,
}

/// Names a timer that has been started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId {
    at: u64,
    number: u64,
}

impl<E> Timers<E> {
    /// A clock that starts at `epoch` nanoseconds since 1970; the host was booted a little earlier.
    #[must_use]
    pub fn new(epoch: u64) -> Timers<E> {
        Timers {
            now: Cell::new(epoch),
            boot: epoch.saturating_sub(UPTIME_AT_START),
            due: Cell::new(NEVER),
            horizon: Cell::new(None),
            stop: Cell::new(u64::MAX),
            next: Cell::new(0),
            pending: RefCell::default(),
        }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Where [`Timers::now`] stands in memory, for an engine that looks at it from another process.
    #[must_use]
    pub fn now_cell(&self) -> &Cell<u64> {
        &self.now
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

    /// Starts a timer that expires at `at`, or as soon as time is looked at if that moment has passed.
    pub fn start(&self, at: u64, expiry: E) -> TimerId {
        let id = TimerId { at, number: self.next.replace(self.next.get() + 1) };
        if at < NEVER {
            self.pending.borrow_mut().insert(id, expiry);
            self.due.set(self.due.get().min(at));
        }
        id
    }

    /// Sets a timer that expires after all others of the same moment, whenever those are set.
    pub fn set_last(&self, at: u64, what: E) {
        const LAST: u64 = 1 << 63;
        let number = LAST + self.next.replace(self.next.get() + 1);
        self.pending.borrow_mut().insert(TimerId { at, number }, what);
        self.due.set(self.due.get().min(at));
    }

    /// Cancels a timer, if it is still pending.
    pub fn cancel(&self, id: TimerId) {
        self.pending.borrow_mut().remove(&id);
        self.find_due();
    }

    /// When the first pending timer expires.
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.pending.borrow().first_key_value().map(|(id, _)| id.at)
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
            self.find_due();
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

    /// Sets the time; an earlier one than it is changes nothing. `true` if there is something to do now.
    #[inline]
    pub(super) fn advance_to(&self, at: u64) -> bool {
        let now = self.now.get().max(at);
        self.now.set(now);
        now >= self.due.get()
    }

    /// Takes the first timer that has expired out of the queue.
    pub(super) fn pop_expired(&self) -> Option<E> {
        if self.next_at()? > self.now.get() {
            return None;
        }
        let first = self.pending.borrow_mut().pop_first();
        self.find_due();
        first.map(|(_, expiry)| expiry)
    }

    fn find_due(&self) {
        let next = self.next_at().unwrap_or(NEVER);
        self.due.set(next.min(self.stop.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_by_time_and_then_in_the_order_of_their_start() {
        let timers = Timers::new(1000);
        timers.start(1020, 'c');
        timers.start(1010, 'a');
        let cancelled = timers.start(1010, 'x');
        timers.start(1010, 'b');
        timers.start(NEVER, 'n');
        timers.cancel(cancelled);
        assert!(!timers.advance_to(1009));
        assert_eq!(timers.pop_expired(), None);
        assert!(timers.advance_to(1020));
        let expired: alloc::string::String = core::iter::from_fn(|| timers.pop_expired()).collect();
        assert_eq!(expired, "abc");
        assert_eq!(timers.next_at(), None);
    }

    #[test]
    fn time_never_goes_back() {
        let timers: Timers<()> = Timers::new(1000);
        timers.advance_to(5);
        assert_eq!(timers.now(), 1000);
    }
}
