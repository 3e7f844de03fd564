//! Which task runs next, and how tasks sleep and wake.

pub mod rng;
pub mod wait_queue;

use crate::config::Policy;
use crate::cx::Cx;
use crate::host::Kernel;
use crate::process::task::Task;
use crate::sched::rng::Rng;
use crate::sched::wait_queue::{Place, Queue};
use crate::time::timers::{Alarm, AlarmId};
use alloc::{collections::VecDeque, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Why a sleeping task woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// What it waited for may have happened.
    Event,
    /// Its time is over.
    Timeout,
    /// A signal interrupts it.
    Signal,
}

/// Where the scheduler has a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// In the queue of those that can run, or running.
    Ready,
    /// Asleep; signals interrupt it or don't.
    Asleep { interruptible: bool },
    /// Woken and in the queue, the reason not yet taken.
    Waking(Woken),
    /// Ended.
    Gone,
}

/// The tasks that can run.
#[derive(Debug)]
pub struct Scheduler {
    policy: Policy,
    slice_calls: u32,
    rng: Rng,
    ready: RefCell<VecDeque<Rc<Task>>>,
    /// Under PCT: how many calls until the next change of priority, and how many changes are left.
    change: Cell<(u64, u32)>,
    lowest: Cell<u64>,
}

impl Scheduler {
    pub(crate) fn new(policy: Policy, slice_calls: u32, rng: Rng) -> Scheduler {
        let changes = if let Policy::Pct { changes } = policy { changes } else { 0 };
        let first = rng.below(CHANGE_SPAN);
        Scheduler {
            policy,
            slice_calls: slice_calls.max(1),
            rng,
            ready: RefCell::default(),
            change: Cell::new((first, changes)),
            lowest: Cell::new(u64::MAX >> 1),
        }
    }

    /// Puts a task at the end of those that can run.
    pub(crate) fn push(&self, task: &Rc<Task>) {
        self.ready.borrow_mut().push_back(task.clone());
    }

    /// Whether none is left that could run.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    /// A new task's first slice and priority, and its place among those that can run: which of several starts first is the
    /// seed's to say.
    pub(crate) fn admit(&self, task: &Rc<Task>) {
        task.priority.set(u64::MAX / 2 + self.rng.below(u64::MAX / 2));
        self.renew(task);
        let mut ready = self.ready.borrow_mut();
        let place = self.rng.below(ready.len() as u64 + 1) as usize;
        ready.insert(place, task.clone());
    }

    fn renew(&self, task: &Task) {
        let base = self.slice_calls;
        let length = base / 2 + self.rng.below(u64::from(base) + 1) as u32;
        task.slice.set((0, length.max(1)));
    }

    /// Takes the task whose turn it is. Those that have ended or are halted drop out here.
    pub(crate) fn pick(&self) -> Option<Rc<Task>> {
        loop {
            let task = self.take()?;
            if task.is_gone() {
                continue;
            }
            if !task.halted.get() {
                return Some(task);
            }
            task.parked.set(true);
        }
    }

    fn take(&self) -> Option<Rc<Task>> {
        let mut ready = self.ready.borrow_mut();
        let at = match self.policy {
            Policy::RoundRobin => 0,
            Policy::Random => self.rng.below(ready.len() as u64) as usize,
            Policy::Pct { .. } => {
                let best = ready.iter().enumerate().max_by_key(|(at, t)| (t.priority.get(), usize::MAX - at));
                best.map_or(0, |(at, _)| at)
            }
        };
        ready.remove(at)
    }

    /// The running task has released what nobody waits for: a good moment for the next one, which then finds it free. Two
    /// threads that hand a turn to and fro make half as many calls.
    pub(crate) fn offer_turn(&self, task: &Task) {
        if self.policy == Policy::RoundRobin {
            self.yield_turn(task);
        }
    }

    /// The running task gives its turn to the next one, at the end of the call it is in.
    pub(crate) fn yield_turn(&self, task: &Task) {
        if matches!(self.policy, Policy::Pct { .. }) {
            return self.outrank_by_all(task);
        }
        let (_, length) = task.slice.get();
        task.slice.set((length, length));
    }

