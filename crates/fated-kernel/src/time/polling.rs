//! Tasks that poll the clock: one that does nothing else waits for time to pass, and each reading then takes longer than the one before.
//! So a loop until a moment that is seconds away takes thousands of calls rather than millions.
//!
//! Invariant: what a reading takes depends on the calls of its task alone.

use crate::cx::Cx;
use crate::process::task::Task;

/// How many readings in a row take no longer than any other call.
const PATIENCE: u64 = 10_000;
/// After how many more a reading takes as long as one call more.
const STEP: u64 = 64;
/// As how many calls a reading takes at most.
const MOST: u64 = 1000;

/// The latest readings of a task without another call between them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readings {
    count: u64,
    /// The task's CPU time at the end of the last one. Every call adds to it.
    cpu_ns: u64,
}

impl Readings {
    /// How many there are, as the task's CPU time is now.
    fn so_far(self, cpu_ns: u64) -> u64 {
        if self.cpu_ns == cpu_ns { self.count } else { 0 }
    }

    /// How many more take no longer than any other call.
    pub(crate) fn left(self, cpu_ns: u64) -> u64 {
        PATIENCE.saturating_sub(self.so_far(cpu_ns))
    }
}

/// How much longer than any other call the reading takes that makes them `count`.
fn extra_ns(count: u64, call_cost_ns: u64) -> u64 {
    (count.saturating_sub(PATIENCE) / STEP).min(MOST) * call_cost_ns
}

impl Cx {
    /// The running task has made so many readings, whose cost it has been charged.
    pub(crate) fn note_readings(&self, count: u64) {
        let (task, cost) = (&self.task, self.kernel.config.call_cost_ns);
        let now = task.cpu_ns.get();
        let before = task.readings.get().so_far(now.saturating_sub(count * cost));
        task.readings.set(Readings { count: before + count, cpu_ns: now });
    }

    /// The running task reads a clock: notes that, and lets the time pass that this takes longer than any other call.
    pub(crate) fn begin_reading(&self) {
        self.note_readings(1);
        let (task, kernel) = (&self.task, &self.kernel);
        let readings = task.readings.get();
        let extra = extra_ns(readings.count, kernel.config.call_cost_ns);
        if extra > 0 {
            let cpu_ns = readings.cpu_ns + extra;
            task.cpu_ns.set(cpu_ns);
            task.readings.set(Readings { cpu_ns, ..readings });
            kernel.pass_time(extra);
            if kernel.timers.horizon().is_some() {
                kernel.watch();
            }
        }
    }
}

impl Task {
    /// How much longer than any other call its next call may take.
    pub(crate) fn next_extra_ns(&self, call_cost_ns: u64) -> u64 {
        extra_ns(self.readings.get().so_far(self.cpu_ns.get()) + 1, call_cost_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seconds_take_thousands_of_readings() {
        let (mut count, mut ns) = (0, 0);
        while ns < 2_000_000_000 {
            count += 1;
            ns += 1000 + extra_ns(count, 1000);
        }
        assert!((20_000..40_000).contains(&count), "{count}");
        assert_eq!(extra_ns(PATIENCE, 1000), 0);
        assert_eq!(extra_ns(u64::MAX, 1000), 1_000_000);
        assert_eq!(extra_ns(u64::MAX, 0), 0);
    }

    #[test]
    fn another_call_ends_the_row() {
        let readings = Readings { count: 7, cpu_ns: 5000 };
        assert_eq!(readings.left(5000), PATIENCE - 7);
        assert_eq!(readings.left(6000), PATIENCE);
    }
}
