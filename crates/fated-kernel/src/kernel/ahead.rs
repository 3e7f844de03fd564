//! Readings of the clock that an engine answers by itself: how many may come before anything else has to happen, and the account
//! of those that came. A run with them is the same as one in which the kernel has seen each of them.

use crate::config::Policy;
use crate::cx::Cx;
use linux_raw_sys::general::__NR_clock_gettime;

impl Cx {
    /// How many times the running task may read a clock, one reading after the other, until the kernel has to be asked: for
    /// an alarm, for the end of its slice, or for a log. Each reading takes [`crate::config::Config::call_cost_ns`] and then shows the time.
    #[must_use]
    pub fn readings_ahead(&self) -> u64 {
        let (kernel, task) = (&self.kernel, &self.task);
        let watched = kernel.config.log
            || matches!(kernel.config.policy, Policy::Pct { .. })
            || kernel.exit_status.get().is_some()
            || kernel.streams.are_awaited()
            || task.process.timers.cpu.get()
            || task.looks_at_signals();
        if watched {
            return 0;
        }
        let (used, length) = task.slice.get();
        let of_slice = u64::from(length).saturating_sub(u64::from(used) + 1);
        let until = kernel.timers.next_at().map_or(u64::MAX, |at| at.saturating_sub(kernel.timers.now() + 1));
        of_slice.min(until.checked_div(kernel.config.call_cost_ns).unwrap_or(u64::MAX))
    }

    /// The running task has read a clock so many times, no more often than it might.
    pub fn readings_made(&self, count: u64) {
        let (kernel, task) = (&self.kernel, &self.task);
        let time = count * kernel.config.call_cost_ns;
        kernel.stats.count_all(u64::from(__NR_clock_gettime), count);
        task.cpu_ns.set(task.cpu_ns.get() + time);
        let (used, length) = task.slice.get();
        task.slice.set((used + count as u32, length));
        kernel.pass_time(time);
    }
}
