//! Counters of a run.

use crate::table;
use alloc::vec::Vec;
use core::cell::Cell;

/// All numbers of calls are below this.
const NUMBERS: usize = 512;

/// How often what happened.
#[derive(Debug)]
pub struct Stats {
    calls: [Cell<u64>; NUMBERS],
    refused: [Cell<u64>; NUMBERS],
    natives: Cell<u64>,
}

impl Default for Stats {
    fn default() -> Stats {
        let zeros = || core::array::from_fn(|_| Cell::new(0));
        Stats { calls: zeros(), refused: zeros(), natives: Cell::new(0) }
    }
}

impl Stats {
    /// A call was made.
    pub(crate) fn count(&self, number: u64) {
        bump(&self.calls, number);
    }

    /// A call was refused.
    pub(crate) fn refuse(&self, number: u64) {
        bump(&self.refused, number);
    }

    /// The real Linux has carried out a call for the kernel, or in its place.
    pub(crate) fn native(&self) {
        self.natives.set(self.natives.get() + 1);
    }

    /// How many calls the real Linux carried out.
    #[must_use]
    pub fn natives(&self) -> u64 {
        self.natives.get()
    }

    /// How often each call was made; the most frequent first, then by name.
    #[must_use]
    pub fn by_name(&self) -> Vec<(&'static str, u64)> {
        sorted(&self.calls)
    }

    /// How often each call was refused, in the same order.
    #[must_use]
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        sorted(&self.refused)
    }
}

/// Numbers that Linux doesn't have count as the last one, which it hasn't either.
fn bump(counters: &[Cell<u64>; NUMBERS], number: u64) {
    let counter = &counters[(number as usize).min(NUMBERS - 1)];
    counter.set(counter.get() + 1);
}

fn sorted(counters: &[Cell<u64>; NUMBERS]) -> Vec<(&'static str, u64)> {
    let name = |number| table::call(number as u64).map_or("unknown", |info| info.name);
    let counted = counters.iter().enumerate().filter(|(_, count)| count.get() > 0);
    let mut list: Vec<_> = counted.map(|(number, count)| (name(number), count.get())).collect();
    list.sort_by(|(name, count), (other, more)| more.cmp(count).then(name.cmp(other)));
    list
}

#[cfg(test)]
mod tests {
    use super::Stats;

    #[test]
    fn sorts_by_count_then_name() {
        let stats = Stats::default();
        for number in [1, 0, 0, 39, 1 << 40, u64::MAX] {
            stats.count(number);
        }
        assert_eq!(stats.by_name(), [("read", 2), ("unknown", 2), ("getpid", 1), ("write", 1)]);
        assert_eq!(stats.refused(), []);
    }
}
