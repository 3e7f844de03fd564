//! Counters of a run.

use crate::syscall::table;
use crate::syscall::table::PLACES;
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::cell::{Cell, RefCell};

/// Counts of calls, tasks and programs.
#[derive(Debug)]
pub struct Stats {
    calls: [Cell<u64>; PLACES],
    refused: [Cell<u64>; PLACES],
    /// Refused calls that have no place of their own, by number.
    unknown: RefCell<BTreeMap<u64, u64>>,
    natives: Cell<u64>,
    tasks: Cell<u64>,
    programs: Cell<u64>,
    stdin: Cell<u64>,
}

/// In [`Counters::stdin`]: a guest has asked for the settings of a terminal, and it is none.
pub const ASKED_FOR_TERMINAL: u64 = 1;
/// In [`Counters::stdin`]: it was then read.
pub const READ_AFTERWARDS: u64 = 2;

/// The counters as plain numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// How often each call was made: number and count, by number.
    pub calls: Vec<(u64, u64)>,
    /// How often each call was refused, in the same way.
    pub refused: Vec<(u64, u64)>,
    /// How many calls the real Linux carried out.
    pub natives: u64,
    /// How many tasks there were.
    pub tasks: u64,
    /// How many programs were started.
    pub programs: u64,
    /// What guests have done with standard input: [`ASKED_FOR_TERMINAL`], [`READ_AFTERWARDS`].
    pub stdin: u64,
    /// How much virtual time has passed since [`crate::config::Config::epoch_ns`].
    pub virtual_ns: u64,
}

impl Default for Stats {
    fn default() -> Stats {
        let zeros = || core::array::from_fn(|_| Cell::new(0));
        Stats {
            calls: zeros(),
            refused: zeros(),
            unknown: RefCell::default(),
            natives: Cell::default(),
            tasks: Cell::default(),
            programs: Cell::default(),
            stdin: Cell::default(),
        }
    }
}

impl Stats {
    /// A call was made.
    pub(crate) fn count(&self, number: u64) {
        self.count_all(number, 1);
    }

    /// A call was made so many times.
    pub(crate) fn count_all(&self, number: u64, times: u64) {
        bump(&self.calls, number, times);
    }

    /// A call was refused.
    pub(crate) fn refuse(&self, number: u64) {
        /// How many numbers are told apart.
        const UNKNOWN: usize = 100;
        let mut unknown = self.unknown.borrow_mut();
        if table::place(number) == PLACES - 1 && (unknown.len() < UNKNOWN || unknown.contains_key(&number)) {
            *unknown.entry(number).or_default() += 1;
        } else {
            bump(&self.refused, number, 1);
        }
    }

    /// The real Linux has carried out a call.
    pub(crate) fn native(&self) {
        self.natives.set(self.natives.get() + 1);
    }

    /// There is one more task.
    pub(crate) fn task(&self) {
        self.tasks.set(self.tasks.get() + 1);
    }

    /// A program was started.
    pub(crate) fn program(&self) {
        self.programs.set(self.programs.get() + 1);
    }

    /// A guest has asked whether standard input is a terminal, and it is none.
    pub(crate) fn no_terminal(&self) {
        self.stdin.set(self.stdin.get() | ASKED_FOR_TERMINAL);
    }

    /// A guest reads standard input.
    pub(crate) fn reads_stdin(&self) {
        if self.stdin.get() == ASKED_FOR_TERMINAL {
            self.stdin.set(ASKED_FOR_TERMINAL | READ_AFTERWARDS);
        }
    }

    /// The counters as they are now.
    #[must_use]
    pub fn counters(&self, virtual_ns: u64) -> Counters {
        Counters {
            calls: counted(&self.calls),
            refused: counted(&self.refused).into_iter().chain(self.unknown.borrow().clone()).collect(),
            natives: self.natives.get(),
            tasks: self.tasks.get(),
            programs: self.programs.get(),
            stdin: self.stdin.get(),
            virtual_ns,
        }
    }
}

#[inline]
fn bump(counters: &[Cell<u64>; PLACES], number: u64, times: u64) {
    let counter = &counters[table::place(number)];
    counter.set(counter.get() + times);
}

fn counted(counters: &[Cell<u64>; PLACES]) -> Vec<(u64, u64)> {
    let numbered = (0..).zip(counters.iter().map(Cell::get));
    numbered.filter(|&(_, count)| count > 0).collect()
}

/// Counts of calls with the calls' names: the most frequent first, then by name.
#[must_use]
pub fn by_name(counts: &[(u64, u64)]) -> Vec<(String, u64)> {
    let name = |number| match table::call(number) {
        Some(info) => info.name.into(),
        None if number == PLACES as u64 - 1 => "others".into(),
        None => format!("call {number}"),
    };
    let mut list: Vec<_> = counts.iter().map(|&(number, count)| (name(number), count)).collect();
    list.sort_by(|(name, count), (other, more)| more.cmp(count).then(name.cmp(other)));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_count_then_name() {
        let stats = Stats::default();
        for number in [1, 0, 0, 39, 1 << 40, u64::MAX] {
            stats.count(number);
        }
        let counters = stats.counters(0);
        let named = [("others", 2), ("read", 2), ("getpid", 1), ("write", 1)];
        assert_eq!(by_name(&counters.calls), named.map(|(name, count)| (name.into(), count)));
        assert_eq!(counters.refused, []);
        for number in [999, 41, 500, 999] {
            stats.refuse(number);
        }
        let named = [("call 999", 2), ("call 500", 1), ("socket", 1)];
        assert_eq!(by_name(&stats.counters(0).refused), named.map(|(name, count)| (name.into(), count)));
    }
}
