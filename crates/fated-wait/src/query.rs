//! Questions about the family, and the attributes that its owner sets.

use crate::Family;
use crate::id::{Errno, Pgid, Pid, Sid, Signal, Tid};
use crate::report::ExitCode;
use crate::table::{Chain, Life, List, NONE, Run, SigchldAction, Slot};
use crate::usage::Usage;
use alloc::vec::Vec;

/// The state of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It may run.
    Running,
    /// Group stop: `T` in /proc.
    Stopped,
    /// Trace stop: `t` in /proc.
    Traced,
    /// Dead, not yet reaped.
    Zombie,
}

/// How a tracee is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceInfo {
    /// The tracer.
    pub tracer: Tid,
    /// Attached by PTRACE_SEIZE.
    pub seized: bool,
    /// PTRACE_O_EXITKILL.
    pub exitkill: bool,
}

impl Family {
    /// There is a thread with this id, dead or alive.
    #[must_use]
    pub fn exists(&self, tid: Tid) -> bool {
        self.table.find(tid).is_some()
    }

    /// The id names no thread, process group or session: fork accepts it.
    #[must_use]
    pub fn is_free(&self, tid: Tid) -> bool {
        self.table.id_unused(tid)
    }

    /// The first process.
    #[must_use]
    pub fn init_pid(&self) -> Option<Pid> {
        self.table.init.map(|slot| self.table.pid(slot))
    }

    /// The process of a thread, dead or alive.
    #[must_use]
    pub fn pid(&self, tid: Tid) -> Option<Pid> {
        self.look(tid, |slot| self.table.pid(slot))
    }

    /// The process whose child the thread's process is; `None` for init, too.
    #[must_use]
    #[inline]
    pub fn parent(&self, tid: Tid) -> Option<Pid> {
        self.table.group(self.table.find(tid)?).parent_pid
    }

    /// The thread whose child the thread's process is.
    #[must_use]
    pub fn parent_thread(&self, tid: Tid) -> Option<Tid> {
        let slot = self.table.find(tid)?;
        Some(self.table.group(slot).parent).filter(|&parent| parent != NONE).map(|parent| self.tid(parent))
    }

    /// The state of the thread.
    #[must_use]
    pub fn state(&self, tid: Tid) -> Option<TaskState> {
        self.look(tid, |slot| {
            let task = self.table.task(slot);
            match (task.life, task.run) {
                (Life::Alive, Run::Running) => TaskState::Running,
                (Life::Alive, Run::Stopped) => TaskState::Stopped,
                (Life::Alive, Run::Trapped) => TaskState::Traced,
                _ => TaskState::Zombie,
            }
        })
    }

    /// The thread has left a signal-delivery-stop and takes the signal that its tracer passed.
    #[must_use]
    pub fn takes_signal(&self, tid: Tid) -> bool {
        self.look(tid, |slot| {
            let task = self.table.task(slot);
            task.job.delivery && task.run == Run::Running
        })
        .unwrap_or(false)
    }

    /// Its process group.
    #[must_use]
    pub fn pgid(&self, tid: Tid) -> Option<Pgid> {
        self.look(tid, |slot| self.table.group(slot).pgid)
    }

    /// Its session.
    #[must_use]
    pub fn sid(&self, tid: Tid) -> Option<Sid> {
        self.look(tid, |slot| self.table.group(slot).sid)
    }

    /// Its process leads its session.
    #[must_use]
    pub fn is_session_leader(&self, tid: Tid) -> bool {
        self.look(tid, |slot| self.table.group(slot).session_leader).unwrap_or(false)
    }

    /// How the thread is traced, if it is.
    #[must_use]
    pub fn trace(&self, tid: Tid) -> Option<TraceInfo> {
        let trace = self.table.task(self.table.find(tid)?).trace?;
        Some(TraceInfo { tracer: self.tid(trace.tracer), seized: trace.seized, exitkill: trace.exitkill })
    }

    /// The code fixed for the process by exit_group or a fatal signal, or by its last thread.
    #[must_use]
    pub fn group_exit(&self, pid: Pid) -> Option<ExitCode> {
        self.table.group(self.table.process(pid).ok()?).exit
    }

    /// The process is completely stopped.
    #[must_use]
    pub fn is_stopped(&self, pid: Pid) -> bool {
        self.table.process(pid).is_ok_and(|slot| self.table.group(slot).stopped)
    }

