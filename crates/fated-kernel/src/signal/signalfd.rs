//! Signals as a file (signalfd(2)). A read takes pending signals of the task that reads.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{ANON_INODE, File, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::host::Kernel;
use crate::mm::iov_iter::Buffers;
use crate::process::task::Process;
use crate::sched::wait_queue::WaitQueue;
use crate::signal::{SI_KERNEL, SI_TIMER, SI_USER, SigInfo, SigSet, nr};
use alloc::{
    rc::{Rc, Weak},
    vec::Vec,
};
use core::any::Any;
use core::cell::Cell;

/// A set of signals that can be read.
#[derive(Debug)]
pub struct SignalFd {
    kernel: Weak<Kernel>,
    /// Who made it. Where no task asks for the readiness, as in the ready list of epoll, its signals count.
    owner: Weak<Process>,
    mask: Cell<SigSet>,
    signalled: WaitQueue,
}

impl SignalFd {
    /// A file for the signals in `mask`.
    #[must_use]
    pub fn new(cx: &Cx, mask: SigSet) -> SignalFd {
        SignalFd {
            kernel: Rc::downgrade(&cx.kernel),
            owner: Rc::downgrade(cx.process()),
            mask: Cell::new(mask),
            signalled: cx.process().signalled.clone(),
        }
    }

    /// Changes the set.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.set(mask);
        self.signalled.wake();
    }

    fn take(&self, cx: &Cx) -> Option<SigInfo> {
        cx.take_signal(self.mask.get())
    }
}

impl File for SignalFd {
    fn read(&self, cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        if to.left() < RECORD as u64 {
            return Err(Errno::EINVAL);
        }
        let mut done = 0;
        while to.left() >= RECORD as u64 {
            let Some(info) = self.take(cx) else { break };
            match to.put_all(&record(&info)) {
                Ok(()) => done += RECORD as u64,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if done == 0 { Err(Errno::EAGAIN) } else { Ok(done) }
    }

    fn poll(&self) -> u32 {
        let mine = self.kernel.upgrade().and_then(|kernel| kernel.running()).map(|task| task.pending_set());
        let owners = || {
            let process = self.owner.upgrade()?;
            let tasks = process.tasks.borrow();
            let pending = process.pending.set();
            Some(tasks.iter().fold(pending, |set, task| set.with(task.pending.set())))
        };
        let pending = mine.unwrap_or_default().with(owners().unwrap_or_default());
        if pending.and(self.mask.get()).is_empty() { 0 } else { poll::IN }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.signalled)
    }

    /// A task waits for signals of its own process.
    fn queue_of<'a>(&'a self, cx: &'a Cx) -> Option<&'a WaitQueue> {
        Some(&cx.task.process.signalled)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        Ok(anonymous_stat(0o600, ANON_INODE, cx.kernel.config.epoch_ns))
    }

    /// There is no position; any is accepted (`noop_llseek`).
    fn seek(&self, _cx: &Cx, _offset: i64, _whence: u32) -> Result<u64, Errno> {
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[signalfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The size of a `struct signalfd_siginfo`.
const RECORD: usize = 128;

/// Turns a `siginfo_t` into a `struct signalfd_siginfo`. Signal and code say which fields it has (`siginfo_layout`).
fn record(info: &SigInfo) -> [u8; RECORD] {
    let mut out = Record([0; RECORD]);
    let (signal, code) = (info.signal(), info.code());
    out.copy(info, 0, 0);
    out.copy(info, 4, 4);
    out.copy(info, 8, 8);
    let from_kernel = code > SI_USER && code < SI_KERNEL;
    match signal {
        nr::SEGV | nr::BUS | nr::ILL | nr::FPE | nr::TRAP if from_kernel => {
            out.copy(info, 16, 72);
            out.copy(info, 20, 76);
        }
        nr::CHLD if from_kernel => {
            out.copy(info, 16, 12);
            out.copy(info, 20, 16);
            out.copy(info, 24, 40);
            for (from, to) in [(32, 56), (36, 60), (40, 64), (44, 68)] {
                out.copy(info, from, to);
            }
        }
        _ if code == SI_TIMER => {
            out.copy(info, 16, 24);
            out.copy(info, 20, 32);
            out.value(info);
        }
        _ => {
            out.copy(info, 16, 12);
            out.copy(info, 20, 16);
            if code < SI_USER {
                out.value(info);
            }
        }
    }
    out.0
}

struct Record([u8; RECORD]);

impl Record {
    fn copy(&mut self, info: &SigInfo, from: usize, to: usize) {
        if let Some(field) = self.0.get_mut(to..to + 4) {
            field.copy_from_slice(&info.i32_at(from).to_le_bytes());
        }
    }

    /// `si_value`, as a number and as a pointer.
    fn value(&mut self, info: &SigInfo) {
        self.copy(info, 24, 44);
        self.copy(info, 24, 48);
        self.copy(info, 28, 52);
    }
}
