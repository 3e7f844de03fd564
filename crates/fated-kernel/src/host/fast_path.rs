//! The fast path of calls: one flag that says whether a call has to look at anything rare, and readings of the clock that an engine
//! may make without asking the kernel.
//!
//! Invariant: a run that takes the fast path is the same as one in which every call looks at everything.

use crate::config::Policy;
use crate::cx::Cx;
use crate::host::Kernel;
use crate::process::task::Task;
use linux_raw_sys::general::__NR_clock_gettime;

impl Kernel {
    /// Whether a call of the running task has to look at more than the clock, its slice and its signals: at a log, timers on CPU
    /// time, the order under PCT, awaited input, the horizon, or the end of the run.
    ///
    /// Found out when a task gets its turn. What changes one of these during a turn calls [`Kernel::watch`].
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.get()
    }

    /// From now on, calls look at everything.
    pub(crate) fn watch(&self) {
        self.watched.set(true);
    }

    /// A task gets its turn.
    pub(crate) fn begin_turn(&self, task: &Task) {
        let watched = self.config.log
            || matches!(self.config.policy, Policy::Pct { .. })
            || self.run.ending.get()
            || self.journal.obeys()
            || self.streams.are_awaited()
            || task.process.timers.cpu.get();
        self.watched.set(watched);
    }
}

impl Cx {
    /// How many times the running task may read a clock before the kernel has to be asked again: for a timer, the horizon, the end
    /// of its slice, or a log, or since it polls the clock. Each reading takes [`Cx::reading_cost_ns`] and then shows the time.
    #[must_use]
    pub fn readings_ahead(&self) -> u64 {
        let (kernel, task) = (&self.kernel, &self.task);
        if kernel.is_watched() || task.looks_at_signals() {
            return 0;
        }
        let until = kernel.timers.undisturbed_ns();
        let in_a_row = task.readings.get().left(task.cpu_ns.get());
        task.entity.left().min(in_a_row).min(until.checked_div(self.reading_cost_ns()).unwrap_or(u64::MAX))
    }

    /// How long each of these readings takes.
    #[must_use]
    pub fn reading_cost_ns(&self) -> u64 {
        let (task, cost) = (&self.task, self.kernel.config.call_cost_ns);
        cost.saturating_add(task.readings.get().next_extra_ns(task.cpu_ns.get(), cost))
    }

    /// Charges the running task for `count` readings of a clock, at most as many as [`Cx::readings_ahead`] allowed.
    pub fn readings_made(&self, count: u64) {
        let (kernel, task, cost) = (&self.kernel, &self.task, self.reading_cost_ns());
        let time = count * cost;
        kernel.stats.count_all(u64::from(__NR_clock_gettime), count);
        task.cpu_ns.set(task.cpu_ns.get() + time);
        self.note_readings(count, cost);
        task.entity.count(count as u32);
        kernel.pass_time(time);
    }
}
