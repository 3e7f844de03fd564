//! The family itself, and how it grows: init, fork, exec.

use crate::effects::Effects;
use crate::id::{Errno, Pgid, Pid, Sid, Signal, Tid};
use crate::index::Index;
use crate::lookup::Lookup;
use crate::report::ExitCode;
use crate::scan::Scan;
use crate::table::{Chain, Group, Life, List, NONE, Pgrp, SigchldAction, Slot, Table, Trace};
use crate::usage::Usage;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How a wait finds its child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookupKind {
    /// By index: cost independent of how many children are alive.
    #[default]
    Index,
    /// By a walk, as Linux did it: for measurements and as an oracle.
    Scan,
}

/// The clone flags that matter to a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkFlags {
    /// CLONE_THREAD.
    pub thread: bool,
    /// CLONE_PARENT.
    pub parent: bool,
    /// The new task is traced like the one that forks: CLONE_PTRACE, or PTRACE_O_TRACE{FORK,VFORK,CLONE} applies.
    pub ptrace: bool,
}

/// All tasks of one pid namespace, with everything that waiting depends on.
#[derive(Debug)]
pub struct Family {
    pub(crate) table: Table,
    pub(crate) lookup: Box<dyn Lookup + Send + Sync>,
    kind: LookupKind,
}

impl Default for Family {
    fn default() -> Self {
        Self::new(LookupKind::Index)
    }
}

impl Family {
    /// An empty family.
    #[must_use]
    pub fn new(kind: LookupKind) -> Self {
        let lookup: Box<dyn Lookup + Send + Sync> = match kind {
            LookupKind::Index => Box::new(Index::default()),
            LookupKind::Scan => Box::new(Scan::default()),
        };
        Self { table: Table::default(), lookup, kind }
    }

    /// How waits find their children here.
    #[must_use]
    pub fn lookup_kind(&self) -> LookupKind {
        self.kind
    }

    /// Makes the first process, in its own group and session. It adopts orphans that no subreaper adopts.
    ///
    /// # Errors
    /// EEXIST if there is one already.
    pub fn init(&mut self, tid: Tid) -> Result<(), Errno> {
        if self.table.init.is_some() {
            return Err(Errno::EEXIST);
        }
        let pid = Pid::from(tid);
        let group = self.new_group(NONE, pid.into(), pid.into(), None);
        let slot = self.table.insert_task(tid, group, 0);
        let group = self.table.group_mut(slot);
        group.leader = slot;
        group.session_leader = true;
        group.forked_no_exec = false;
        self.table.join_group(slot);
        self.join_pgrp(slot);
        self.join_session(slot);
        self.table.init = Some(slot);
        Ok(())
    }

    /// `parent` forks `child`, a new process or a thread. `exit_signal` counts only without `thread` and `parent`.
    ///
    /// A child that is to be traced from the start gets its SIGSTOP (or its event stop, if seized) here.
    ///
    /// # Errors
    /// ESRCH if the parent is not alive, EEXIST if the id is in use (as a group or session, too), EINVAL for
    /// CLONE_PARENT by init.
    pub fn fork(
        &mut self,
        parent: Tid,
        child: Tid,
        flags: ForkFlags,
        exit_signal: Option<Signal>,
        fx: &mut Effects,
    ) -> Result<(), Errno> {
        let from = self.table.alive(parent)?;
        if !self.table.id_unused(child) {
            return Err(Errno::EEXIST);
        }
        let group = self.table.group(from);
        if flags.parent && !flags.thread && group.parent == NONE {
            return Err(Errno::EINVAL);
        }
        let uid = self.table.task(from).uid;
        let slot = if flags.thread {
            let slot = self.table.insert_task(child, self.table.task(from).group, uid);
            self.table.group_mut(slot).live += 1;
            self.table.join_group(slot);
            self.join_group_stop(from, slot);
            slot
        } else {
            let (pgid, sid, execs, sigchld) = (group.pgid, group.sid, group.execs, group.sigchld);
            let (real_parent, exit_signal, parent_execs) = match flags.parent {
                true => (group.parent, group.exit_signal, group.parent_execs),
                false => (from, exit_signal, execs),
            };
            let group = self.new_group(real_parent, pgid, sid, exit_signal);
            let slot = self.table.insert_task(child, group, uid);
            let group = self.table.group_mut(slot);
            group.leader = slot;
            group.parent_execs = parent_execs;
            group.sigchld = sigchld;
            self.table.join_group(slot);
            self.join_pgrp(slot);
            self.join_session(slot);
            self.table.adopt(real_parent, slot);
            slot
        };
        if flags.ptrace
            && let Some(trace) = self.table.task(from).trace
        {
            self.link_tracee(slot, trace, fx);
        }
        self.refresh(slot);
        self.settle_slot(slot, fx);
        Ok(())
    }

