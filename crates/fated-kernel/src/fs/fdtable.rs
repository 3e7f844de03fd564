//! The table of descriptors (`struct files_struct`): which numbers are open, on what, and what exec closes.
//!
//! The kernel assigns the numbers: the lowest free one, below the soft `RLIMIT_NOFILE` (else `EMFILE`). The real process has the same numbers, on
//! the real file or on a placeholder, so calls that pass need no translation.
//!
//! A regular file that is only read is the real Linux's alone. It has an entry without an allocation ([`HostFile`]), and reads of
//! it pass.
//!
//! Invariants: a number that is open in the real process is not [`Slot::Free`] here. When an open passes and the engine does
//! not report its result, its number is [`Slot::Passed`]; no other open passes before that is settled.

use crate::fs::locks::Held;
use alloc::{rc::Rc, vec::Vec};
use core::cell::{Cell, OnceCell, RefCell};

/// A descriptor of an open file that the kernel knows.
#[derive(Clone, Debug)]
pub struct Descriptor<O> {
    /// The open file description.
    pub open: O,
    /// Closed by exec.
    pub cloexec: bool,
}

/// A descriptor of a file that the real Linux alone has open: the id of its open file description, which dup and fork copy, and
/// the close-on-exec flag in the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFile(u64);

impl HostFile {
    /// A descriptor of the open file description `id`.
    #[must_use]
    pub fn new(id: u64, cloexec: bool) -> HostFile {
        HostFile(id << 1 | u64::from(cloexec))
    }

    /// The open file description: all descriptors with this id share it.
    #[must_use]
    pub fn id(self) -> u64 {
        self.0 >> 1
    }

    /// Whether exec closes it.
    #[must_use]
    pub fn cloexec(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What stands at a number.
#[derive(Clone, Debug, Default)]
pub enum Slot<O> {
    /// Nothing.
    #[default]
    Free,
    /// A file of the real Linux, if the open that passed has succeeded: the first to need that asks the real Linux.
    Passed(HostFile),
    /// A file of the real Linux.
    Host(HostFile),
    /// An open file that the kernel knows.
    Open(Descriptor<O>),
}

const _: () = assert!(size_of::<Slot<Rc<()>>>() == 16, "forks copy tables");

impl<O> Slot<O> {
    /// Whether nothing is open there.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self, Slot::Free)
    }

    /// The close-on-exec flag.
    #[must_use]
    pub fn cloexec(&self) -> bool {
        match self {
            Slot::Free => false,
            Slot::Passed(file) | Slot::Host(file) => file.cloexec(),
            Slot::Open(descriptor) => descriptor.cloexec,
        }
    }

    /// The same open file with another close-on-exec flag.
    #[must_use]
    pub fn with_cloexec(self, cloexec: bool) -> Slot<O> {
        match self {
            Slot::Free => Slot::Free,
            Slot::Passed(file) => Slot::Passed(HostFile::new(file.id(), cloexec)),
            Slot::Host(file) => Slot::Host(HostFile::new(file.id(), cloexec)),
            Slot::Open(descriptor) => Slot::Open(Descriptor { cloexec, ..descriptor }),
        }
    }

    fn is_passed(&self) -> bool {
        matches!(self, Slot::Passed(_))
    }
}

/// A table of descriptors. Threads share one; a fork copies it. `O` is an open file description.
#[derive(Debug)]
pub struct FdTable<O> {
    /// By number.
    slots: RefCell<Vec<Slot<O>>>,
    /// No number below this one is free.
    next: Cell<usize>,
    /// How many slots are [`Slot::Passed`].
    passed: Cell<usize>,
    /// The record locks of the tasks that share the table, once there have been some.
    pub locked: OnceCell<Held>,
}

/// The index of a descriptor. A negative number has an index beyond every table.
fn index(fd: i32) -> usize {
    fd as u32 as usize
}

impl<O> Default for FdTable<O> {
    fn default() -> FdTable<O> {
        FdTable { slots: RefCell::default(), next: Cell::new(0), passed: Cell::new(0), locked: OnceCell::new() }
    }
}

impl<O: Clone> FdTable<O> {
    /// The open file at `fd`, if the kernel knows it.
    #[must_use]
    pub fn get(&self, fd: i32) -> Option<O> {
        match self.slots.borrow().get(index(fd))? {
            Slot::Open(descriptor) => Some(descriptor.open.clone()),
            _ => None,
        }
    }

    /// What stands at `fd`.
    #[must_use]
    pub fn slot(&self, fd: i32) -> Slot<O> {
        self.slots.borrow().get(index(fd)).cloned().unwrap_or_default()
    }

    /// Puts a slot at a number, and returns the old one. The caller drops that, since the end of an open file can have effects.
    pub fn put(&self, fd: i32, slot: Slot<O>) -> Slot<O> {
        let at = index(fd);
        if fd < 0 {
            return Slot::Free;
        }
        let (frees, passes) = (slot.is_free(), slot.is_passed());
        let mut slots = self.slots.borrow_mut();
        if slots.len() <= at {
            if frees {
                return Slot::Free;
            }
            slots.resize(at + 1, Slot::Free);
        }
        let Some(place) = slots.get_mut(at) else { return Slot::Free };
        let old = core::mem::replace(place, slot);
        drop(slots);
        if frees {
            self.next.set(self.next.get().min(at));
        }
        if passes != old.is_passed() {
            self.passed.set(if passes { self.passed.get() + 1 } else { self.passed.get().saturating_sub(1) });
        }
        old
    }

