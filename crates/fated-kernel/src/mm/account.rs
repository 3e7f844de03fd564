//! What is kept of the size of an address space between two looks at it. The real memory map has it exactly, but reading that takes
//! longer than most calls; so calls on memory only note by how much they change it, and the map is read when somebody asks
//! ([`look`](super::sizes::look)), or when the notes no longer say how large it is.
//!
//! Invariant: what is noted and when the map is read follow from the guest's calls alone.

use crate::machine::MEMORY_BYTES;
use core::cell::Cell;

/// How much may be uncertain: the peak is known up to that, if the guest unmaps what is mapped.
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
    /// What has come since then, what may have, and what has gone, in bytes.
    come: Peak,
    uncertain: u64,
    gone: u64,
    changed: bool,
    /// The end of the heap that was asked for last.
    heap: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    total: u64,
    resident: u64,
}

impl Peak {
    fn include(&mut self, other: Peak) {
        self.total = self.total.max(other.total);
        self.resident = self.resident.max(other.resident);
    }
}

/// The account of a process.
#[derive(Debug)]
pub struct Account(Cell<State>);

impl Default for Account {
    /// That of a program of which nothing is known.
    fn default() -> Account {
        let (last, peak, come) = Default::default();
        Account(Cell::new(State { last, peak, before: 0, come, uncertain: UNSEEN, gone: 0, changed: true, heap: None }))
    }
}

impl Account {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.get();
        change(&mut state);
        self.0.set(state);
    }

    /// So many bytes are mapped, of which so many count as resident.
    pub fn grows(&self, bytes: u64, resident: u64) {
        if bytes > MEMORY_BYTES {
            // Linux may refuse it.
            return self.may_grow(bytes);
        }
        self.change(|it| {
            it.come.total += bytes;
            it.come.resident += resident;
            it.changed = true;
        });
    }

    /// So many bytes may come to be mapped or resident that weren't.
    pub fn may_grow(&self, bytes: u64) {
        self.change(|it| {
            it.uncertain = it.uncertain.saturating_add(bytes);
            it.changed = true;
        });
    }

    /// So many bytes go, as far as they are mapped; what there was before has been [noted](Account::note).
    pub fn shrinks(&self, bytes: u64) {
        self.change(|it| {
            it.gone = it.gone.saturating_add(bytes);
            it.changed = true;
        });
    }

    /// Where the heap ends, as far as is known.
    #[must_use]
    pub fn heap(&self) -> Option<u64> {
        self.0.get().heap
    }

    /// The heap is asked to end at `end`.
    pub fn set_heap(&self, end: u64) {
        self.change(|it| it.heap = Some(end));
    }

    /// Whether anything may be different from what the last look saw.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.0.get().changed
    }

    /// Notes how large the memory is, since it is about to become smaller or to go. Returns how many pages came since the last time;
    /// `None` if only a look at the map can tell.
    pub fn note(&self) -> Option<u64> {
        let it = self.0.get();
        let total = (it.last.total + it.come.total).checked_sub(it.gone)?;
        let resident = (it.last.resident + it.come.resident).checked_sub(it.gone)?;
        if it.uncertain >= UNSEEN {
            return None;
        }
        let last = Peak { total, resident: resident.min(MEMORY_BYTES) };
        self.change(|it| {
            it.last = last;
            it.peak.include(last);
            (it.come, it.gone) = Default::default();
        });
        Some(it.come.resident / PAGE)
    }

    /// A look at the map has seen this. Returns how many pages came since the last one, at least.
    pub fn seen(&self, total: u64, resident: u64) -> u64 {
        let mut faults = 0;
        self.change(|it| {
            faults = resident.saturating_sub(it.last.resident.saturating_sub(it.gone)) / PAGE;
            it.last = Peak { total, resident };
            it.peak.include(it.last);
            (it.come, it.uncertain, it.gone, it.changed) = Default::default();
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

    /// The process has loaded another program, which has so many bytes.
    pub fn exec(&self, bytes: u64) {
        let before = self.max_resident();
        let size = Peak { total: bytes, resident: bytes };
        self.0.set(State { before, last: size, peak: size, uncertain: 0, ..Account::default().0.get() });
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
        assert_eq!(account.note(), None);
        assert_eq!(look(&account, 1 << 20), 256);
        assert!(!account.has_changed());
        for _ in 0..3 {
            account.grows(8 << 20, 8 << 20);
            assert_eq!(account.note(), Some(2048));
            account.shrinks(8 << 20);
            assert!(account.has_changed());
        }
        assert_eq!((account.peak_resident(), account.peak_total()), (9 << 20, 10 << 20));
        account.grows(9 << 20, 0);
        assert_eq!(account.note(), Some(0));
        assert_eq!((account.peak_resident(), account.peak_total()), (9 << 20, 11 << 20));
        account.grows(1 << 40, 1 << 40);
        assert_eq!(account.note(), None, "Linux may have refused that");
        assert_eq!((account.peak_resident(), account.peak_total()), (9 << 20, 11 << 20));
        assert_eq!(look(&account, 1 << 20), 0);
        assert_eq!(account.forked().max_resident(), 1 << 20);
        account.exec(5 << 20);
        assert_eq!((account.peak_resident(), account.max_resident()), (5 << 20, 9 << 20));
        assert_eq!(account.note(), Some(0));
    }

    #[test]
    fn what_is_uncertain_is_looked_at() {
        let account = Account::default();
        look(&account, 8 << 20);
        account.may_grow(UNSEEN - 1);
        assert_eq!(account.note(), Some(0));
        account.may_grow(1);
        assert_eq!(account.note(), None);
        look(&account, 8 << 20);
        account.shrinks(9 << 20);
        assert_eq!(account.note(), None, "more has gone than there was");
        assert_eq!(look(&account, 2 << 20), 512);
    }
}
