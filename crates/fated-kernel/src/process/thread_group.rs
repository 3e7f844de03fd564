//! A process: what the tasks of one thread group have in common.
//!
//! Invariants: a process with a living task is in `Kernel::processes` under its pid. What its family knows of it (parent, group, session,
//! exit code) is fated-wait's alone.

use crate::fs::host::text_busy::Use;
use crate::id::Pid;
use crate::mm::account::Account;
use crate::process::credentials::Credentials;
use crate::process::limits::Limits;
use crate::process::settings::Settings;
use crate::process::task::Task;
use crate::sched::wait_queue::WaitQueue;
use crate::signal::Pending;
use crate::time::timer::ProcessTimers;
use alloc::{rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};
use core::fmt;
use fated_wait::Usage;

/// A thread group.
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its living tasks, the oldest first.
    pub tasks: RefCell<Vec<Rc<Task>>>,
    /// Pending signals that were sent to the process.
    pub pending: Pending,
    /// Woken when a signal becomes pending (signalfd).
    pub signalled: WaitQueue,
    /// The process dies: none of its tasks makes another call.
    pub(crate) dying: Cell<bool>,
    /// Woken when its last task has ended.
    pub ended: WaitQueue,
    /// Woken when a vfork child execs or ends.
    pub(crate) released: WaitQueue,
    /// It is a vfork child that still uses its parent's memory.
    pub(crate) borrowing: Cell<bool>,
    /// The timers of alarm(2), setitimer(2) and timer_create(2).
    pub(crate) timers: ProcessTimers,
    /// Its limits.
    pub limits: Limits,
    /// Below which the numbers of descriptors are that its real process may have. It may have more when it needs them.
    pub(crate) real_descriptors: Cell<u64>,
    /// Its user and groups.
    pub credentials: RefCell<Credentials>,
    /// The path of its program.
    pub exe: RefCell<Vec<u8>>,
    /// Keeps others from writing to the file of its program.
    pub(crate) executable: RefCell<Option<Rc<Use>>>,
    /// Its settings of prctl(2) and the like.
    pub settings: Settings,
    /// Its nice value.
    pub nice: Cell<i32>,
    /// The virtual time at which it was made.
    pub started_ns: u64,
    /// What its ended tasks have used.
    pub(crate) ended_usage: Cell<Usage>,
    /// How large it is and was.
    pub(crate) memory: Account,
    /// Whether it has called exec.
    pub execed: Cell<bool>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.pid)
    }
}

impl Process {
    /// The virtual CPU time that all its tasks have used.
    #[must_use]
    pub fn total_cpu_ns(&self) -> u64 {
        self.ended_usage.get().utime_ns + self.tasks.borrow().iter().map(|t| t.cpu_ns.get()).sum::<u64>()
    }

    /// The oldest living task.
    #[must_use]
    pub fn first_task(&self) -> Option<Rc<Task>> {
        self.tasks.borrow().first().cloned()
    }
}
