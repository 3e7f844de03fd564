//! Tracing: who traces whom, and the stops of tracees (kernel/ptrace.c).

use crate::Family;
use crate::effects::Effects;
use crate::id::{Errno, Signal, Tid};
use crate::report::CLD_TRAPPED;
use crate::table::{Life, NONE, Run, Slot, Trace};

/// Why a tracee stops for its tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceStop {
    /// It is about to take a signal.
    Signal(Signal),
    /// Entry to or exit from a system call; `good` is PTRACE_O_TRACESYSGOOD.
    Syscall {
        /// Bit 7 of the signal is set.
        good: bool,
    },
    /// A `PTRACE_EVENT_*`, 1 to 127.
    Event(u8),
}

impl TraceStop {
    /// `signal | event << 8`.
    #[must_use]
    pub const fn code(self) -> u32 {
        let trap = Signal::SIGTRAP.get();
        match self {
            Self::Signal(signal) => signal.get(),
            Self::Syscall { good: true } => trap | 0x80,
            Self::Syscall { good: false } => trap,
            Self::Event(event) => trap | (event as u32) << 8,
        }
    }
}

impl Family {
    /// PTRACE_TRACEME. The tracer is the thread that is the parent.
    ///
    /// # Errors
    /// ESRCH if the thread is not alive, EPERM if it is traced already or has no parent.
    pub fn traceme(&mut self, tid: Tid) -> Result<(), Errno> {
        let slot = self.table.alive(tid)?;
        let parent = self.table.group(slot).parent;
        if self.table.task(slot).trace.is_some() || parent == NONE {
            return Err(Errno::EPERM);
        }
        if !self.table.task(parent).exiting {
            self.table.trace(slot, Trace { tracer: parent, seized: false, exitkill: false });
            self.refresh(slot);
        }
        Ok(())
    }

    /// PTRACE_ATTACH: the tracee gets a SIGSTOP, or if it is stopped already, becomes trapped.
    ///
    /// # Errors
    /// ESRCH if there is no such task; EPERM if it is of the same process, dead, or traced already. The owner checks
    /// credentials before.
    pub fn attach(&mut self, tracer: Tid, tid: Tid, fx: &mut Effects) -> Result<(), Errno> {
        self.attach_as(tracer, tid, false, false, fx)
    }

    /// PTRACE_SEIZE, with PTRACE_O_EXITKILL or without.
    ///
    /// # Errors
    /// Those of [`attach`](Self::attach).
    pub fn seize(&mut self, tracer: Tid, tid: Tid, exitkill: bool, fx: &mut Effects) -> Result<(), Errno> {
        self.attach_as(tracer, tid, true, exitkill, fx)
    }

    fn attach_as(
        &mut self,
        tracer: Tid,
        tid: Tid,
        seized: bool,
        exitkill: bool,
        fx: &mut Effects,
    ) -> Result<(), Errno> {
        let tracer = self.table.alive(tracer)?;
        let slot = self.table.get(tid)?;
        let task = self.table.task(slot);
        if self.table.same_process(tracer, slot) || task.life != Life::Alive || task.trace.is_some() {
            return Err(Errno::EPERM);
        }
        let stopped = task.run == Run::Stopped;
        self.table.trace(slot, Trace { tracer, seized, exitkill });
        self.refresh_group(slot);
        if !seized {
            self.kernel_signal(slot, Signal::SIGSTOP, fx);
        }
        if stopped {
            self.table.task_mut(slot).job.trap = true;
            self.resume(slot, fx);
            self.settle_slot(slot, fx);
        }
        Ok(())
    }

    /// PTRACE_SETOPTIONS, as far as it matters here: PTRACE_O_EXITKILL.
    ///
    /// # Errors
    /// ESRCH unless the task is a stopped tracee of the caller.
    pub fn set_exitkill(&mut self, tracer: Tid, tid: Tid, exitkill: bool) -> Result<(), Errno> {
        let (_, slot) = self.trapped_tracee(tracer, tid)?;
        if let Some(trace) = &mut self.table.task_mut(slot).trace {
            trace.exitkill = exitkill;
        }
        Ok(())
    }

    /// A tracee enters a trace stop. False, without effect, if it is not traced or its process is being killed: it then
    /// runs on.
    ///
    /// # Errors
    /// ESRCH if the task is not alive, EINVAL if it is stopped already.
    pub fn trace_stop(&mut self, tid: Tid, stop: TraceStop, fx: &mut Effects) -> Result<bool, Errno> {
        let slot = self.table.alive(tid)?;
        let task = self.table.task(slot);
        if task.run != Run::Running {
            return Err(Errno::EINVAL);
        }
        if task.trace.is_none() {
            return Ok(false);
        }
        if matches!(stop, TraceStop::Signal(_)) {
            self.tell_parent(slot, fx);
        }
        self.trap(slot, stop.code(), CLD_TRAPPED, fx);
        self.table.task_mut(slot).job.delivery = matches!(stop, TraceStop::Signal(_));
        Ok(true)
    }

