//! Timers as files (timerfd_create(2)).
//!
//! Invariant: after a periodic timer has expired, it is started again only when it is read, as in Linux. The expirations
//! in between are counted then, so a timer that is not read costs nothing.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{ANON_INODE, File, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::host::Kernel;
use crate::mm::iov_iter::Buffers;
use crate::sched::wait_queue::WaitQueue;
use crate::time::timer::TimerSpec;
use crate::time::timers::{Expire, TimerId};
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
    /// Absolute times are those of `CLOCK_REALTIME`, not of `CLOCK_MONOTONIC`.
    realtime: bool,
    /// The next expiration, or the last one if it has not been started again; nanoseconds since 1970.
    at: Cell<u64>,
    interval: Cell<u64>,
    /// Expirations since the last read.
    ticks: Cell<u64>,
    /// It has expired and has not been started again.
    expired: Cell<bool>,
    /// Its entry in the queue of the host.
    queued: Cell<Option<TimerId>>,
    changed: WaitQueue,
}

/// What the queue of the host holds: weak, so that a timer goes away when it is closed.
#[derive(Debug)]
struct Tick(Weak<TimerFd>);

impl Expire<Kernel> for Tick {
    fn expire(self: Rc<Self>, _kernel: &Rc<Kernel>) {
        if let Some(timer) = self.0.upgrade() {
            timer.queued.set(None);
            timer.expired.set(true);
            timer.ticks.set(timer.ticks.get().saturating_add(1));
            timer.changed.wake();
        }
    }
}

impl TimerFd {
    /// A timer that is not armed.
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
            queued: Cell::new(None),
            changed: WaitQueue::default(),
        })
    }

    /// Arms it for a time from now (with `absolute`: a moment of its clock), or disarms it.
    pub fn set(&self, kernel: &Kernel, new: TimerSpec, absolute: bool) {
        let TimerSpec { interval, value } = new;
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
        // A moment that has passed is an expiration at once.
        self.at.set(at);
        self.expired.set(true);
        self.ticks.set(1);
        self.changed.wake();
    }

    /// What is left until the next expiration, and the interval.
    pub fn get(&self, kernel: &Kernel) -> TimerSpec {
        let missed = self.restart(kernel);
        self.ticks.set(self.ticks.get().saturating_add(missed));
        let value = match self.queued.get() {
            // Linux never reports 0 for a timer that is armed.
            Some(_) => self.at.get().saturating_sub(kernel.timers.now()).max(1),
            None => 0,
        };
        TimerSpec { interval: self.interval.get(), value }
    }

    fn arm(&self, kernel: &Kernel, at: u64) {
        self.at.set(at);
        self.queued.set(Some(kernel.timers.start(at, Rc::new(Tick(self.me.clone())))));
    }

    fn cancel(&self, kernel: &Kernel) {
        if let Some(id) = self.queued.take() {
            kernel.timers.cancel(id);
        }
    }

    /// Starts a periodic timer that has expired again; returns how many expirations it has missed.
    fn restart(&self, kernel: &Kernel) -> u64 {
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
        let ticks = ticks.saturating_add(self.restart(&cx.kernel));
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

    /// There is no position; any is accepted (`noop_llseek`).
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
