//! What is kept of the size of an address space between two looks at it. The real memory map has it exactly, but reading that takes
//! longer than most calls; so calls on memory only note how much it may have changed, and the map is read when that is much
//! or somebody asks ([`look`](super::sizes::look)).
//!
//! Invariant: what is noted and when the map is read follow from the guest's calls alone.

use crate::machine::MEMORY_BYTES;
use core::cell::Cell;

/// How much memory may come without a look at it when it goes again: the peak is known up to that.
const UNSEEN: u64 = 1 << 20;
const PAGE: u64 = 4096;

#[derive(Clone, Copy, Debug)]
struct State {
    /// What the last look has seen.
    last: Peak,
    /// The most that a look has seen.
    peak: Peak,
    /// The same of the programs that the process has run before, in resident bytes.
    before: u64,
    /// What may have come and gone since the last look, in bytes.
    come: u64,
    gone: u64,
    changed: bool,
    /// The end of the heap that was asked for last.
    heap: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    total: u64,
    resident: u64,
}

/// The account of a process.
#[derive(Debug)]
pub struct Account(Cell<State>);

impl Default for Account {
    /// That of a program which has just been loaded.
    fn default() -> Account {
        let (last, peak) = Default::default();
        Account(Cell::new(State { last, peak, before: 0, come: UNSEEN, gone: 0, changed: true, heap: 0 }))
    }
}

impl Account {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.get();
        change(&mut state);
        self.0.set(state);
    }

    /// So many bytes may come to be resident.
    pub fn grows(&self, bytes: u64) {
        let bytes = if bytes > MEMORY_BYTES { 0 } else { bytes };
        self.change(|it| {
            it.come = it.come.saturating_add(bytes);
            it.changed = true;
        });
    }

    /// So many bytes may go; [`Account::may_have_risen`] is to be asked before.
    pub fn shrinks(&self, bytes: u64) {
        self.change(|it| {
            it.gone = it.gone.saturating_add(bytes);
            it.changed = true;
        });
    }

    /// By how many bytes the heap grows or shrinks if it ends at `end`.
    #[must_use]
    pub fn heap_change(&self, end: u64) -> i64 {
        let heap = self.0.get().heap;
        if heap == 0 { UNSEEN as i64 } else { end.wrapping_sub(heap) as i64 }
    }

    /// The heap is asked to end at `end`.
    pub fn set_heap(&self, end: u64) {
        self.change(|it| it.heap = end);
    }

    /// Whether anything may be different from what the last look saw.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.0.get().changed
    }

    /// Whether enough has come since the last look that the peak isn't known.
    #[must_use]
    pub fn may_have_risen(&self) -> bool {
        self.0.get().come >= UNSEEN
    }

    /// A look at the map has seen this. Returns how many pages came since the last one, at least.
    pub fn seen(&self, total: u64, resident: u64) -> u64 {
        let mut faults = 0;
        self.change(|it| {
            faults = resident.saturating_sub(it.last.resident.saturating_sub(it.gone)) / PAGE;
            it.last = Peak { total, resident };
            it.peak.total = it.peak.total.max(total);
            it.peak.resident = it.peak.resident.max(resident);
            (it.come, it.gone, it.changed) = (0, 0, false);
        });
        faults
    }

    /// The largest size that was seen, in bytes (`VmPeak`).
    #[must_use]
    pub fn peak_total(&self) -> u64 {
        self.0.get().peak.total
    }

    /// The most resident bytes that were seen (`VmHWM`).
    #[must_use]
    pub fn peak_resident(&self) -> u64 {
        self.0.get().peak.resident
    }

    /// The most resident bytes, earlier programs of the process included (`ru_maxrss`).
    #[must_use]
    pub fn max_resident(&self) -> u64 {
        let it = self.0.get();
        it.peak.resident.max(it.before)
    }

    /// That of a copy of the process. Its peak is what it begins with.
    #[must_use]
    pub fn forked(&self) -> Account {
        let it = self.0.get();
        Account(Cell::new(State { peak: it.last, before: 0, ..it }))
    }

    /// The process has loaded another program.
    pub fn exec(&self) {
        let before = self.max_resident();
        self.0.set(State { before, ..Account::default().0.get() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(account: &Account, resident: u64) -> u64 {
        account.seen(2 * resident, resident)
    }

    #[test]
    fn the_peak_stays_and_faults_add_up() {
        let account = Account::default();
        assert!(account.may_have_risen());
        assert_eq!(look(&account, 1 << 20), 256);
        assert!(!account.has_changed());
        account.grows(8 << 20);
        assert!(account.may_have_risen());
        assert_eq!(look(&account, 9 << 20), 2048);
        account.shrinks(8 << 20);
        assert!(account.has_changed() && !account.may_have_risen());
        account.grows(8 << 20);
        assert_eq!(look(&account, 9 << 20), 2048);
        account.shrinks(8 << 20);
        assert_eq!(look(&account, 1 << 20), 0);
        assert_eq!((account.peak_resident(), account.peak_total()), (9 << 20, 18 << 20));
        assert_eq!(account.forked().max_resident(), 1 << 20);
        account.exec();
        assert_eq!((account.peak_resident(), account.max_resident()), (0, 9 << 20));
    }

    #[test]
    fn the_heap_is_followed() {
        let account = Account::default();
        account.set_heap(5000);
        assert_eq!((account.heap_change(6000), account.heap_change(4000)), (1000, -1000));
    }
}
