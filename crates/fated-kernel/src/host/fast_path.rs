//! What calls may leave out, and an engine may do without the kernel, as nothing would come of it. A run with that is the same as
//! one in which every call looks at everything.

use crate::config::Policy;
use crate::cx::Cx;
use crate::host::Kernel;
use crate::process::task::Task;
use linux_raw_sys::general::__NR_clock_gettime;

impl Kernel {
    /// Whether a call of the running task has to look at more than the clock, its slice and its signals: at a log, timers on CPU
    /// time, the order under PCT, awaited input or the end of the run.
    ///
    /// Found out when a task gets its turn. What brings about one of these meanwhile says so ([`Kernel::watch`]).
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.get()
    }

    /// From now on there is more to look at.
    pub(crate) fn watch(&self) {
        self.watched.set(true);
    }

    pub(super) fn has_to_watch(&self, task: &Task) -> bool {
        self.config.log
            || matches!(self.config.policy, Policy::Pct { .. })
            || self.ending.get()
            || self.journal.obeys()
            || self.streams.are_awaited()
            || task.process.timers.cpu.get()
    }
}

impl Cx {
    /// How many times the running task may read a clock, one reading after the other, until the kernel has to be asked: for
    /// a timer, for the end of its slice, or for a log. Each reading takes [`crate::config::Config::call_cost_ns`] and then shows the time.
    #[must_use]
    pub fn readings_ahead(&self) -> u64 {
        let (kernel, task) = (&self.kernel, &self.task);
        if kernel.is_watched() || task.looks_at_signals() {
            return 0;
        }
        let until = kernel.timers.next_at().map_or(u64::MAX, |at| at.saturating_sub(kernel.timers.now() + 1));
        task.entity.left().min(until.checked_div(kernel.config.call_cost_ns).unwrap_or(u64::MAX))
    }

    /// The running task has read a clock so many times, no more often than it might.
    pub fn readings_made(&self, count: u64) {
        let (kernel, task) = (&self.kernel, &self.task);
        let time = count * kernel.config.call_cost_ns;
        kernel.stats.count_all(u64::from(__NR_clock_gettime), count);
        task.cpu_ns.set(task.cpu_ns.get() + time);
        task.entity.count(count as u32);
        kernel.pass_time(time);
    }
}