    /// PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SINGLESTEP. Without a signal the tracee enters a pending stop at once. With
    /// one the owner delivers the signal first and then [settles](Self::settle) the tracee.
    ///
    /// # Errors
    /// ESRCH unless the task is a stopped tracee of the caller.
    pub fn cont(&mut self, tracer: Tid, tid: Tid, signal: Option<Signal>, fx: &mut Effects) -> Result<(), Errno> {
        let (_, slot) = self.trapped_tracee(tracer, tid)?;
        self.resume(slot, fx);
        if signal.is_none() {
            self.settle_slot(slot, fx);
        }
        Ok(())
    }

    /// PTRACE_DETACH; the signal as with [`cont`](Self::cont).
    ///
    /// # Errors
    /// ESRCH unless the task is a stopped tracee of the caller.
    pub fn detach(&mut self, tracer: Tid, tid: Tid, signal: Option<Signal>, fx: &mut Effects) -> Result<(), Errno> {
        let (_, slot) = self.trapped_tracee(tracer, tid)?;
        self.unlink_tracee(slot);
        self.resume(slot, fx);
        if signal.is_none() {
            self.settle_slot(slot, fx);
        }
        Ok(())
    }

    /// PTRACE_KILL.
    ///
    /// # Errors
    /// ESRCH unless the task is a tracee of the caller.
    pub fn kill(&mut self, tracer: Tid, tid: Tid, fx: &mut Effects) -> Result<(), Errno> {
        let (tracer, slot) = self.tracee(tracer, tid)?;
        if self.table.task(slot).life == Life::Alive {
            self.user_signal_thread(tracer, slot, Signal::SIGKILL, fx);
        }
        Ok(())
    }

    /// PTRACE_INTERRUPT: the tracee traps now, or when its current stop ends.
    ///
    /// # Errors
    /// ESRCH unless the task is a tracee of the caller, EIO unless it is seized. It has no effect on a dead tracee.
    pub fn interrupt(&mut self, tracer: Tid, tid: Tid, fx: &mut Effects) -> Result<(), Errno> {
        let (_, slot) = self.tracee(tracer, tid)?;
        let task = self.table.task_mut(slot);
        if !task.trace.is_some_and(|trace| trace.seized) {
            return Err(Errno::EIO);
        }
        if task.life != Life::Alive {
            return Ok(());
        }
        task.job.trap = true;
        if task.job.listening {
            self.resume(slot, fx);
        }
        self.settle_slot(slot, fx);
        Ok(())
    }

    /// PTRACE_LISTEN: in a stop trap, the tracee stays stopped, but reports nothing until its state changes.
    ///
    /// # Errors
    /// ESRCH unless the task is a stopped tracee of the caller, EIO unless it is seized and in a stop trap.
    pub fn listen(&mut self, tracer: Tid, tid: Tid, fx: &mut Effects) -> Result<(), Errno> {
        let (_, slot) = self.trapped_tracee(tracer, tid)?;
        let task = self.table.task_mut(slot);
        if !task.trace.is_some_and(|trace| trace.seized) || !task.job.event_stop {
            return Err(Errno::EIO);
        }
        task.job.listening = true;
        if task.job.notify {
            self.resume(slot, fx);
            self.settle_slot(slot, fx);
        } else {
            self.refresh(slot);
        }
        Ok(())
    }

    /// The caller and its tracee, in any state.
    fn tracee(&self, tracer: Tid, tid: Tid) -> Result<(Slot, Slot), Errno> {
        let tracer = self.table.alive(tracer)?;
        let slot = self.table.get(tid)?;
        match self.table.task(slot).trace {
            Some(trace) if trace.tracer == tracer => Ok((tracer, slot)),
            _ => Err(Errno::ESRCH),
        }
    }

    /// The caller and its tracee in a trace stop; a listening one doesn't count.
    fn trapped_tracee(&self, tracer: Tid, tid: Tid) -> Result<(Slot, Slot), Errno> {
        let (tracer, slot) = self.tracee(tracer, tid)?;
        let task = self.table.task(slot);
        match task.run == Run::Trapped && !task.job.listening {
            true => Ok((tracer, slot)),
            false => Err(Errno::ESRCH),
        }
    }

    /// Ends a trace: the task belongs to its parent alone again, and joins a group stop that is in effect.
    pub(crate) fn unlink_tracee(&mut self, slot: Slot) {
        self.table.untrace(slot);
        let group = self.table.group(slot);
        let stop = group.stopped || group.stopping > 0;
        let task = self.table.task_mut(slot);
        task.job.trap = false;
        task.job.notify = false;
        if stop && !task.exiting {
            task.job.stop = true;
            task.job.signal.get_or_insert(Signal::SIGSTOP);
        }
        self.refresh_group(slot);
    }
}
