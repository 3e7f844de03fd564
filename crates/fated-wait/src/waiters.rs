//! Blocked threads, indexed by what they wait for.

use crate::request::{__WALL, __WCLONE, __WNOTHREAD, Selector, WCONTINUED, WEXITED, WSTOPPED, WaitRequest};
use crate::table::{NONE, Slot};
use alloc::collections::BTreeMap;

/// Blocked threads, in classes whose members get the same answers.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    pub classes: BTreeMap<Ask, BTreeMap<u64, Slot>>,
    pub places: BTreeMap<Slot, (Ask, u64)>,
    blocked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ask {
    pub group: u32,
    pub selector: Selector,
    /// The thread, with `__WNOTHREAD`.
    pub only: Slot,
    pub options: u32,
}

impl Waiters {
    pub fn insert(&mut self, group: u32, waiter: Slot, request: &WaitRequest) {
        const MATTER: u32 = WEXITED | WSTOPPED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD;
        let only = if request.has(__WNOTHREAD) { waiter } else { NONE };
        let class = Ask { group, selector: request.selector, only, options: request.options & MATTER };
        self.blocked += 1;
        self.classes.entry(class).or_default().insert(self.blocked, waiter);
        self.places.insert(waiter, (class, self.blocked));
    }

    pub fn remove(&mut self, waiter: Slot) {
        if let Some((class, place)) = self.places.remove(&waiter)
            && let Some(members) = self.classes.get_mut(&class)
        {
            members.remove(&place);
            if members.is_empty() {
                self.classes.remove(&class);
            }
        }
    }
}
