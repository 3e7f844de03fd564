//! The end of threads and processes: exit, reparenting, release (kernel/exit.c).

use crate::effects::{Effects, Reparented};
use crate::id::{Errno, Pid, Signal, Tid};
use crate::report::ExitCode;
use crate::table::{Chain, Life, NONE, Run, Slot};
use crate::usage::Usage;
use crate::{Family, SigchldAction};
use alloc::vec::Vec;

impl Family {
    /// Fixes how the process ends: exit_group, or a fatal signal as soon as it is generated. All threads leave their
    /// stops (`fx.resumed`); the owner has each of them exit. Only the first call counts.
    ///
    /// # Errors
    /// ESRCH if there is no such process.
    pub fn set_group_exit(&mut self, pid: Pid, code: ExitCode, fx: &mut Effects) -> Result<(), Errno> {
        let leader = self.table.process(pid)?;
        if self.table.group(leader).exit.is_some() {
            return Ok(());
        }
        self.end_stop(leader, code);
        let mut thread = self.table.group(leader).threads.head;
        while thread != NONE {
            let task = self.table.task_mut(thread);
            task.job = Default::default();
            if task.life == Life::Alive && task.run != Run::Running {
                task.run = Run::Running;
                fx.resumed.push(task.tid);
            }
            self.refresh(thread);
            thread = self.table.next(Chain::Thread, thread);
        }
        Ok(())
    }

    /// The process exits with this code. It reports no stop or continue any more.
    fn end_stop(&mut self, slot: Slot, code: ExitCode) {
        self.set_stopped(slot, false);
        let group = self.table.group_mut(slot);
        group.exit = Some(code);
        group.continued = false;
        group.stopping = 0;
        group.stop_signal = None;
        group.tell = None;
    }

