//! Wait queues: whom to wake when the state of an object changes.
//!
//! Invariants: waiters are woken in the order of their arrival. An entry leaves its queue when it is dropped.

use crate::sched::state::Woken;
use alloc::{
    collections::VecDeque,
    rc::{Rc, Weak},
    vec::Vec,
};
use core::cell::RefCell;
use core::fmt::Debug;

/// What sleeps in a queue until it is woken: a task.
pub trait Sleeper: Debug {
    /// Wakes it, if it sleeps.
    fn wake(self: Rc<Self>, why: Woken);
}

/// What reacts to a change without sleeping: an interest of an epoll instance.
pub trait Watcher: Debug {
    /// Whether it need not know of each change: others like it in the queue may be told instead.
    fn is_exclusive(&self) -> bool {
        false
    }
    /// The change has happened. An exclusive one says whether that is enough: no other exclusive one is told.
    fn fire(&self) -> bool;
}

#[derive(Debug)]
enum Waiter {
    Sleeper(Rc<dyn Sleeper>),
    Watcher(Weak<dyn Watcher>),
}

/// By ascending number, which is the order of arrival.
#[derive(Debug, Default)]
struct Waiters {
    next: u64,
    list: VecDeque<(u64, Waiter)>,
}

/// A queue of waiters (Linux: `wait_queue_head`). Clones are the same queue.
#[derive(Clone, Debug, Default)]
pub struct WaitQueue {
    waiters: Rc<RefCell<Waiters>>,
}

/// A waiter's entry in a queue (Linux: `wait_queue_entry`).
#[derive(Debug)]
#[must_use]
pub struct Entry {
    waiters: Rc<RefCell<Waiters>>,
    number: u64,
}

impl WaitQueue {
    /// Whether there is no waiter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiters.borrow().list.is_empty()
    }

    fn add(&self, waiter: Waiter) -> Entry {
        let mut waiters = self.waiters.borrow_mut();
        let number = waiters.next;
        waiters.next += 1;
        waiters.list.push_back((number, waiter));
        Entry { waiters: self.waiters.clone(), number }
    }

    /// Queues a sleeper.
    pub fn add_sleeper(&self, sleeper: Rc<dyn Sleeper>) -> Entry {
        self.add(Waiter::Sleeper(sleeper))
    }

    /// Queues a watcher; it stays until the entry is dropped.
    pub fn add_watcher(&self, watcher: Weak<dyn Watcher>) -> Entry {
        self.add(Waiter::Watcher(watcher))
    }

    /// Wakes all waiters, first come first, and the sleepers before the watchers. Of those that are exclusive, which come last, it goes
    /// on until one says that it is enough.
    pub fn wake(&self) {
        if self.is_empty() {
            return;
        }
        let mut watchers = Vec::new();
        for (_, waiter) in &self.waiters.borrow().list {
            match waiter {
                Waiter::Sleeper(sleeper) => sleeper.clone().wake(Woken::Event),
                Waiter::Watcher(watcher) => watchers.extend(watcher.upgrade()),
            }
        }
        let (exclusive, all): (Vec<_>, Vec<_>) = watchers.into_iter().partition(|watcher| watcher.is_exclusive());
        for watcher in all {
            watcher.fire();
        }
        for watcher in exclusive {
            if watcher.fire() {
                break;
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let list = &mut self.waiters.borrow_mut().list;
        if let Ok(at) = list.binary_search_by_key(&self.number, |&(number, _)| number) {
            list.remove(at);
        }
    }
}
