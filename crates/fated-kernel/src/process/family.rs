//! The kernel's use of fated-wait, which owns all relations between processes.
//!
//! Invariant: every change of the family that can have effects goes through `Kernel::family_event`, which carries them out in the order
//! that fated-wait fixes ([`fated_wait::Effects::apply`]).

use crate::errno::Errno;
use crate::host::Kernel;
use crate::id::{Pgid, Pid, Tid};
use crate::process::task::Task;
use crate::sched::Woken;
use crate::signal::{SI_KERNEL, SigInfo, nr};
use alloc::rc::Rc;
pub use fated_wait::{Effects, ExitCode, Family, ForkFlags, Signal};
use fated_wait::{Owner, SignalSent, Target};

impl From<fated_wait::Errno> for Errno {
    fn from(error: fated_wait::Errno) -> Errno {
        Errno::from_number(error.raw())
    }
}

impl Kernel {
    /// Changes the family and carries out what follows: signals, wake-ups, stops, continues.
    pub(crate) fn family_event<T>(self: &Rc<Self>, change: impl FnOnce(&mut Family, &mut Effects) -> T) -> T {
        let mut effects = Effects::new();
        let result = change(&mut self.family.borrow_mut(), &mut effects);
        effects.apply(&mut Consequences { kernel: self });
        result
    }

    /// A halted task may run again.
    pub(crate) fn release(&self, task: &Rc<Task>) {
        task.halted.set(false);
        if task.parked.replace(false) {
            self.scheduler.push(task);
        }
    }
}

/// What the kernel does about the effects of an event.
struct Consequences<'a> {
    kernel: &'a Rc<Kernel>,
}

impl Owner for Consequences<'_> {
    fn execed(&mut self, old: Tid, new: Pid) {
        let new = Tid::from(new);
        let mut tasks = self.kernel.tasks.borrow_mut();
        if old != new
            && let Some(task) = tasks.remove(&old)
        {
            task.tid.set(new);
            tasks.insert(new, task);
        }
    }

    fn stopped(&mut self, tid: Tid) {
        if let Some(task) = self.kernel.task(tid) {
            task.halted.set(true);
            // It leaves its sleep, as by a signal: what it waits for is not used up by one that is stopped.
            self.kernel.wake(&task, Woken::Signal);
        }
    }

    fn resumed(&mut self, tid: Tid) {
        if let Some(task) = self.kernel.task(tid) {
            self.kernel.release(&task);
        }
    }

    fn signal(&mut self, sent: &SignalSent) {
        let info = SigInfo(sent.info.to_bytes());
        match sent.to {
            Target::Process(pid) => {
                if let Some(process) = self.kernel.process(pid) {
                    self.kernel.send_to_process(&process, info);
                }
            }
            Target::Thread(tid) => {
                if let Some(task) = self.kernel.task(tid) {
                    self.kernel.send_to_task(&task, info);
                }
            }
        }
    }

    /// There are no tracers among guests: ptrace(2) is refused.
    fn taken(&mut self, _: Tid, _: Signal) {}

    /// An orphaned process group with a stopped member gets SIGHUP and SIGCONT.
    fn orphaned(&mut self, group: Pgid) {
        self.kernel.send_to_group(group, SigInfo::new(nr::HUP, SI_KERNEL));
        self.kernel.send_to_group(group, SigInfo::new(nr::CONT, SI_KERNEL));
    }

    fn wake(&mut self, tid: Tid) {
        if let Some(task) = self.kernel.task(tid) {
            self.kernel.wake(&task, Woken::Event);
        }
    }

    fn freed(&mut self, _: Tid) {
        let in_use = &self.kernel.ids_in_use;
        in_use.set(in_use.get().saturating_sub(1));
    }
}
