//! Time passes: what a timer does when it expires.

use crate::host::Kernel;
use crate::process::task::Task;
use crate::sched::Woken;
use crate::sched::wait_queue::Watcher;
use alloc::rc::Rc;

/// What is to be done when a timer expires.
#[derive(Clone, Debug)]
pub enum Expiry {
    /// A task wakes: its sleep has timed out.
    Wake(Rc<Task>),
    /// A watcher fires.
    Fire(Rc<dyn Watcher>),
}

impl Kernel {
    /// Lets `ns` of virtual time pass.
    #[inline]
    pub fn pass_time(self: &Rc<Self>, ns: u64) {
        if self.timers.advance_to(self.timers.now().saturating_add(ns)) {
            self.run_expired_timers();
        }
    }

    /// Lets time jump to the next expiry; `false` if no timer is pending.
    pub(crate) fn jump(self: &Rc<Self>) -> bool {
        let Some(at) = self.timers.next_at() else { return false };
        self.timers.advance_to(at);
        self.run_expired_timers();
        true
    }

    #[cold]
    fn run_expired_timers(self: &Rc<Self>) {
        while let Some(expiry) = self.timers.pop_expired() {
            match expiry {
                Expiry::Wake(task) => self.wake(&task, Woken::Timeout),
                Expiry::Fire(watcher) => watcher.fire(self),
            }
        }
    }
}
