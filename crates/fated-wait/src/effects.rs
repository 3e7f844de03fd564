//! The effects of an operation, as data. The owner of the family carries them out through [`Effects::apply`], which fixes the order.

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

/// Carries out the effects of an operation. [`Effects::apply`] calls the methods in the order in which they stand here.
pub trait Owner {
    /// The exec of a thread has the process to itself now. The id of the thread has changed from `old` to `new`.
    fn execed(&mut self, old: Tid, new: Pid);
    /// A thread must not run any more.
    fn stopped(&mut self, tid: Tid);
    /// A thread runs again. It takes its pending stop signal, if it has one, and restarts the call that the stop interrupted.
    fn resumed(&mut self, tid: Tid);
    /// A signal is generated. SIGKILL and SIGSTOP have consequences of their own, which the owner reports to the family.
    fn signal(&mut self, sent: &SignalSent);
    /// A thread takes a signal that its tracer has not looked at, and is then [settled](crate::Family::settle).
    fn taken(&mut self, tid: Tid, signal: Signal);
    /// A process group with a stopped member has become orphaned: each member gets SIGHUP, then SIGCONT.
    fn orphaned(&mut self, group: Pgid);
    /// A thread waits again, with the request that it blocked with. It stays registered until it is unblocked.
    fn wake(&mut self, tid: Tid);
    /// An id may be given out again.
    fn freed(&mut self, tid: Tid);
    /// A process got another parent.
    fn reparented(&mut self, _: &Reparented) {}
    /// A process is gone.
    fn reaped(&mut self, _: Pid) {}
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

    /// Has `owner` carry out everything, in the order that the family counts on: threads have their new ids before anything is said of
    /// them, signals are pending before anybody is woken to look, and an id is given out again only when nothing else is to be done.
    pub fn apply(&self, owner: &mut impl Owner) {
        self.execed.iter().for_each(|&(old, new)| owner.execed(old, new));
        self.stopped.iter().for_each(|&tid| owner.stopped(tid));
        self.resumed.iter().for_each(|&tid| owner.resumed(tid));
        self.signals.iter().for_each(|sent| owner.signal(sent));
        self.taken.iter().for_each(|&(tid, signal)| owner.taken(tid, signal));
        self.orphaned.iter().for_each(|&group| owner.orphaned(group));
        self.wake.iter().for_each(|&tid| owner.wake(tid));
        self.freed.iter().for_each(|&tid| owner.freed(tid));
        self.reparented.iter().for_each(|it| owner.reparented(it));
        self.reaped.iter().for_each(|&pid| owner.reaped(pid));
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    impl Owner for String {
        fn execed(&mut self, _: Tid, _: Pid) {
            self.push_str("execed ");
        }
        fn stopped(&mut self, _: Tid) {
            self.push_str("stopped ");
        }
        fn resumed(&mut self, _: Tid) {
            self.push_str("resumed ");
        }
        fn signal(&mut self, _: &SignalSent) {
            self.push_str("signal ");
        }
        fn taken(&mut self, _: Tid, _: Signal) {
            self.push_str("taken ");
        }
        fn orphaned(&mut self, _: Pgid) {
            self.push_str("orphaned ");
        }
        fn wake(&mut self, _: Tid) {
            self.push_str("wake ");
        }
        fn freed(&mut self, _: Tid) {
            self.push_str("freed ");
        }
        fn reparented(&mut self, _: &Reparented) {
            self.push_str("reparented ");
        }
        fn reaped(&mut self, _: Pid) {
            self.push_str("reaped");
        }
    }

    #[test]
    fn effects_are_carried_out_in_the_documented_order() {
        let (tid, pid, group) = (Tid::new(2).unwrap(), Pid::new(2).unwrap(), Pgid::new(2).unwrap());
        let effects = Effects {
            signals: [SignalSent { to: Target::Process(pid), info: SigInfo::default() }].into(),
            wake: [tid].into(),
            reparented: [Reparented { pid, from: tid, to: tid }].into(),
            reaped: [pid].into(),
            freed: [tid].into(),
            orphaned: [group].into(),
            stopped: [tid].into(),
            resumed: [tid].into(),
            taken: [(tid, Signal::SIGSTOP)].into(),
            execed: [(tid, pid)].into(),
        };
        let mut order = String::new();
        effects.apply(&mut order);
        assert_eq!(order, "execed stopped resumed signal taken orphaned wake freed reparented reaped");
    }
}
