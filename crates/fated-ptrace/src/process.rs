//! The real side of a process: its threads, and how it ends.
//!
//! Linux doesn't report a thread group's leader as gone while other threads are there, so waiting for it would hang. A
//! leader that has exited before the others is therefore parked: it stays in its stop until the group ends, or until
//! another thread's exec takes its place.

use crate::sys::{self, RealTid};
use fated_kernel::id::Tid;
use std::cell::{Cell, RefCell};

/// A thread group.
#[derive(Debug)]
pub(crate) struct Process {
    /// The leader's real id.
    pub(crate) tgid: RealTid,
    /// The leader's id in the kernel.
    pub(crate) leader: Cell<Tid>,
    /// Threads that may still run, with the kernel's ids.
    threads: RefCell<Vec<(RealTid, Tid)>>,
    /// The leader has exited, as far as the guest can see.
    parked: Cell<bool>,
    dead: Cell<bool>,
    /// Where a `syscall` instruction stands that is there whatever the program is.
    pub(crate) gate: Cell<Option<u64>>,
    /// `/proc/self/auxv` as the guest was given it.
    pub(crate) auxv: RefCell<Vec<u8>>,
}

impl Process {
    /// A process with its leader.
    pub(crate) fn new(tgid: RealTid, leader: Tid) -> Process {
        Process {
            tgid,
            leader: Cell::new(leader),
            threads: RefCell::new(vec![(tgid, leader)]),
            parked: Cell::new(false),
            dead: Cell::new(false),
            gate: Cell::new(None),
            auxv: RefCell::new(Vec::new()),
        }
    }

    /// A process that begins as a copy of this one.
    pub(crate) fn fork(&self, tgid: RealTid, key: Tid) -> Process {
        let child = Process::new(tgid, key);
        child.gate.set(self.gate.get());
        child.auxv.replace(self.auxv.borrow().clone());
        child
    }

    /// The kernel has given the leader, the only thread so far, its id.
    pub(crate) fn rename_leader(&self, key: Tid) {
        self.leader.set(key);
        self.threads.replace(vec![(self.tgid, key)]);
    }

    /// A new thread.
    pub(crate) fn add(&self, tid: RealTid, key: Tid) {
        self.threads.borrow_mut().push((tid, key));
    }

    /// How many threads may still run.
    pub(crate) fn alive(&self) -> usize {
        self.threads.borrow().len()
    }

    /// Whether the process has ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// The kernel's ids of all threads that may still run.
    pub(crate) fn keys(&self) -> Vec<Tid> {
        self.threads.borrow().iter().map(|&(_, key)| key).collect()
    }

    /// The leader has exited before other threads.
    pub(crate) fn park_leader(&self) {
        self.parked.set(true);
        self.forget(self.tgid);
    }

    /// A thread has been reaped. Linux reports the leader last, so with it the process is gone, and its id free for others.
    pub(crate) fn reaped(&self, tid: RealTid) {
        self.forget(tid);
        if tid == self.tgid {
            self.dead.set(true);
        }
    }

    fn forget(&self, tid: RealTid) {
        self.threads.borrow_mut().retain(|&(thread, _)| thread != tid);
    }

    /// After an exec: only the leader is there.
    pub(crate) fn only_leader(&self) {
        self.threads.replace(vec![(self.tgid, self.leader.get())]);
        self.parked.set(false);
    }

    /// Ends all threads and reaps them. Can be called again.
    pub(crate) fn kill(&self) {
        if self.dead.replace(true) {
            return;
        }
        // Fails only if somebody else has reaped it, and then the waits below fail as well.
        let _ = sys::kill(self.tgid, libc::SIGKILL);
        for (tid, _) in self.threads.take() {
            if tid != self.tgid {
                reap(tid);
            }
        }
        reap(self.tgid);
    }
}

/// Waits until a task that is on its way out has gone.
pub(crate) fn reap(tid: RealTid) {
    while let Ok(status) = sys::wait_on(tid) {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return;
        }
        // A last stop before the end, such as the report of a signal: nothing is kept up by it.
        let _ = sys::cont(tid);
    }
}
