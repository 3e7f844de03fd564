//! Timers as descriptors (timerfd_create(2)).
//!
//! A periodic timer sets one alarm and no more until somebody looks, as Linux does: the expirations in between are
//! counted when it is read. So a timer that nobody reads costs nothing.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{ANON_INODE, File, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::host::Kernel;
use crate::mm::iov_iter::Buffers;
use crate::sched::wait_queue::{WaitQueue, Watcher};
use crate::time::timers::{Alarm, AlarmId};
use alloc::{
    rc::{Rc, Weak},
    vec::Vec,
};
use core::any::Any;
use core::cell::Cell;

/// A timer.
#[derive(Debug)]
pub struct TimerFd {
    kernel: Weak<Kernel>,
    me: Weak<TimerFd>,
    /// Whether its moments are those of `CLOCK_REALTIME`, not of `CLOCK_MONOTONIC`.
    realtime: bool,
    /// The moment of the next expiration, or of the last one that nobody looked at; nanoseconds since 1970.
    at: Cell<u64>,
    interval: Cell<u64>,
    ticks: Cell<u64>,
    /// It has expired and its next alarm isn't set.
    expired: Cell<bool>,
    alarm: Cell<Option<AlarmId>>,
    changed: WaitQueue,
}

/// What a timer's alarm holds on to: a closed timer must be able to go.
#[derive(Debug)]
struct Tick(Weak<TimerFd>);

impl Watcher for Tick {
    fn fire(&self, _kernel: &Rc<Kernel>) {
        if let Some(timer) = self.0.upgrade() {
            timer.alarm.set(None);
            timer.expired.set(true);
            timer.ticks.set(timer.ticks.get().saturating_add(1));
            timer.changed.wake();
        }
    }
}

impl TimerFd {
    /// A timer that isn't set.
    #[must_use]
    pub fn new(kernel: &Rc<Kernel>, realtime: bool) -> Rc<TimerFd> {
        Rc::new_cyclic(|me| TimerFd {
            kernel: Rc::downgrade(kernel),
            me: me.clone(),
            realtime,
            at: Cell::new(0),
            interval: Cell::new(0),
            ticks: Cell::new(0),
            expired: Cell::new(false),
            alarm: Cell::new(None),
            changed: WaitQueue::new(kernel),
        })
    }

    /// Sets it to go off in `value` nanoseconds (with `absolute`: at that moment of its clock), then every `interval`.
    /// A `value` of 0 stops it.
    pub fn set(&self, kernel: &Kernel, value: u64, interval: u64, absolute: bool) {
        self.cancel(kernel);
        self.ticks.set(0);
        self.expired.set(false);
        self.interval.set(interval);
        self.at.set(0);
        if value == 0 {
            return;
        }
        let at = match (absolute, self.realtime) {
            (false, _) => kernel.timers.now().saturating_add(value),
            (true, true) => value,
            (true, false) => kernel.timers.of_uptime(value),
        };
        if at > kernel.timers.now() {
            return self.arm(kernel, at);
        }
        // A moment that has passed comes at once.
        self.at.set(at);
        self.expired.set(true);
        self.ticks.set(1);
        self.changed.wake();
    }

    /// What is left until the next expiration (0 if it isn't set), and the interval.
    pub fn get(&self, kernel: &Kernel) -> (u64, u64) {
        let missed = self.go_on(kernel);
        self.ticks.set(self.ticks.get().saturating_add(missed));
        let left = match self.alarm.get() {
            // Linux never reports 0 for a timer that is set.
            Some(_) => self.at.get().saturating_sub(kernel.timers.now()).max(1),
            None => 0,
        };
        (left, self.interval.get())
    }

    fn arm(&self, kernel: &Kernel, at: u64) {
        self.at.set(at);
        self.alarm.set(Some(kernel.timers.set(at, Alarm::Watcher(Rc::new(Tick(self.me.clone()))))));
    }

    fn cancel(&self, kernel: &Kernel) {
        if let Some(alarm) = self.alarm.take() {
            kernel.timers.cancel(alarm);
        }
    }

    /// Sets the alarm of a periodic timer that has expired; returns how many expirations passed meanwhile.
    fn go_on(&self, kernel: &Kernel) -> u64 {
        let interval = self.interval.get();
        if !self.expired.get() || interval == 0 {
            return 0;
        }
        self.expired.set(false);
        let late = kernel.timers.now().saturating_sub(self.at.get());
        let missed = late / interval;
        let next = self.at.get().saturating_add(interval.saturating_mul(missed.saturating_add(1)));
        self.arm(kernel, next);
        missed
    }
}

impl File for TimerFd {
    fn read(&self, cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        if to.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let ticks = self.ticks.take();
        if ticks == 0 {
            return Err(Errno::EAGAIN);
        }
        let ticks = ticks.saturating_add(self.go_on(&cx.kernel));
        to.put_all(&ticks.to_le_bytes())?;
        Ok(8)
    }

    fn poll(&self) -> u32 {
        if self.ticks.get() > 0 { poll::IN } else { 0 }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        Ok(anonymous_stat(0o600, ANON_INODE, cx.kernel.config.epoch_ns))
    }

    /// There is no position, yet any is fine (`noop_llseek`).
    fn seek(&self, _cx: &Cx, _offset: i64, _whence: u32) -> Result<u64, Errno> {
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[timerfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.upgrade() {
            self.cancel(&kernel);
        }
    }
}