    /// Enters an open file, for which the real process has a placeholder. The old one at this number is closed.
    pub fn set(&self, fd: i32, open: O, cloexec: bool) {
        drop(self.put(fd, Slot::Open(Descriptor { open, cloexec })));
    }

    /// Sets the close-on-exec flag.
    pub fn set_cloexec(&self, fd: i32, cloexec: bool) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(index(fd)) {
            *slot = core::mem::take(slot).with_cloexec(cloexec);
        }
    }

    /// Frees a number, and returns what stood there.
    pub fn remove(&self, fd: i32) -> Slot<O> {
        self.put(fd, Slot::Free)
    }

    /// The lowest free number from `min` on.
    #[must_use]
    pub fn lowest(&self, min: usize) -> usize {
        let next = self.next.get();
        let from = min.max(next);
        let slots = self.slots.borrow();
        let rest = slots.get(from..).unwrap_or_default();
        let free = from + rest.iter().position(Slot::is_free).unwrap_or(rest.len());
        if min <= next {
            self.next.set(free);
        }
        free
    }

    /// Whether any number is [`Slot::Passed`].
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.passed.get() > 0
    }

    /// Settles `fd`: the real Linux has been asked whether it is open.
    pub fn settle(&self, fd: i32, is_open: bool) {
        if self.is_unsettled()
            && let Slot::Passed(file) = self.slot(fd)
        {
            drop(self.put(fd, if is_open { Slot::Host(file) } else { Slot::Free }));
        }
    }

    /// The numbers that are [`Slot::Passed`].
    #[must_use]
    pub fn unsettled(&self) -> Vec<i32> {
        if !self.is_unsettled() {
            return Vec::new();
        }
        let slots = self.slots.borrow();
        slots.iter().zip(0..).filter(|(slot, _)| slot.is_passed()).map(|(_, fd)| fd).collect()
    }

    /// A file of the real Linux is known to the kernel from now on.
    pub fn make_known(&self, id: u64, open: &O) {
        let mut slots = self.slots.borrow_mut();
        for slot in slots.iter_mut() {
            if let Slot::Host(file) = slot
                && file.id() == id
            {
                *slot = Slot::Open(Descriptor { open: open.clone(), cloexec: file.cloexec() });
            }
        }
    }

    /// All numbers that are open, in order.
    #[must_use]
    pub fn numbers(&self) -> Vec<i32> {
        let slots = self.slots.borrow();
        slots.iter().zip(0..).filter(|(slot, _)| !slot.is_free()).map(|(_, fd)| fd).collect()
    }

    /// A copy, as fork makes it.
    #[must_use]
    pub fn copy(&self) -> Rc<FdTable<O>> {
        let slots = self.slots.borrow();
        let len = slots.iter().rposition(|slot| !slot.is_free()).map_or(0, |last| last + 1);
        Rc::new(FdTable {
            slots: RefCell::new(slots.get(..len).unwrap_or_default().to_vec()),
            next: Cell::new(self.next.get().min(len)),
            passed: self.passed.clone(),
            locked: OnceCell::new(),
        })
    }

    /// The numbers that exec closes.
    #[must_use]
    pub fn closed_by_exec(&self) -> Vec<i32> {
        let slots = self.slots.borrow();
        slots.iter().zip(0..).filter(|(slot, _)| slot.cloexec()).map(|(_, fd)| fd).collect()
    }

    /// Drops what exec closes.
    pub fn close_on_exec(&self) {
        let closed: Vec<Slot<O>> = self.closed_by_exec().into_iter().map(|fd| self.remove(fd)).collect();
        drop(closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Files = FdTable<Rc<()>>;

    fn host(id: u64) -> Slot<Rc<()>> {
        Slot::Host(HostFile::new(id, false))
    }

    #[test]
    fn the_lowest_free_number_is_given_out() {
        let files = Files::default();
        for fd in 0..5 {
            assert_eq!(files.lowest(0), fd);
            files.put(fd as i32, host(fd as u64));
        }
        files.put(9, host(9));
        assert_eq!((files.lowest(0), files.lowest(7), files.lowest(9)), (5, 7, 10));
        files.remove(3);
        files.remove(1);
        assert_eq!((files.lowest(2), files.lowest(0)), (3, 1));
        files.put(1, host(1));
        assert_eq!(files.lowest(0), 3);
        assert_eq!(files.copy().lowest(0), 3);
        assert!(files.put(-1, host(1)).is_free() && files.numbers() == [0, 1, 2, 4, 9]);
        assert!(files.remove(1000).is_free());
    }

    #[test]
    fn a_passed_open_is_settled_by_a_look() {
        let files = Files::default();
        files.put(0, Slot::Passed(HostFile::new(7, true)));
        files.put(1, host(1));
        files.settle(1, false);
        assert!(files.is_unsettled() && files.unsettled() == [0] && files.numbers() == [0, 1]);
        let copy = files.copy();
        files.settle(0, true);
        assert!(!files.is_unsettled() && matches!(files.slot(0), Slot::Host(file) if file.id() == 7 && file.cloexec()));
        copy.settle(0, false);
        assert!(!copy.is_unsettled() && copy.lowest(0) == 0);
        files.close_on_exec();
        assert_eq!(files.numbers(), [1]);
    }
}
