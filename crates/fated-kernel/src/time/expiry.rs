//! Time passes, and timers expire. Readings of a clock may take more than their call costs (`polling`).

use crate::cx::Cx;
use crate::host::Kernel;
use alloc::rc::Rc;

/// The outcome of a jump in time.
pub(crate) enum Jump {
    /// The next timer has expired.
    Done,
    /// The next timer expires at this moment, beyond the horizon.
    BeyondHorizon(u64),
    /// No timer is pending.
    NoTimer,
}

impl Kernel {
    /// Lets `ns` of virtual time pass.
    #[inline]
    pub fn pass_time(self: &Rc<Self>, ns: u64) {
        if self.timers.advance_to(self.timers.now().saturating_add(ns)) {
            self.run_expired_timers();
        }
    }

    /// Lets time jump to the next expiry, if that is by the horizon.
    pub(crate) fn jump(self: &Rc<Self>) -> Jump {
        let Some(at) = self.timers.next_at() else { return Jump::NoTimer };
        if self.timers.horizon().is_some_and(|horizon| at > horizon) {
            return Jump::BeyondHorizon(at);
        }
        self.timers.advance_to(at);
        self.run_expired_timers();
        Jump::Done
    }

    #[cold]
    fn run_expired_timers(self: &Rc<Self>) {
        while let Some(expiry) = self.timers.pop_expired() {
            expiry.expire(self);
        }
        if self.timers.is_at_horizon() {
            // The end of the call has to see that.
            self.watch();
        }
    }
}

impl Cx {
    /// The running task has made so many readings, for each of which it has been charged `cost`.
    pub(crate) fn note_readings(&self, count: u64, cost: u64) {
        let task = &self.task;
        let now = task.cpu_ns.get();
        task.readings.set(task.readings.get().more(count, now.saturating_sub(count * cost), now));
    }

    /// The running task reads a clock: notes that, and lets the time pass that this takes longer than any other call.
    pub(crate) fn begin_reading(&self) {
        self.note_readings(1, self.kernel.config.call_cost_ns);
        let (task, kernel) = (&self.task, &self.kernel);
        let readings = task.readings.get();
        let extra = readings.extra_ns(kernel.config.call_cost_ns);
        if extra > 0 {
            task.cpu_ns.set(task.cpu_ns.get() + extra);
            task.readings.set(readings.later(extra));
            kernel.pass_time(extra);
            if kernel.timers.horizon().is_some() {
                kernel.watch();
            }
        }
    }
}
