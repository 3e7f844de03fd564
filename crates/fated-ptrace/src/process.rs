//! The real side of a process: its threads and its end.
//!
//! Linux doesn't report the exit of a thread group's leader while other threads exist, so waiting for it would hang. A leader that
//! exits before the others is therefore parked: it stays stopped until the group ends or another thread's exec takes its place.
//!
//! Invariant: each thread is reaped once, by its id.

use crate::sys::{self, RealTid};
use fated_engine::sensitive::Texts;
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
    /// The leader has exited in the kernel, but its real task is stopped.
    parked: Cell<bool>,
    dead: Cell<bool>,
    /// The address of a `syscall` instruction in the vDSO, which every program has.
    pub(crate) gate: Cell<Option<u64>>,
    /// The guest's auxiliary vector (`/proc/self/auxv`).
    pub(crate) auxv: RefCell<Vec<u8>>,
    /// Where text of files is mapped.
    pub(crate) texts: RefCell<Texts>,
}

impl Process {
    /// Creates a process with its leader.
    pub(crate) fn new(tgid: RealTid, leader: Tid) -> Process {
        Process {
            tgid,
            leader: Cell::new(leader),
            threads: RefCell::new(vec![(tgid, leader)]),
            parked: Cell::new(false),
            dead: Cell::new(false),
            gate: Cell::new(None),
            auxv: RefCell::new(Vec::new()),
            texts: RefCell::default(),
        }
    }

    /// Creates a copy of this process, as fork(2) does.
    pub(crate) fn fork(&self, tgid: RealTid, key: Tid) -> Process {
        let child = Process::new(tgid, key);
        child.gate.set(self.gate.get());
        child.auxv.replace(self.auxv.borrow().clone());
        child.texts.replace(self.texts.borrow().clone());
        child
    }

    /// Sets the kernel's id of the leader, which is the only thread.
    pub(crate) fn rename_leader(&self, key: Tid) {
        self.leader.set(key);
        self.threads.replace(vec![(self.tgid, key)]);
    }

    /// Adds a thread.
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

    /// Parks the leader, which exits before other threads.
    pub(crate) fn park_leader(&self) {
        self.parked.set(true);
        self.forget(self.tgid);
    }

    /// Removes a reaped thread. Linux reports the leader last, so the process is then gone and its id may be reused.
    pub(crate) fn reaped(&self, tid: RealTid) {
        self.forget(tid);
        if tid == self.tgid {
            self.dead.set(true);
        }
    }

    fn forget(&self, tid: RealTid) {
        self.threads.borrow_mut().retain(|&(thread, _)| thread != tid);
    }

    /// Removes all threads but the leader, after an exec.
    pub(crate) fn only_leader(&self) {
        self.threads.replace(vec![(self.tgid, self.leader.get())]);
        self.parked.set(false);
    }

    /// Kills and reaps all threads. Later calls do nothing.
    pub(crate) fn kill(&self) {
        if self.dead.replace(true) {
            return;
        }
        // It fails only if the process has been reaped already. The waits below then fail, too.
        let _ = sys::kill(self.tgid, libc::SIGKILL);
        for (tid, _) in self.threads.take() {
            if tid != self.tgid {
                reap(tid);
            }
        }
        reap(self.tgid);
    }
}

/// Reaps a task that is exiting.
pub(crate) fn reap(tid: RealTid) {
    while let Ok(status) = sys::wait_on(tid) {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return;
        }
        // The task may stop once more before it exits, such as for a signal.
        let _ = sys::cont(tid);
    }
}
