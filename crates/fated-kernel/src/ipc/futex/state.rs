//! Who waits for which futex.
//!
//! Invariants: a waiter is in at most one queue. Whoever wakes it removes it and marks it as woken; the woken task looks at that mark
//! and nothing else. Queues are in the order of arrival.

use crate::ipc::futex::key::Futex;
use crate::mm::MmId;
use crate::ports::{HostFiles, RealTask};
use alloc::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    vec::Vec,
};
use core::cell::{Cell, RefCell};

/// A task `T` that waits for a futex. One that waits for several has as many waiters.
#[derive(Debug)]
pub struct Waiter<T> {
    pub(super) task: T,
    /// The real side of the task.
    pub(super) real: Rc<dyn RealTask>,
    pub(super) futex: RefCell<Futex>,
    pub(super) bits: u32,
    /// It waits for a lock that the owner hands over (`FUTEX_LOCK_PI`), not for a wake.
    pub(super) wants_lock: bool,
    pub(super) woken: Cell<bool>,
}

/// The queues of all waiters of a host.
#[derive(Debug)]
pub struct Futexes<T> {
    private: BTreeMap<(MmId, u64), VecDeque<Rc<Waiter<T>>>>,
    /// All waiters on shared futexes: two names may turn out to be the same.
    shared: VecDeque<Rc<Waiter<T>>>,
    /// How many waiters want a lock.
    locks: usize,
}

impl<T> Default for Futexes<T> {
    fn default() -> Self {
        Futexes { private: BTreeMap::new(), shared: VecDeque::new(), locks: 0 }
    }
}

impl<T> Futexes<T> {
    fn queue(&self, futex: &Futex) -> Option<&VecDeque<Rc<Waiter<T>>>> {
        if futex.shared { Some(&self.shared) } else { self.private.get(&(futex.mm, futex.addr)) }
    }

    pub(super) fn push(&mut self, waiter: Rc<Waiter<T>>) {
        self.locks += usize::from(waiter.wants_lock);
        let (shared, key) = {
            let futex = waiter.futex.borrow();
            (futex.shared, (futex.mm, futex.addr))
        };
        let queue = if shared { &mut self.shared } else { self.private.entry(key).or_default() };
        queue.push_back(waiter);
    }

    pub(super) fn remove(&mut self, waiter: &Rc<Waiter<T>>) {
        let futex = waiter.futex.borrow();
        let key = (futex.mm, futex.addr);
        let queue = if futex.shared { Some(&mut self.shared) } else { self.private.get_mut(&key) };
        let Some(queue) = queue else { return };
        let before = queue.len();
        queue.retain(|other| !Rc::ptr_eq(other, waiter));
        if queue.len() < before {
            self.locks -= usize::from(waiter.wants_lock);
        }
        if queue.is_empty() && !futex.shared {
            self.private.remove(&key);
        }
    }

    /// The first `count` waiters on `futex`, as a task with the real files `task` names it, that `wanted` accepts.
    pub(super) fn find(
        &self,
        task: &dyn HostFiles,
        futex: &Futex,
        count: usize,
        wanted: impl Fn(&Waiter<T>) -> bool,
    ) -> Vec<Rc<Waiter<T>>> {
        let Some(queue) = self.queue(futex) else { return Vec::new() };
        let here = |waiter: &&Rc<Waiter<T>>| wanted(waiter) && waiter.futex.borrow().is(&*waiter.real, futex, task);
        queue.iter().filter(here).take(count).cloned().collect()
    }

    /// The locks that tasks wait for, as the address space `mm` names them.
    pub(super) fn wanted_locks(&self, mm: MmId) -> Vec<Futex> {
        if self.locks == 0 {
            return Vec::new();
        }
        let waiters = self.private.values().flatten().chain(&self.shared);
        let mut locks: Vec<Futex> = Vec::new();
        for waiter in waiters.filter(|waiter| waiter.wants_lock) {
            let futex = waiter.futex.borrow();
            if futex.mm == mm && !locks.iter().any(|other| other.addr == futex.addr && other.shared == futex.shared) {
                locks.push(futex.clone());
            }
        }
        locks
    }
}
