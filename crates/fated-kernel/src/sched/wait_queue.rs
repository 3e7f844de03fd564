//! Wait queues: who is to be told when the state of an object changes.

use crate::host::Kernel;
use crate::process::task::Task;
use crate::sched::Woken;
use alloc::{
    collections::VecDeque,
    rc::{Rc, Weak},
    vec::Vec,
};
use core::cell::RefCell;
use core::fmt::Debug;

/// Something that is told of a change without being a task: an epoll instance, a timer.
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

/// A queue of waiters in the order of their arrival. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    kernel: Weak<Kernel>,
    waiters: Rc<RefCell<Waiters>>,
}

/// A place in a queue; dropping it leaves the queue.
#[derive(Debug)]
pub struct Place {
    waiters: Rc<RefCell<Waiters>>,
    number: u64,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(kernel: &Rc<Kernel>) -> Queue {
        Queue { kernel: Rc::downgrade(kernel), waiters: Rc::default() }
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiters.borrow().list.is_empty()
    }

    fn add(&self, waiter: Waiter) -> Place {
        let mut waiters = self.waiters.borrow_mut();
        let number = waiters.next;
        waiters.next += 1;
        waiters.list.push_back((number, waiter));
        Place { waiters: self.waiters.clone(), number }
    }

    /// Queues a task.
    #[must_use]
    pub fn add_task(&self, task: &Rc<Task>) -> Place {
        self.add(Waiter::Task(task.clone()))
    }

    /// Queues a watcher; it stays until the place is dropped.
    #[must_use]
    pub fn add_watcher(&self, watcher: Weak<dyn Watcher>) -> Place {
        self.add(Waiter::Watcher(watcher))
    }

    /// Tells all waiters, first come first.
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

impl Drop for Place {
    fn drop(&mut self) {
        let list = &mut self.waiters.borrow_mut().list;
        if let Ok(at) = list.binary_search_by_key(&self.number, |&(number, _)| number) {
            list.remove(at);
        }
    }
}
