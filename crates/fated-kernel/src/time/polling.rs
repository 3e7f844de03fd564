//! Tasks that poll the clock: one that does nothing else waits for time to pass, and each reading then takes longer than the one before.
//! So a loop until a moment that is seconds away takes thousands of calls rather than millions.
//!
//! Invariant: what a reading takes depends on the calls of its task alone.

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
    /// So many more, the last of which ended at `cpu_ns`; the first began at `began_ns`.
    pub(crate) fn more(self, count: u64, began_ns: u64, cpu_ns: u64) -> Readings {
        Readings { count: self.so_far(began_ns) + count, cpu_ns }
    }

    /// How much longer than any other call the last one takes.
    pub(crate) fn extra_ns(self, call_cost_ns: u64) -> u64 {
        extra_ns(self.count, call_cost_ns)
    }

    /// The last one has taken so much longer.
    pub(crate) fn later(self, extra: u64) -> Readings {
        Readings { cpu_ns: self.cpu_ns + extra, ..self }
    }

    /// How much longer than any other call the next call of the task may take.
    pub(crate) fn next_extra_ns(self, cpu_ns: u64, call_cost_ns: u64) -> u64 {
        extra_ns(self.so_far(cpu_ns) + 1, call_cost_ns)
    }

    /// How many there are, as the task's CPU time is now.
    fn so_far(self, cpu_ns: u64) -> u64 {
        if self.cpu_ns == cpu_ns { self.count } else { 0 }
    }

    /// How many more take as long as the next one.
    pub(crate) fn left(self, cpu_ns: u64) -> u64 {
        let next = self.so_far(cpu_ns).saturating_add(1);
        match next.checked_sub(PATIENCE + 1) {
            None => PATIENCE + 1 - next,
            Some(_) if (next - PATIENCE) / STEP >= MOST => u64::MAX,
            Some(_) => STEP - (next - PATIENCE) % STEP,
        }
    }
}

/// How much longer than any other call the reading takes that makes them `count`.
fn extra_ns(count: u64, call_cost_ns: u64) -> u64 {
    (count.saturating_sub(PATIENCE) / STEP).min(MOST) * call_cost_ns
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

    #[test]
    fn readings_that_are_left_take_equally_long() {
        for count in (0..200_000).step_by(7) {
            let (extra, left) = (extra_ns(count + 1, 1000), Readings { count, cpu_ns: 0 }.left(0));
            assert_eq!(extra_ns(count.saturating_add(left), 1000), extra, "{count}");
            assert!(left >= 1 && (left <= PATIENCE || extra == MOST * 1000), "{count}");
        }
    }
}
