//! What follows from an operation, as data: the owner of the family carries it out.

use crate::id::{Pgid, Pid, Signal, Tid};
use crate::report::SigInfo;
use alloc::vec::Vec;

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The process as a whole.
    Process(Pid),
    /// One thread.
    Thread(Tid),
}

/// A signal to generate. Whether it is blocked or ignored there is for the owner to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSent {
    /// For whom.
    pub to: Target,
    /// Which, and why.
    pub info: SigInfo,
}

/// A process got another parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reparented {
    /// The child.
    pub pid: Pid,
    /// The thread that was its parent.
    pub from: Tid,
    /// The thread that is its parent.
    pub to: Tid,
}

/// Filled by an operation; the lists only grow, so that one value can serve many: [`clear`](Self::clear) it between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Signals to generate, in order.
    pub signals: Vec<SignalSent>,
    /// Blocked waiters whose wait now has a result, the one that blocked last first, as Linux wakes them.
    /// They stay registered until they are unblocked. One may be named twice.
    pub wake: Vec<Tid>,
    /// Processes that got another parent.
    pub reparented: Vec<Reparented>,
    /// Processes that are gone, reaped by a wait or by themselves.
    pub reaped: Vec<Pid>,
    /// Ids that name no thread, group or session any more and may be given out again.
    pub freed: Vec<Tid>,
    /// Process groups that became orphaned while a member is stopped: SIGHUP, then SIGCONT, to each member.
    pub orphaned: Vec<Pgid>,
    /// Threads that must not run any more: group stop or trace stop.
    pub stopped: Vec<Tid>,
    /// Threads that run again.
    pub resumed: Vec<Tid>,
    /// Threads whose tracer died before it looked at the signal they were about to take: they take it now, and are
    /// then [settled](crate::Family::settle).
    pub taken: Vec<(Tid, Signal)>,
    /// Threads whose exec has the process to itself now: the id they had, the id they have.
    pub execed: Vec<(Tid, Pid)>,
}

impl Effects {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties all lists and keeps their memory.
    pub fn clear(&mut self) {
        self.signals.clear();
        self.wake.clear();
        self.reparented.clear();
        self.reaped.clear();
        self.freed.clear();
        self.orphaned.clear();
        self.stopped.clear();
        self.resumed.clear();
        self.taken.clear();
        self.execed.clear();
    }
}
