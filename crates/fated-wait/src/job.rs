//! Job control: group stop, continue, and the stops that a thread still has to enter (kernel/signal.c).
//!
//! Everything takes effect at once: a running thread that has a stop to join joins it in the same operation. Only a
//! thread in a trace stop joins later, when its tracer lets it run.

use crate::Family;
use crate::effects::Effects;
use crate::id::{Errno, Pid, Signal, Tid};
use crate::report::{CLD_CONTINUED, CLD_STOPPED, CLD_TRAPPED};
use crate::table::{Chain, Life, NONE, Run, Slot, Tell};
use alloc::vec::Vec;

const EVENT_STOP: u32 = 128;

impl Family {
    /// A thread has taken a stop signal whose action is to stop: its process stops. Without effect if the process
    /// is exiting or at exec, or if SIGCONT came while the thread was in the signal-delivery-stop of this
    /// signal. The owner checks that an orphaned group ignores terminal stops.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive, EINVAL if it is stopped itself.
    pub fn stop_group(&mut self, tid: Tid, signal: Signal, fx: &mut Effects) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        if self.table.task(slot).run != Run::Running {
            return Err(Errno::EINVAL);
        }
        let group = self.table.group_mut(slot);
        if group.exit.is_some() || group.exec != NONE || self.table.task(slot).job.cancelled {
            return Ok(());
        }
        self.tell_parent(slot, fx);
        if !self.table.task(slot).job.stop {
            let group = self.table.group_mut(slot);
            // A tracee that was resumed may stop again while its process is stopped. The parent has seen that stop already.
            if !group.stopped {
                group.stop_signal = Some(signal);
            }
            group.stopping = 0;
            let mut thread = group.threads.head;
            while thread != NONE {
                let task = self.table.task_mut(thread);
                if task.life == Life::Alive && task.run != Run::Stopped {
                    task.job.stop = true;
                    task.job.consume = true;
                    task.job.signal = Some(signal);
                    task.job.notify |= thread != slot && task.trace.is_some_and(|trace| trace.seized);
                    let listening = task.job.listening;
                    self.table.group_mut(slot).stopping += 1;
                    if listening {
                        self.resume(thread, fx);
                    }
                }
                thread = self.table.next(Chain::Thread, thread);
            }
        }
        self.settle_group(slot, fx);
        Ok(())
    }

    /// SIGCONT is generated for a process (whether or not it is blocked or ignored): its stops end.
    ///
    /// # Errors
    /// ESRCH if there is no such process.
    pub fn continue_group(&mut self, pid: Pid, fx: &mut Effects) -> Result<(), Errno> {
        let leader = self.table.process(pid)?;
        if self.table.group(leader).exit.is_some() {
            return Ok(());
        }
        // A thread that runs already, as its tracer resumed it, notices only when it next takes a signal.
        let mut kicked = Vec::new();
        let mut thread = self.table.group(leader).threads.head;
        while thread != NONE {
            let task = self.table.task_mut(thread);
            task.job.stop = false;
            task.job.consume = false;
            task.job.cancelled = task.job.delivery;
            let seized = task.trace.is_some_and(|trace| trace.seized);
            task.job.notify |= seized;
            if task.run == Run::Stopped || task.job.listening {
                self.resume(thread, fx);
                kicked.push(thread);
            } else if seized {
                kicked.push(thread);
            }
            thread = self.table.next(Chain::Thread, thread);
        }
        let group = self.table.group_mut(leader);
        let tell = match (group.stopped, group.stopping) {
            (true, _) => Some(Tell::Continued),
            // As if the stop had completed first. SIGCHLD does not queue, so the parent learns of the stop only.
            (false, 1..) => Some(Tell::Stopped),
            (false, 0) => None,
        };
        if tell.is_some() {
            group.tell = tell;
            group.continued = true;
            group.stopping = 0;
            group.stop_signal = None;
            self.set_stopped(leader, false);
            self.refresh_group(leader);
        }
        for thread in kicked {
            self.settle_slot(thread, fx);
        }
        Ok(())
    }

    /// A thread whose tracer let it run with a signal has handled that signal, and now enters the stop that is pending, if any.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive.
    pub fn settle(&mut self, tid: Tid, fx: &mut Effects) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        self.settle_slot(slot, fx);
        Ok(())
    }

    /// Settles `first`, then the other threads of its process.
    fn settle_group(&mut self, first: Slot, fx: &mut Effects) {
        self.settle_slot(first, fx);
        let mut thread = self.table.group(first).threads.head;
        while thread != NONE {
            if thread != first {
                self.settle_slot(thread, fx);
            }
            thread = self.table.next(Chain::Thread, thread);
        }
    }

    /// What a running thread does on its way to user mode: it reports a continue to the parent, joins a group stop,
    /// and enters a stop trap.
    pub(crate) fn settle_slot(&mut self, slot: Slot, fx: &mut Effects) {
        let task = self.table.task(slot);
        if task.life != Life::Alive || task.run != Run::Running {
            return;
        }
        let job = &mut self.table.task_mut(slot).job;
        job.delivery = false;
        job.cancelled = false;
        self.tell_parent(slot, fx);
        if self.table.task(slot).job.stop {
            if self.table.task(slot).trace.is_some() {
                self.table.task_mut(slot).job.trap = true;
            } else {
                let completed = self.join_stop(slot);
                let task = self.table.task_mut(slot);
                task.run = Run::Stopped;
                fx.stopped.push(task.tid);
                if completed {
                    self.refresh_group(slot);
                    self.notify_stop(slot, false, CLD_STOPPED, fx);
                }
                return;
            }
        }
        let job = self.table.task(slot).job;
        if job.trap || job.notify {
            self.stop_trap(slot, fx);
        }
    }

    /// The first thread that looks for signals after SIGCONT notifies the parent.
    pub(crate) fn tell_parent(&mut self, slot: Slot, fx: &mut Effects) {
        if let Some(tell) = self.table.group_mut(slot).tell.take() {
            let code = match tell {
                Tell::Continued => CLD_CONTINUED,
                Tell::Stopped => CLD_STOPPED,
            };
            self.notify_stop(slot, false, code, fx);
            let leader = self.table.leader(slot);
            if self.table.traced_by_other(leader) {
                self.notify_stop(leader, true, code, fx);
            }
        }
    }

    /// Enters a group-stop or PTRACE_EVENT_STOP trap (`do_jobctl_trap`).
    fn stop_trap(&mut self, slot: Slot, fx: &mut Effects) {
        let (task, group) = (self.table.task(slot), self.table.group(slot));
        let Some(trace) = task.trace else { return };
        let signal = task.job.signal.unwrap_or(Signal::SIGSTOP);
        let code = match trace.seized {
            true if group.stopping == 0 && !group.stopped => Signal::SIGTRAP.get() | EVENT_STOP << 8,
            true => signal.get() | EVENT_STOP << 8,
            false => signal.get(),
        };
        let completed = task.job.stop && self.join_stop(slot);
        if completed {
            self.refresh_group(slot);
        }
        self.trap(slot, code, CLD_STOPPED, fx);
        self.table.task_mut(slot).job.event_stop = trace.seized;
        if trace.seized {
            self.table.task_mut(slot).job.notify = false;
        }
        if completed && self.table.traced_by_other(slot) {
            self.notify_stop(slot, false, CLD_STOPPED, fx);
        }
    }

    /// Puts a tracee into a trace stop and notifies its tracer.
    pub(crate) fn trap(&mut self, slot: Slot, code: u32, why: i32, fx: &mut Effects) {
        debug_assert!(why == CLD_STOPPED || why == CLD_TRAPPED);
        let task = self.table.task_mut(slot);
        task.run = Run::Trapped;
        task.trap_code = code;
        task.job.trap = false;
        task.job.event_stop = false;
        task.job.delivery = false;
        task.job.cancelled = false;
        fx.stopped.push(task.tid);
        self.refresh(slot);
        self.notify_stop(slot, true, why, fx);
    }

    /// Resumes a stopped or trapped thread; settling then enters the stops that are pending.
    pub(crate) fn resume(&mut self, slot: Slot, fx: &mut Effects) {
        let task = self.table.task_mut(slot);
        task.run = Run::Running;
        task.trap_code = 0;
        task.job.listening = false;
        task.job.event_stop = false;
        fx.resumed.push(task.tid);
        self.refresh(slot);
    }

    /// Counts a thread as having joined the group stop. True if that completes it.
    pub(crate) fn join_stop(&mut self, slot: Slot) -> bool {
        let job = &mut self.table.task_mut(slot).job;
        job.stop = false;
        if !core::mem::take(&mut job.consume) {
            return false;
        }
        let group = self.table.group_mut(slot);
        group.stopping = group.stopping.saturating_sub(1);
        if group.stopping > 0 || group.stopped {
            return false;
        }
        group.continued = false;
        group.tell = None;
        self.set_stopped(slot, true);
        true
    }

    /// A new thread joins the group stop of its process, if there is one.
    pub(crate) fn join_group_stop(&mut self, from: Slot, slot: Slot) {
        let signal = self.table.task(from).job.signal;
        let group = self.table.group_mut(slot);
        let consume = group.stopping > 0;
        if consume {
            group.stopping += 1;
        } else if !group.stopped {
            return;
        }
        let job = &mut self.table.task_mut(slot).job;
        job.stop = true;
        job.consume = consume;
        job.signal = signal;
    }

    /// Sets or clears "completely stopped" and keeps the count of the process group.
    pub(crate) fn set_stopped(&mut self, slot: Slot, stopped: bool) {
        let group = self.table.group_mut(slot);
        if group.stopped == stopped {
            return;
        }
        group.stopped = stopped;
        let pgid = group.pgid;
        if let Some(pgrp) = self.table.pgrps.get_mut(&pgid) {
            match stopped {
                true => pgrp.stopped += 1,
                false => pgrp.stopped -= 1,
            }
        }
    }
}
