//! What tasks and processes have used (getrusage(2)). CPU time is virtual; memory is a constant, because the real use of it differs from
//! machine to machine.

use crate::cx::Cx;
use crate::host::Kernel;
use crate::process::task::Task;
use crate::process::thread_group::Process;
use fated_wait::Usage;

/// The resident memory that every process shows.
pub const MAXRSS_KIB: u64 = 4096;

impl Kernel {
    /// What a task has used so far.
    #[must_use]
    pub fn usage_of(&self, task: &Task) -> Usage {
        usage(task.cpu_ns.get())
    }
}

fn usage(utime_ns: u64) -> Usage {
    Usage { utime_ns, maxrss_kib: MAXRSS_KIB, ..Usage::default() }
}

/// What a process has used, its ended tasks included.
#[must_use]
pub fn usage_of_process(process: &Process) -> Usage {
    usage(process.total_cpu_ns())
}

/// What the reaped children of the calling process have used.
#[must_use]
pub fn usage_of_children(cx: &Cx) -> Usage {
    cx.kernel.family.borrow().children_usage(cx.process().pid).unwrap_or_default()
}