    /// Counts a call of the running task, unless it is the last one of its slice or the policy has more to say: then it is for
    /// [`Scheduler::slice_over`] to count.
    #[inline]
    pub(crate) fn stays_in_slice(&self, task: &Task) -> bool {
        let (used, length) = task.slice.get();
        let stays = used + 1 < length;
        if stays {
            task.slice.set((used + 1, length));
        }
        stays
    }

    /// Counts a call of the running task; `true` if its turn is over and another could run.
    pub(crate) fn slice_over(&self, task: &Task) -> bool {
        if matches!(self.policy, Policy::Pct { .. }) {
            return self.is_outranked(task);
        }
        if self.stays_in_slice(task) {
            return false;
        }
        self.renew(task);
        !self.ready.borrow().is_empty()
    }

    /// Under PCT, lets all others run before a task.
    fn outrank_by_all(&self, task: &Task) {
        self.lowest.set(self.lowest.get().saturating_sub(1));
        task.priority.set(self.lowest.get());
        let (_, length) = task.slice.get();
        task.slice.set((0, length));
    }

    /// Counts a call under PCT.
    fn is_outranked(&self, task: &Task) -> bool {
        let (left, changes) = self.change.get();
        let (used, length) = task.slice.get();
        task.slice.set((used + 1, length));
        if left == 0 && changes > 0 {
            self.change.set((self.rng.below(CHANGE_SPAN), changes - 1));
            self.outrank_by_all(task);
        } else {
            self.change.set((left.saturating_sub(1), changes));
            if used >= LONGEST_SPIN {
                self.outrank_by_all(task);
            }
        }
        let ready = self.ready.borrow();
        ready.iter().any(|other| other.priority.get() > task.priority.get())
    }
}

/// Under PCT, the calls between two changes of priority are drawn below this.
const CHANGE_SPAN: u64 = 2000;
/// Under PCT, how many calls a task makes before those that it outranks run all the same: it may spin until one of them does
/// something.
const LONGEST_SPIN: u32 = 20_000;

impl Kernel {
    /// Wakes a task that sleeps; the first reason counts. Anyone else is left alone.
    pub(crate) fn wake(&self, task: &Rc<Task>, why: Woken) {
        let Rest::Asleep { interruptible } = task.rest.get() else { return };
        if why == Woken::Signal && !interruptible {
            return;
        }
        task.rest.set(Rest::Waking(why));
        self.scheduler.push(task);
    }
}

/// A sleep: until a queue is woken, a deadline passes or, if it is interruptible, a signal comes.
struct Sleep<'a> {
    cx: &'a Cx,
    queues: &'a [&'a Queue],
    deadline: Option<u64>,
    interruptible: bool,
    places: Vec<Place>,
    alarm: Option<AlarmId>,
    started: bool,
}

impl Future for Sleep<'_> {
    type Output = Woken;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Woken> {
        let task = &self.cx.task;
        if self.started {
            let Rest::Waking(why) = task.rest.get() else { return Poll::Pending };
            task.rest.set(Rest::Ready);
            return Poll::Ready(why);
        }
        if self.interruptible && !task.deliverable().is_empty() {
            return Poll::Ready(Woken::Signal);
        }
        if self.deadline.is_some_and(|at| at <= self.cx.kernel.timers.now()) {
            return Poll::Ready(Woken::Timeout);
        }
        task.rest.set(Rest::Asleep { interruptible: self.interruptible });
        let places = self.queues.iter().map(|queue| queue.add_task(task)).collect();
        let alarm = self.deadline.map(|at| self.cx.kernel.timers.set(at, Alarm::Task(task.clone())));
        self.places = places;
        self.alarm = alarm;
        self.started = true;
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm {
            self.cx.kernel.timers.cancel(alarm);
        }
    }
}

impl Cx {
    /// Sleeps until one of `queues` is woken, the deadline (nanoseconds since 1970) passes or a signal interrupts.
    pub async fn sleep(&self, queues: &[&Queue], deadline: Option<u64>) -> Woken {
        self.sleep_as(queues, deadline, true).await
    }

    /// The same, but nothing but death interrupts it.
    pub async fn sleep_uninterrupted(&self, queues: &[&Queue]) -> Woken {
        self.sleep_as(queues, None, false).await
    }

    async fn sleep_as(&self, queues: &[&Queue], deadline: Option<u64>, interruptible: bool) -> Woken {
        Sleep { cx: self, queues, deadline, interruptible, places: Vec::new(), alarm: None, started: false }.await
    }
}