    fn new_group(&mut self, parent: Slot, pgid: Pgid, sid: Sid, exit_signal: Option<Signal>) -> u32 {
        self.table.insert_group(Group {
            leader: NONE,
            threads: List::EMPTY,
            live: 1,
            parent,
            parent_pid: None,
            child_seq: 0,
            exit_signal,
            parent_execs: 0,
            execs: 0,
            forked_no_exec: true,
            subreaper: false,
            sigchld: SigchldAction::default(),
            pgid,
            sid,
            session_leader: false,
            exit: None,
            stopped: false,
            continued: false,
            stopping: 0,
            stop_signal: None,
            tell: None,
            exec: NONE,
            dead_usage: Usage::default(),
            children_usage: Usage::default(),
        })
    }

    /// Links a tracee to its tracer: what a traced fork and an attach have in common.
    pub(crate) fn link_tracee(&mut self, slot: Slot, trace: Trace, fx: &mut Effects) {
        self.table.trace(slot, trace);
        if trace.seized {
            self.table.task_mut(slot).job.trap = true;
        } else {
            self.kernel_signal(slot, Signal::SIGSTOP, fx);
        }
    }

    /// A thread calls exec. The other threads of its process die, and it takes the leader's id. If a tracer has yet
    /// to reap one of them, the exec completes when it does; `fx.execed` then names the thread.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive; EAGAIN if the process is exiting or another thread is at exec.
    pub fn exec(&mut self, tid: Tid, fx: &mut Effects) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        let group = self.table.group_mut(slot);
        if group.exit.is_some() || group.exec != NONE {
            return Err(Errno::EAGAIN);
        }
        group.exec = slot;
        let alive = |thread| self.table.task(thread).life == Life::Alive;
        let others: Vec<Slot> = self.table.threads(slot).filter(|&thread| thread != slot && alive(thread)).collect();
        // None of them may adopt another's children.
        for &thread in &others {
            self.table.task_mut(thread).exiting = true;
        }
        for thread in others {
            // They die by SIGKILL, but their tracers see exit code 0.
            self.exit(thread, ExitCode::exited(0), fx);
        }
        self.try_exec(slot, fx);
        Ok(())
    }

    /// Completes an exec if only the leader is left besides its thread.
    pub(crate) fn try_exec(&mut self, any: Slot, fx: &mut Effects) {
        let group = self.table.group(any);
        let (slot, leader) = (group.exec, group.leader);
        if slot == NONE || self.table.threads(any).any(|thread| thread != slot && thread != leader) {
            return;
        }
        let old = self.table.task(slot).tid;
        let id = self.table.task(leader).tid;
        let group = self.table.group_mut(slot);
        group.exec = NONE;
        group.execs += 1;
        group.forked_no_exec = false;
        group.exit_signal = Some(Signal::SIGCHLD);
        // Exec resets handlers and flags, but a signal stays ignored.
        group.sigchld = SigchldAction { ignore: group.sigchld.ignore, ..SigchldAction::default() };
        if slot != leader {
            self.take_leadership(slot, leader);
            let tracer = self.table.task(leader).trace.map(|trace| trace.tracer);
            if let Some(tracer) = tracer {
                self.wake_parent(leader, tracer, fx);
            }
            self.release(leader, fx);
        }
        self.refresh(slot);
        fx.execed.push((old, id.into()));
    }

    /// The thread takes the place of the dead leader everywhere, and the two swap ids. (If it is init's, the leader's
    /// death has made it the reaper already.)
    fn take_leadership(&mut self, slot: Slot, leader: Slot) {
        let (own, id) = (self.table.task(slot).tid, self.table.task(leader).tid);
        self.table.task_mut(slot).tid = id;
        self.table.task_mut(leader).tid = own;
        self.table.set_id(id, slot);
        self.table.set_id(own, leader);
        self.table.task_mut(leader).life = Life::Dead;
        let group = self.table.group_mut(slot);
        group.leader = slot;
        let (parent, pgid) = (group.parent, group.pgid);
        if parent != NONE {
            let mut list = self.table.task(parent).children;
            self.table.replace(Chain::Sibling, &mut list, leader, slot);
            self.table.task_mut(parent).children = list;
        }
        if let Some(mut list) = self.table.pgrps.get(&pgid).map(|pgrp| pgrp.members) {
            self.table.replace(Chain::Member, &mut list, leader, slot);
            self.set_members(pgid, list);
        }
        self.refresh(leader);
        self.refresh(slot);
    }

    fn set_members(&mut self, pgid: Pgid, members: List) {
        if let Some(pgrp) = self.table.pgrps.get_mut(&pgid) {
            pgrp.members = members;
        }
    }

    pub(crate) fn join_pgrp(&mut self, leader: Slot) {
        let group = self.table.group(leader);
        let (pgid, sid, stopped) = (group.pgid, group.sid, group.stopped);
        let pgrp = self.table.pgrps.entry(pgid).or_insert(Pgrp { members: List::EMPTY, sid, stopped: 0 });
        pgrp.stopped += u32::from(stopped);
        let mut list = pgrp.members;
        self.table.push_front(Chain::Member, &mut list, leader);
        self.set_members(pgid, list);
    }

    pub(crate) fn leave_pgrp(&mut self, leader: Slot) {
        let group = self.table.group(leader);
        let (pgid, stopped) = (group.pgid, group.stopped);
        if let Some(pgrp) = self.table.pgrps.get_mut(&pgid) {
            pgrp.stopped -= u32::from(stopped);
            let mut list = pgrp.members;
            self.table.unlink(Chain::Member, &mut list, leader);
            match list.head {
                NONE => drop(self.table.pgrps.remove(&pgid)),
                _ => self.set_members(pgid, list),
            }
        }
    }

    pub(crate) fn join_session(&mut self, leader: Slot) {
        let sid = self.table.group(leader).sid;
        *self.table.sessions.entry(sid).or_default() += 1;
    }

    pub(crate) fn leave_session(&mut self, leader: Slot) {
        let sid = self.table.group(leader).sid;
        leave(&mut self.table.sessions, sid);
    }

    pub(crate) fn refresh(&mut self, slot: Slot) {
        self.lookup.refresh(&self.table, slot);
    }

    /// Refreshes the lookup after a change of the process as a whole.
    pub(crate) fn refresh_group(&mut self, slot: Slot) {
        let mut thread = self.table.group(slot).threads.head;
        while thread != NONE {
            self.lookup.refresh(&self.table, thread);
            thread = self.table.next(Chain::Thread, thread);
        }
    }
}

fn leave(sessions: &mut BTreeMap<Sid, u32>, sid: Sid) {
    if let Some(count) = sessions.get_mut(&sid) {
        *count -= 1;
        if *count == 0 {
            sessions.remove(&sid);
        }
    }
}
