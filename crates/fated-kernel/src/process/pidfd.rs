//! Descriptors of processes (pidfd_open(2)). One is readable once its process has ended.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::id::Pid;
use crate::process::thread_group::Process;
use crate::sched::wait_queue::WaitQueue;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;
use linux_raw_sys::general::{O_CLOEXEC, O_RDWR};

/// A reference to a process. It never refers to a later process with the same id.
#[derive(Debug)]
pub struct PidFd {
    pid: Pid,
    /// `None`: it had ended before this was made.
    process: Option<Rc<Process>>,
    ended: WaitQueue,
}

impl PidFd {
    /// Refers to a living process.
    #[must_use]
    pub fn new(process: &Rc<Process>) -> PidFd {
        PidFd { pid: process.pid, process: Some(process.clone()), ended: process.ended.clone() }
    }

    /// Refers to a process that has ended and has not been waited for.
    #[must_use]
    pub fn of_zombie(pid: Pid) -> PidFd {
        PidFd { pid, process: None, ended: WaitQueue::default() }
    }

    /// Opens a descriptor that refers to a living process (`CLONE_PIDFD`).
    pub(crate) fn install(cx: &Cx, process: &Rc<Process>) -> Result<i32, Errno> {
        cx.install(Rc::new(PidFd::new(process)), O_CLOEXEC | O_RDWR)
    }

    /// The id of the process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The process, if it still has a task.
    #[must_use]
    pub fn living(&self) -> Option<&Rc<Process>> {
        self.process.as_ref().filter(|process| !process.tasks.borrow().is_empty())
    }
}

impl File for PidFd {
    fn poll(&self) -> u32 {
        if self.living().is_some() { 0 } else { poll::IN | poll::RDNORM }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.ended)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        Ok(anonymous_stat(0o700, self.pid.get().into(), cx.kernel.config.epoch_ns))
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[pidfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
