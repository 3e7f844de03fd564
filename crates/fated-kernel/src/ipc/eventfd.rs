//! Event counters (eventfd(2)).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::sched::wait_queue::WaitQueue;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::Cell;

/// A counter that can be waited for.
#[derive(Debug)]
pub struct EventFd {
    count: Cell<u64>,
    semaphore: bool,
    changed: WaitQueue,
}

/// The counter never holds more.
const MAX: u64 = u64::MAX - 1;

impl EventFd {
    /// A counter that starts at `count`. A read takes all of it, or 1 if it is a semaphore.
    #[must_use]
    pub fn new(count: u32, semaphore: bool) -> EventFd {
        EventFd { count: Cell::new(count.into()), semaphore, changed: WaitQueue::default() }
    }
}

impl File for EventFd {
    fn read(&self, _cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        if to.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let count = self.count.get();
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        let taken = if self.semaphore { 1 } else { count };
        self.count.set(count - taken);
        self.changed.wake();
        to.put_all(&taken.to_le_bytes())?;
        Ok(8)
    }

    fn write(&self, _cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        if from.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let added = u64::from_le_bytes(from.take_array()?);
        if added == u64::MAX {
            return Err(Errno::EINVAL);
        }
        let count = self.count.get();
        if added > MAX - count {
            return Err(Errno::EAGAIN);
        }
        self.count.set(count + added);
        // A write of 0 to a counter that isn't 0 is an event too: edge-triggered watchers rely on it.
        self.changed.wake();
        Ok(8)
    }

    fn poll(&self) -> u32 {
        let count = self.count.get();
        let mut bits = 0;
        if count > 0 {
            bits |= poll::IN;
        }
        if count < MAX {
            bits |= poll::OUT;
        }
        bits
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        Ok(anonymous_stat(0o600, crate::fs::file::ANON_INODE, cx.kernel.config.epoch_ns))
    }

    /// There is no position; any is accepted (`noop_llseek`).
    fn seek(&self, _cx: &Cx, _offset: i64, _whence: u32) -> Result<u64, Errno> {
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[eventfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
