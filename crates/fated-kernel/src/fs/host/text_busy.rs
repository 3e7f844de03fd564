//! Uses of real files that exclude each other: a running program can't be opened for writing, and a file that is open for writing can't be
//! executed (`ETXTBSY`; open(2), execve(2)).
//!
//! Linux enforces that in the execs that it carries out. An engine that loads programs itself has no such exec, and its real processes
//! close their files some time after they have ended; so the kernel keeps its own account.

use crate::fs::inode::FileStat;
use alloc::{
    collections::BTreeMap,
    rc::{Rc, Weak},
};
use core::cell::RefCell;

/// One or several uses of a file: it lasts as long as this value.
#[derive(Debug)]
pub struct Use;

/// All uses of one kind, by real device and inode.
#[derive(Debug, Default)]
pub struct Uses(RefCell<BTreeMap<(u64, u64), Weak<Use>>>);

impl Uses {
    /// A use of a file begins.
    pub fn begin(&self, real: &FileStat) -> Rc<Use> {
        /// Uses that have ended are forgotten when there may be more of them than others.
        const FEW: usize = 64;
        let mut uses = self.0.borrow_mut();
        if uses.len() >= FEW && uses.len().is_power_of_two() {
            uses.retain(|_, one| one.strong_count() > 0);
        }
        let slot = uses.entry((real.dev, real.ino)).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let new = Rc::new(Use);
            *slot = Rc::downgrade(&new);
            new
        })
    }

    /// Whether a file is in use.
    #[must_use]
    pub fn has(&self, real: &FileStat) -> bool {
        self.0.borrow().get(&(real.dev, real.ino)).is_some_and(|one| one.strong_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(ino: u64) -> FileStat {
        FileStat { ino, ..FileStat::default() }
    }

    #[test]
    fn a_file_is_used_as_long_as_one_user_is_left() {
        let uses = Uses::default();
        let first = uses.begin(&file(1));
        let second = uses.begin(&file(1));
        drop(first);
        assert!(uses.has(&file(1)) && !uses.has(&file(2)));
        drop(second);
        assert!(!uses.has(&file(1)));
        let _again = uses.begin(&file(1));
        assert!(uses.has(&file(1)));
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let uses = Uses::default();
        let _lasting = uses.begin(&file(0));
        (1..10_000).for_each(|ino| drop(uses.begin(&file(ino))));
        assert!(uses.0.borrow().len() <= 64 && uses.has(&file(0)));
    }
}
