//! What tasks and processes have used (getrusage(2)). CPU time is virtual; memory follows from the mappings, because the real use of it
//! differs from machine to machine, and page faults from that.

use crate::cx::Cx;
use crate::host::Kernel;
use crate::mm::sizes::look;
use crate::process::task::Task;
use crate::process::thread_group::Process;
use fated_wait::Usage;

impl Kernel {
    /// What a task has used so far.
    #[must_use]
    pub fn usage_of(&self, task: &Task) -> Usage {
        usage(task)
    }
}

fn usage(task: &Task) -> Usage {
    let maxrss_kib = task.process.memory.max_resident() >> 10;
    Usage { utime_ns: task.cpu_ns.get(), maxrss_kib, ..*task.counts.borrow() }
}

impl Task {
    /// The memory of the process is about to become smaller or to go: takes note of its size.
    pub(crate) fn see_peak(&self) {
        match self.process.memory.note() {
            Some(faults) => self.counts.borrow_mut().minflt += faults,
            None => drop(look(self)),
        }
    }
}

/// What a process has used, its ended tasks included.
#[must_use]
pub fn usage_of_process(process: &Process) -> Usage {
    let mut sum = process.ended_usage.get();
    process.tasks.borrow().iter().for_each(|task| sum.add(&usage(task)));
    sum
}

/// What the reaped children of a process have used.
#[must_use]
pub fn usage_of_children(cx: &Cx, process: &Process) -> Usage {
    cx.kernel.family.borrow().children_usage(process.pid).unwrap_or_default()
}
