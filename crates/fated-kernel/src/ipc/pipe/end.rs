//! The ends of pipes, as files.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, anonymous_name, anonymous_stat};
use crate::fs::inode::{FileStat, kind};
use crate::fs::poll;
use crate::ipc::pipe::Pipe;
use crate::ipc::pipe::ring::PAGE;
use crate::mm::iov_iter::Buffers;
use crate::sched::wait_queue::WaitQueue;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;
use core::cell::Cell;
use linux_raw_sys::general::{O_ACCMODE, O_DIRECT, O_WRONLY};

/// An open end of a pipe, or both in one (`O_RDWR`).
#[derive(Debug)]
pub struct End {
    pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
    packets: Cell<bool>,
}

impl End {
    /// Opens an end of `pipe` with the access mode in `flags`.
    #[must_use]
    pub fn open(pipe: &Rc<Pipe>, flags: u32) -> Rc<End> {
        let reads = flags & O_ACCMODE != O_WRONLY;
        let writes = flags & O_ACCMODE != 0;
        pipe.readers.set(pipe.readers.get() + usize::from(reads));
        pipe.writers.set(pipe.writers.get() + usize::from(writes));
        let (readers, writers) = pipe.opened.get();
        pipe.opened.set((readers + u64::from(reads), writers + u64::from(writes)));
        pipe.ends_changed(reads, writes);
        Rc::new(End { pipe: pipe.clone(), reads, writes, packets: Cell::new(flags & O_DIRECT != 0) })
    }

    /// The pipe itself.
    #[must_use]
    pub fn pipe(&self) -> &Rc<Pipe> {
        &self.pipe
    }

    /// `F_GETPIPE_SZ`.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pipe.ring.borrow().capacity()
    }

    /// `F_SETPIPE_SZ`.
    pub fn set_capacity(&self, wanted: usize) -> Result<usize, Errno> {
        const HIGHEST: usize = 1 << 31;
        /// `/proc/sys/fs/pipe-max-size`.
        const LIMIT: usize = 1 << 20;
        if wanted > HIGHEST {
            return Err(Errno::EINVAL);
        }
        let capacity = wanted.max(PAGE).next_power_of_two();
        if capacity > LIMIT && capacity > self.capacity() {
            return Err(Errno::EPERM);
        }
        self.pipe.ring.borrow_mut().set_capacity(capacity)?;
        self.pipe.drained.wake();
        self.pipe.changed.wake();
        Ok(capacity)
    }

    /// Whether each write is a packet of its own (`O_DIRECT`).
    pub fn set_packets(&self, packets: bool) {
        self.packets.set(packets);
    }

    /// Moves up to `len` bytes on to another pipe, as far as there are any and there is room; or copies them (`keep`). `EAGAIN`
    /// if one of the two has to change first.
    pub fn hand_on(&self, cx: &Cx, to: &End, len: usize, keep: bool) -> Result<usize, Errno> {
        let (from, into) = (&self.pipe, &to.pipe);
        if Rc::ptr_eq(from, into) {
            return Err(Errno::EINVAL);
        }
        if into.readers.get() == 0 {
            cx.send_sigpipe();
            return Err(Errno::EPIPE);
        }
        if from.ring.borrow().is_empty() {
            return if from.writers.get() == 0 { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        if into.is_full() {
            return Err(Errno::EAGAIN);
        }
        let was_full = from.is_full();
        let done = from.ring.borrow_mut().move_to(&mut into.ring.borrow_mut(), len, keep);
        into.filled.wake();
        into.changed.wake();
        if was_full && !from.is_full() {
            from.drained.wake();
        }
        from.changed.wake();
        Ok(done)
    }
}

impl File for End {
    fn read(&self, _cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        let pipe = &self.pipe;
        if to.left() == 0 {
            return Ok(0);
        }
        if pipe.ring.borrow().is_empty() {
            return if pipe.writers.get() == 0 { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        let was_full = pipe.is_full();
        let done = pipe.ring.borrow_mut().drain(to)?;
        if was_full && !pipe.is_full() {
            pipe.drained.wake();
        }
        pipe.changed.wake();
        Ok(done as u64)
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        let pipe = &self.pipe;
        if from.left() == 0 {
            return Ok(0);
        }
        if pipe.readers.get() == 0 {
            cx.send_sigpipe();
            return Err(Errno::EPIPE);
        }
        let done = pipe.ring.borrow_mut().fill(from, self.packets.get())?;
        pipe.filled.wake();
        pipe.changed.wake();
        Ok(done as u64)
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn poll(&self) -> u32 {
        let pipe = &self.pipe;
        let mut bits = 0;
        if self.reads {
            if !pipe.ring.borrow().is_empty() {
                bits |= poll::IN | poll::RDNORM;
            }
            if pipe.writers.get() == 0 {
                bits |= poll::HUP;
            }
        }
        if self.writes {
            if !pipe.is_full() {
                bits |= poll::OUT | poll::WRNORM;
            }
            if pipe.readers.get() == 0 {
                bits |= poll::ERR;
            }
        }
        bits
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(match (self.reads, self.writes) {
            (true, false) => &self.pipe.filled,
            (false, true) => &self.pipe.drained,
            _ => &self.pipe.changed,
        })
    }

    fn stat(&self, _cx: &Cx) -> Result<FileStat, Errno> {
        Ok(anonymous_stat(kind::FIFO | 0o600, self.pipe.ino, self.pipe.made_ns))
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        if request != linux_raw_sys::ioctl::FIONREAD {
            return Err(Errno::ENOTTY);
        }
        cx.write_u32(arg, self.pipe.ring.borrow().len() as u32)?;
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        anonymous_name("pipe", self.pipe.ino)
    }

    fn reopen(&self, _cx: &Cx, flags: u32) -> Result<Rc<dyn File>, Errno> {
        Ok(End::open(&self.pipe, flags))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        pipe.readers.set(pipe.readers.get() - usize::from(self.reads));
        pipe.writers.set(pipe.writers.get() - usize::from(self.writes));
        if pipe.readers.get() == 0 && pipe.writers.get() == 0 {
            // A named pipe that nobody has open is empty.
            pipe.ring.borrow_mut().clear();
        }
        pipe.ends_changed(self.reads, self.writes);
    }
}
