//! The kernel's use of fated-wait: every change of the family goes through `Kernel::family_event`, which carries out what follows.

use crate::errno::Errno;
use crate::host::Kernel;
use crate::process::task::Task;
use crate::sched::Woken;
use crate::signal::{SI_KERNEL, SigInfo, nr};
use alloc::{rc::Rc, vec::Vec};
pub use fated_wait::{Effects, ExitCode, Family, ForkFlags, Signal};
use fated_wait::{Target, Usage};

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
        self.carry_out(&effects);
        result
    }

    fn carry_out(self: &Rc<Self>, effects: &Effects) {
        self.ids_in_use.set(self.ids_in_use.get().saturating_sub(effects.freed.len() as u32));
        for task in effects.stopped.iter().filter_map(|&tid| self.task(tid)) {
            task.halted.set(true);
        }
        for task in effects.resumed.iter().filter_map(|&tid| self.task(tid)) {
            self.release(&task);
        }
        for sent in &effects.signals {
            let info = SigInfo(sent.info.to_bytes());
            match sent.to {
                Target::Process(pid) => {
                    if let Some(process) = self.process(pid) {
                        self.send_to_process(&process, info);
                    }
                }
                Target::Thread(tid) => {
                    if let Some(task) = self.task(tid) {
                        self.send_to_task(&task, info);
                    }
                }
            }
        }
        for task in effects.wake.iter().filter_map(|&tid| self.task(tid)) {
            self.wake(&task, Woken::Event);
        }
        for &group in &effects.orphaned {
            self.send_to_group(group, SigInfo::new(nr::HUP, SI_KERNEL));
            self.send_to_group(group, SigInfo::new(nr::CONT, SI_KERNEL));
        }
    }

    /// A halted task may run again.
    pub(crate) fn release(&self, task: &Rc<Task>) {
        task.halted.set(false);
        if task.parked.replace(false) {
            self.scheduler.push(task);
        }
    }

    /// The members of a group, by ascending pid.
    #[must_use]
    pub fn group_members(&self, group: crate::id::Pgid) -> Vec<crate::id::Pid> {
        let mut members: Vec<_> = self.family.borrow().members(group).collect();
        members.sort_unstable();
        members
    }

    /// What a task has used so far, for rusage.
    #[must_use]
    pub fn usage_of(&self, task: &Task) -> Usage {
        Usage { utime_ns: task.cpu_ns.get(), maxrss_kib: MAXRSS_KIB, ..Usage::default() }
    }
}

/// Real memory use differs from machine to machine, so guests see this.
pub const MAXRSS_KIB: u64 = 4096;
