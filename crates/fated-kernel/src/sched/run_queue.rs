//! The run queue: which task is next, and for how many calls.
//!
//! It knows no more of a task than its [`Entity`]: whether a task sleeps, has ended or is stopped is for the caller to know.
//!
//! Invariant: the order is a function of the policy and of what the [`Chooser`] decides.
//!
//! [`Entity`]: crate::sched::entity::Entity

use crate::config::Policy;
use crate::sched::choice::Choice;
use crate::sched::choose::Chooser;
use crate::sched::entity::{Entity, Scheduled};
use crate::sched::pct::Pct;
use alloc::{collections::VecDeque, rc::Rc};
use core::cell::RefCell;

/// The tasks that can run, in the order of their arrival.
#[derive(Debug)]
pub struct RunQueue<T> {
    policy: Policy,
    slice_calls: u32,
    chooser: Rc<Chooser>,
    ready: RefCell<VecDeque<Rc<T>>>,
    pct: Pct,
}

impl<T: Scheduled> RunQueue<T> {
    pub(crate) fn new(policy: Policy, slice_calls: u32, chooser: Rc<Chooser>) -> RunQueue<T> {
        let pct =
            Pct::new(&chooser, if let Policy::Pct { changes, span } = policy { Some((changes, span)) } else { None });
        RunQueue { policy, slice_calls: slice_calls.max(1), chooser, ready: RefCell::default(), pct }
    }

    /// Puts a task at the end of the queue.
    pub(crate) fn push(&self, task: &Rc<T>) {
        self.ready.borrow_mut().push_back(task.clone());
    }

    /// Whether no task is in the queue.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    /// Takes in a new task: its priority, its first slice, and its place in the queue. Which of several new tasks starts first
    /// is a choice of its own.
    pub(crate) fn admit(&self, task: &Rc<T>) {
        self.pct.admit(&self.chooser, task.entity());
        self.renew(task.entity());
        let mut ready = self.ready.borrow_mut();
        let place = self.chooser.choose(Choice::Place, ready.len() as u64 + 1) as usize;
        ready.insert(place, task.clone());
    }

    /// Begins a new slice.
    fn renew(&self, entity: &Entity) {
        let base = u64::from(self.slice_calls);
        let length = match self.policy {
            // A switch may come at every call.
            Policy::Random => 1 + self.chooser.choose_magnitude(Choice::Slice, (2 * base - 1).next_power_of_two()),
            _ => base / 2 + self.chooser.choose(Choice::Slice, base + 1),
        };
        entity.begin_slice(length.max(1) as u32);
    }

    /// Takes the next task out of the queue.
    pub(crate) fn take(&self) -> Option<Rc<T>> {
        let mut ready = self.ready.borrow_mut();
        let at = match self.policy {
            Policy::RoundRobin => 0,
            Policy::Random => self.chooser.choose(Choice::Next, ready.len() as u64) as usize,
            Policy::Pct { .. } => Pct::highest(ready.iter().map(|task| task.entity())),
        };
        ready.remove(at)
    }

    /// The running task has released what no task waits for. If the next one runs now, it finds that free: two threads that hand
    /// something to and fro make half as many calls.
    pub(crate) fn offer_turn(&self, task: &T) {
        if self.policy == Policy::RoundRobin {
            self.yield_turn(task);
        }
    }

    /// The running task gives its turn to the next one at the end of the call that it is in.
    pub(crate) fn yield_turn(&self, task: &T) {
        if self.pct.is_used() {
            return self.pct.put_last(task.entity());
        }
        task.entity().spend_slice();
    }

    /// Counts a call of the running task, unless it is the last one of its slice: then [`RunQueue::slice_over`] counts it. Not to
    /// be asked under PCT.
    #[inline]
    pub(crate) fn stays_in_slice(&self, task: &T) -> bool {
        task.entity().count_unless_last()
    }

    /// Counts a call of the running task; `true` if its turn is over and another task could run.
    pub(crate) fn slice_over(&self, task: &T) -> bool {
        let entity = task.entity();
        if self.pct.is_used() {
            self.pct.count_call(&self.chooser, entity);
            let ready = self.ready.borrow();
            return ready.iter().any(|other| other.entity().priority.get() > entity.priority.get());
        }
        if entity.count_unless_last() {
            return false;
        }
        self.renew(entity);
        !self.is_empty()
    }
}
