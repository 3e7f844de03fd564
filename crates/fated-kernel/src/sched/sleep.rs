//! How tasks sleep and wake.
//!
//! Invariant: a task that sleeps is woken once. The first reason counts, and stays with the task until it takes it.

use crate::cx::Cx;
use crate::host::Kernel;
use crate::process::task::Task;
use crate::sched::state::{Rest, Woken};
use crate::sched::wait_queue::{Entry, Sleeper, WaitQueue};
use crate::time::timers::{Expire, TimerId};
use alloc::{rc::Rc, vec::Vec};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

impl Kernel {
    /// Wakes a task that sleeps. Has no effect on one that doesn't.
    pub(crate) fn wake(&self, task: &Rc<Task>, why: Woken) {
        let Rest::Asleep { interruptible } = task.rest.get() else { return };
        if why == Woken::Signal && !interruptible {
            return;
        }
        task.rest.set(Rest::Waking(why));
        self.scheduler.push(task);
    }
}

impl Sleeper for Task {
    fn wake(self: Rc<Self>, why: Woken) {
        if let Some(kernel) = self.kernel.upgrade() {
            kernel.wake(&self, why);
        }
    }
}

/// The time of its sleep is over.
impl Expire<Kernel> for Task {
    fn expire(self: Rc<Self>, kernel: &Rc<Kernel>) {
        kernel.wake(&self, Woken::Timeout);
    }
}

/// A sleep until one of the queues is woken, the deadline passes or, if it is interruptible, a signal comes.
struct Sleep<'a> {
    cx: &'a Cx,
    queues: &'a [&'a WaitQueue],
    deadline: Option<u64>,
    interruptible: bool,
    entries: Vec<Entry>,
    timer: Option<TimerId>,
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
        task.counts.borrow_mut().nvcsw += 1;
        task.rest.set(Rest::Asleep { interruptible: self.interruptible });
        let entries = self.queues.iter().map(|queue| queue.add_sleeper(task.clone())).collect();
        let timer = self.deadline.map(|at| self.cx.kernel.timers.start(at, task.clone()));
        self.entries = entries;
        self.timer = timer;
        self.started = true;
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.cx.kernel.timers.cancel(timer);
        }
    }
}

impl Cx {
    /// Sleeps until one of `queues` is woken, the deadline (nanoseconds since 1970) passes or a signal interrupts.
    pub async fn sleep(&self, queues: &[&WaitQueue], deadline: Option<u64>) -> Woken {
        self.sleep_as(queues, deadline, true).await
    }

    /// Sleeps until one of `queues` is woken; only the end of the task interrupts it.
    pub async fn sleep_uninterrupted(&self, queues: &[&WaitQueue]) -> Woken {
        self.sleep_as(queues, None, false).await
    }

    async fn sleep_as(&self, queues: &[&WaitQueue], deadline: Option<u64>, interruptible: bool) -> Woken {
        Sleep { cx: self, queues, deadline, interruptible, entries: Vec::new(), timer: None, started: false }.await
    }
}