    /// The threads of a process, zombies included, leader first, in the order of creation.
    pub fn threads(&self, pid: Pid) -> impl Iterator<Item = Tid> + '_ {
        let list = self.table.process(pid).map_or(List::EMPTY, |slot| self.table.group(slot).threads);
        self.table.walk(Chain::Thread, list).map(|slot| self.tid(slot))
    }

    /// How many threads of the process have not exited.
    #[must_use]
    pub fn live_threads(&self, pid: Pid) -> u32 {
        self.table.process(pid).map_or(0, |slot| self.table.group(slot).live)
    }

    /// The processes whose parent is this thread, in Linux's order.
    pub fn children(&self, tid: Tid) -> impl Iterator<Item = Pid> + '_ {
        let list = self.table.find(tid).map_or(List::EMPTY, |slot| self.table.task(slot).children);
        self.table.walk(Chain::Sibling, list).map(|slot| self.tid(slot).into())
    }

    /// The tracees of this thread, the most recently attached first.
    pub fn tracees(&self, tid: Tid) -> impl Iterator<Item = Tid> + '_ {
        let list = self.table.find(tid).map_or(List::EMPTY, |slot| self.table.task(slot).tracees);
        self.table.walk(Chain::Tracee, list).map(|slot| self.tid(slot))
    }

    /// The processes of a group, zombies included, the latest to join first.
    pub fn members(&self, pgid: Pgid) -> impl Iterator<Item = Pid> + '_ {
        let list = self.table.pgrps.get(&pgid).map_or(List::EMPTY, |pgrp| pgrp.members);
        self.table.walk(Chain::Member, list).map(|slot| self.tid(slot).into())
    }

    /// The session of a process group, if the group exists.
    #[must_use]
    pub fn session_of(&self, pgid: Pgid) -> Option<Sid> {
        self.table.pgrps.get(&pgid).map(|pgrp| pgrp.sid)
    }

    /// The session has a process.
    #[must_use]
    pub fn session_exists(&self, sid: Sid) -> bool {
        self.table.sessions.contains_key(&sid)
    }

    /// No member of the group has a parent in another group of its session.
    #[must_use]
    pub fn is_orphaned(&self, pgid: Pgid) -> bool {
        self.orphaned_without(pgid, NONE)
    }

    /// All processes, zombies included, by ascending pid.
    pub fn processes(&self) -> impl Iterator<Item = Pid> + '_ {
        self.table.all().filter(|&slot| self.table.leads(slot)).map(|slot| self.tid(slot).into())
    }

    /// RUSAGE_THREAD, as last set.
    #[must_use]
    pub fn thread_usage(&self, tid: Tid) -> Option<Usage> {
        self.look(tid, |slot| self.table.task(slot).usage)
    }

    /// RUSAGE_SELF: all threads, dead ones included.
    #[must_use]
    pub fn usage(&self, pid: Pid) -> Option<Usage> {
        self.table.process(pid).ok().map(|slot| self.table.own_usage(slot))
    }

    /// RUSAGE_CHILDREN: the reaped children and their reaped children.
    #[must_use]
    pub fn children_usage(&self, pid: Pid) -> Option<Usage> {
        self.table.process(pid).ok().map(|slot| self.table.group(slot).children_usage)
    }

    /// The real user id, as last set.
    #[must_use]
    pub fn uid(&self, tid: Tid) -> Option<u32> {
        self.look(tid, |slot| self.table.task(slot).uid)
    }

    /// The exit signal of a process.
    #[must_use]
    pub fn exit_signal(&self, pid: Pid) -> Option<Signal> {
        self.table.group(self.table.process(pid).ok()?).exit_signal
    }

    /// PR_GET_CHILD_SUBREAPER.
    #[must_use]
    pub fn is_subreaper(&self, pid: Pid) -> bool {
        self.table.process(pid).is_ok_and(|slot| self.table.group(slot).subreaper)
    }

    /// PR_GET_PDEATHSIG.
    #[must_use]
    pub fn pdeathsig(&self, tid: Tid) -> Option<Signal> {
        self.table.task(self.table.find(tid)?).pdeath
    }

    /// Sets the resource usage of the thread so far.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive.
    pub fn set_usage(&mut self, tid: Tid, usage: Usage) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        self.table.task_mut(slot).usage = usage;
        Ok(())
    }

    /// Sets the real user id of the thread, for siginfo.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive.
    pub fn set_uid(&mut self, tid: Tid, uid: u32) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        self.table.task_mut(slot).uid = uid;
        Ok(())
    }

    /// PR_SET_PDEATHSIG.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive.
    pub fn set_pdeathsig(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        self.table.task_mut(slot).pdeath = signal;
        Ok(())
    }

    /// PR_SET_CHILD_SUBREAPER.
    ///
    /// # Errors
    /// ESRCH if there is no such process.
    pub fn set_subreaper(&mut self, pid: Pid, subreaper: bool) -> Result<(), Errno> {
        let slot = self.table.process(pid)?;
        self.table.group_mut(slot).subreaper = subreaper;
        Ok(())
    }

    /// Sets the disposition of SIGCHLD. Fork inherits it, exec keeps only `ignore`.
    ///
    /// # Errors
    /// ESRCH if there is no such process.
    pub fn set_sigchld(&mut self, pid: Pid, action: SigchldAction) -> Result<(), Errno> {
        let slot = self.table.process(pid)?;
        self.table.group_mut(slot).sigchld = action;
        Ok(())
    }

    /// All ids of threads, dead or alive, in ascending order.
    #[must_use]
    pub fn tids(&self) -> Vec<Tid> {
        self.table.all().map(|slot| self.tid(slot)).collect()
    }

    fn tid(&self, slot: Slot) -> Tid {
        self.table.task(slot).tid
    }

    fn look<T>(&self, tid: Tid, what: impl FnOnce(Slot) -> T) -> Option<T> {
        self.table.find(tid).map(what)
    }
}
