//! Wait queues: whom to wake when the state of an object changes.
//!
//! Invariants: waiters are woken in the order of their arrival. An entry leaves its queue when it is dropped.

use crate::host::Kernel;
use crate::process::task::Task;
use crate::sched::state::Woken;
use alloc::{
    collections::VecDeque,
    rc::{Rc, Weak},
    vec::Vec,
};
use core::cell::RefCell;
use core::fmt::Debug;

/// What reacts to a change without being a task: an epoll instance, a timer.
pub trait Watcher: Debug {
    /// The change has happened.
    fn fire(&self, kernel: &Rc<Kernel>);
}

#[derive(Debug)]
enum Waiter {
    Task(Rc<Task>),
    Watcher(Weak<dyn Watcher>),
}

/// By ascending number, which is the order of arrival.
#[derive(Debug, Default)]
struct Waiters {
    next: u64,
    list: VecDeque<(u64, Waiter)>,
}

/// A queue of waiters (Linux: `wait_queue_head`). Clones are the same queue.
#[derive(Clone, Debug)]
pub struct WaitQueue {
    kernel: Weak<Kernel>,
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
    /// An empty queue.
    #[must_use]
    pub fn new(kernel: &Rc<Kernel>) -> WaitQueue {
        WaitQueue { kernel: Rc::downgrade(kernel), waiters: Rc::default() }
    }

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

    /// Queues a task.
    pub fn add_task(&self, task: &Rc<Task>) -> Entry {
        self.add(Waiter::Task(task.clone()))
    }

    /// Queues a watcher; it stays until the entry is dropped.
    pub fn add_watcher(&self, watcher: Weak<dyn Watcher>) -> Entry {
        self.add(Waiter::Watcher(watcher))
    }

    /// Wakes all waiters, first come first.
    pub fn wake(&self) {
        if self.is_empty() {
            return;
        }
        let Some(kernel) = self.kernel.upgrade() else { return };
        let mut watchers = Vec::new();
        for (_, waiter) in &self.waiters.borrow().list {
            match waiter {
                Waiter::Task(task) => kernel.wake(task, Woken::Event),
                Waiter::Watcher(watcher) => watchers.extend(watcher.upgrade()),
            }
        }
        for watcher in watchers {
            watcher.fire(&kernel);
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
