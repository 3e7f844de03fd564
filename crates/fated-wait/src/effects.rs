//! The effects of an operation, as data: the owner of the family carries them out.

use crate::id::{Pgid, Pid, Signal, Tid};
use crate::report::SigInfo;
use alloc::vec::Vec;

/// The target of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The process as a whole.
    Process(Pid),
    /// One thread.
    Thread(Tid),
}

/// A signal to generate. The owner checks whether the target blocks or ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSent {
    /// The target.
    pub to: Target,
    /// The signal and its cause.
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

/// Filled by operations, which only append, so that one value can serve many: [`clear`](Self::clear) it in between.
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
    /// Ids that name no thread, group or session any more and may be allocated again.
    pub freed: Vec<Tid>,
    /// Process groups that became orphaned while a member is stopped: SIGHUP, then SIGCONT, to each member.
    pub orphaned: Vec<Pgid>,
    /// Threads that must not run any more: group stop or trace stop.
    pub stopped: Vec<Tid>,
    /// Threads that run again.
    pub resumed: Vec<Tid>,
    /// Threads whose tracer died before it looked at the signal that they were about to take. They take it now, and are
    /// then [settled](crate::Family::settle).
    pub taken: Vec<(Tid, Signal)>,
    /// Threads whose exec has completed the death of the other threads: the old id and the new one.
    pub execed: Vec<(Tid, Pid)>,
}

impl Effects {
    /// No effects.
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