    /// A thread has exited; `usage` is its resource usage. The code counts if it is the last thread of its process and
    /// nothing has fixed the code of the process before.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive.
    pub fn exit_thread(&mut self, tid: Tid, code: ExitCode, usage: Usage, fx: &mut Effects) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        self.table.task_mut(slot).usage = usage;
        self.exit(slot, code, fx);
        Ok(())
    }

    pub(crate) fn exit(&mut self, slot: Slot, code: ExitCode, fx: &mut Effects) {
        self.unblock_slot(slot);
        let group = self.table.group_mut(slot);
        group.live -= 1;
        if group.exec == slot {
            group.exec = NONE;
        }
        let last = group.live == 0;
        let fixed = group.exit.unwrap_or(code);
        if last {
            self.end_stop(slot, fixed);
            self.refresh_group(slot);
        }
        let task = self.table.task_mut(slot);
        task.exit_code = fixed;
        task.exiting = true;
        task.run = Run::Running;
        let joins = task.job.stop;
        let joined = joins && self.join_stop(slot);
        self.table.task_mut(slot).job = Default::default();
        self.refresh(slot);
        if joined {
            self.refresh_group(slot);
            self.notify_stop(slot, false, crate::report::CLD_STOPPED, fx);
        }

        let mut dead = Vec::new();
        self.drop_tracees(slot, &mut dead, fx);
        self.drop_children(slot, &mut dead, fx);
        let leader = self.table.leader(slot);
        if last {
            self.hang_up_orphans(leader, None, fx);
        }
        self.table.task_mut(slot).life = Life::Zombie;
        self.refresh(slot);
        let alone = self.table.lone_leader(slot);
        let exit_signal = self.table.group(slot).exit_signal;
        let reaped = if self.table.task(slot).trace.is_some() {
            let own = alone && !self.table.traced_by_other(slot);
            self.notify_exit(slot, if own { exit_signal } else { Some(Signal::SIGCHLD) }, fx)
        } else if slot == leader {
            alone && self.notify_exit(slot, exit_signal, fx)
        } else {
            true
        };
        if reaped {
            self.bury(slot, &mut dead);
        }
        // Linux puts each in front of those found before.
        for slot in dead.into_iter().rev() {
            self.release(slot, fx);
        }
    }

    /// Marks a task as reaped; its release follows.
    fn bury(&mut self, slot: Slot, dead: &mut Vec<Slot>) {
        self.table.task_mut(slot).life = Life::Dead;
        self.refresh(slot);
        dead.push(slot);
    }

    /// Detaches the tracees of a dying tracer.
    fn drop_tracees(&mut self, tracer: Slot, dead: &mut Vec<Slot>, fx: &mut Effects) {
        loop {
            let slot = self.table.task(tracer).tracees.head;
            if slot == NONE {
                return;
            }
            if self.table.task(slot).trace.is_some_and(|trace| trace.exitkill) {
                self.kernel_signal(slot, Signal::SIGKILL, fx);
            }
            self.unlink_tracee(slot);
            if self.table.task(slot).life != Life::Zombie {
                self.let_go(slot, fx);
                continue;
            }
            let mut reaped = !self.table.leads(slot);
            if self.table.lone_leader(slot) {
                let parent = self.table.group(slot).parent;
                if !self.table.same_process(parent, tracer) {
                    reaped = self.notify_exit(slot, self.table.group(slot).exit_signal, fx);
                } else if ignores_children(self.table.group(tracer).sigchld) {
                    reaped = true;
                    self.table.task_mut(slot).life = Life::Dead;
                    self.refresh(slot);
                    self.wake_parent(slot, tracer, fx);
                }
            }
            if reaped {
                self.bury(slot, dead);
            }
        }
    }

    /// A live tracee runs on. A signal that its tracer has not looked at passes as if the tracer had agreed to it.
    fn let_go(&mut self, slot: Slot, fx: &mut Effects) {
        let task = self.table.task(slot);
        if task.run == Run::Trapped {
            let signal = Signal::new(task.trap_code);
            let (delivery, tid) = (task.job.delivery, task.tid);
            self.resume(slot, fx);
            match signal {
                Some(signal) if delivery => return fx.taken.push((tid, signal)),
                // After a syscall stop, Linux sends the signal that is left in it.
                Some(Signal::SIGTRAP) => self.kernel_signal(slot, Signal::SIGTRAP, fx),
                _ => {}
            }
        }
        self.settle_slot(slot, fx);
    }

    /// Reparents a dying thread's children to another thread of its process, the nearest subreaper, or init.
    fn drop_children(&mut self, father: Slot, dead: &mut Vec<Slot>, fx: &mut Effects) {
        if self.table.init == Some(father)
            && let Some(heir) = self.table.living_thread(father)
        {
            self.table.init = Some(heir);
        }
        let Some(reaper) = self.reaper_of(father) else {
            return self.end_of_the_world(father, dead, fx);
        };
        let within = self.table.same_process(reaper, father);
        loop {
            let child = self.table.task(father).children.head;
            if child == NONE {
                return;
            }
            self.table.orphan(child);
            self.table.adopt(reaper, child);
            let mut thread = self.table.group(child).threads.head;
            while thread != NONE {
                if let Some(signal) = self.table.task(thread).pdeath {
                    self.user_signal(father, thread, signal, fx);
                }
                thread = self.table.next(Chain::Thread, thread);
            }
            let tid = |slot| self.table.task(slot).tid;
            fx.reparented.push(Reparented { pid: tid(child).into(), from: tid(father), to: tid(reaper) });
            if !within {
                self.table.group_mut(child).exit_signal = Some(Signal::SIGCHLD);
            }
            self.refresh_group(child);
            if !within {
                let task = self.table.task(child);
                if task.trace.is_none()
                    && task.life == Life::Zombie
                    && self.table.lone_leader(child)
                    && self.notify_exit(child, Some(Signal::SIGCHLD), fx)
                {
                    self.bury(child, dead);
                }
                self.hang_up_orphans(child, Some(father), fx);
            }
        }
    }

    /// `None` if the father is the last thread of init.
    fn reaper_of(&self, father: Slot) -> Option<Slot> {
        if let Some(thread) = self.table.living_thread(father) {
            return Some(thread);
        }
        let init = self.table.init.filter(|&init| init != father)?;
        let mut ancestor = self.table.group(father).parent;
        while ancestor != NONE && !self.table.same_process(ancestor, init) {
            let group = self.table.group(ancestor);
            if group.subreaper
                && let Some(thread) = self.table.living_thread(ancestor)
            {
                return Some(thread);
            }
            ancestor = group.parent;
        }
        Some(init)
    }

    /// Init dies and all processes with it: they are killed and reap themselves. Its leader stays, as their parent.
    fn end_of_the_world(&mut self, last: Slot, dead: &mut Vec<Slot>, fx: &mut Effects) {
        let init = self.table.leader(last);
        self.table.init = Some(init);
        while last != init && self.table.task(last).children.head != NONE {
            let child = self.table.task(last).children.head;
            self.table.orphan(child);
            self.table.adopt(init, child);
            self.refresh_group(child);
        }
        self.table.group_mut(init).sigchld = SigchldAction { ignore: true, no_wait: true, no_stop: true };
        let all: Vec<Slot> = self.table.all().filter(|&slot| self.table.leads(slot) && slot != init).collect();
        for slot in all {
            let task = self.table.task(slot);
            let mine = self.table.group(slot).parent == init;
            if self.table.group(slot).live > 0 {
                self.kernel_signal_process(slot, Signal::SIGKILL, fx);
            } else if mine && task.trace.is_none() && task.life == Life::Zombie && self.table.lone_leader(slot) {
                self.bury(slot, dead);
            }
        }
    }

    /// Takes a task out of the family (`release_task`).
    pub(crate) fn release(&mut self, slot: Slot, fx: &mut Effects) {
        if self.table.task(slot).trace.is_some() {
            self.table.untrace(slot);
        }
        let task = self.table.task(slot);
        let (tid, group_at, usage) = (task.tid, task.group, task.usage);
        let leads = self.table.leads(slot);
        self.table.leave_group(slot);
        if leads {
            let group = self.table.group(slot);
            let (pgid, sid) = (group.pgid, group.sid);
            self.table.orphan(slot);
            self.leave_pgrp(slot);
            self.leave_session(slot);
            self.table.remove_task(slot);
            self.table.remove_group(group_at);
            fx.reaped.push(tid.into());
            self.free_id(tid, fx);
            if pgid.get() != tid.get() {
                self.free_number(pgid.get(), fx);
            }
            if sid.get() != tid.get() && sid.get() != pgid.get() {
                self.free_number(sid.get(), fx);
            }
            return;
        }
        let leader = self.table.leader(slot);
        let group = self.table.group_mut(slot);
        group.dead_usage.add(&usage);
        let (exit, exit_signal, execing) = (group.exit, group.exit_signal, group.exec != NONE);
        self.table.remove_task(slot);
        self.free_id(tid, fx);
        if execing {
            return self.try_exec(leader, fx);
        }
        // The last other thread is gone, so the leader's death takes effect now.
        if self.table.task(leader).life == Life::Zombie && self.table.lone_leader(leader) {
            if let Some(code) = exit {
                self.table.task_mut(leader).exit_code = code;
            }
            self.refresh(leader);
            if self.notify_exit(leader, exit_signal, fx) {
                self.table.task_mut(leader).life = Life::Dead;
                self.release(leader, fx);
            }
        }
    }

    /// Reports the id as free if it names nothing any more.
    pub(crate) fn free_id(&mut self, tid: Tid, fx: &mut Effects) {
        if self.table.id_unused(tid) {
            fx.freed.push(tid);
        }
    }

    pub(crate) fn free_number(&mut self, id: u32, fx: &mut Effects) {
        if let Some(tid) = Tid::new(id) {
            self.free_id(tid, fx);
        }
    }
}

/// Whether children reap themselves: SIGCHLD is ignored (`SIG_IGN`), or its action has `SA_NOCLDWAIT`.
pub(crate) fn ignores_children(action: SigchldAction) -> bool {
    action.ignore || action.no_wait
}
