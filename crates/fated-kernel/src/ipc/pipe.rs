//! Pipes (pipe(7)).
//!
//! A pipe is a row of buffers of at most a page each, as in Linux: how much fits depends on how it was written. Small writes
//! are whole because a page takes them or a buffer is free for them.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, anonymous_name, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::host::Kernel;
use crate::mm::iov_iter::Buffers;
use crate::sched::wait_queue::WaitQueue;
use alloc::{collections::VecDeque, rc::Rc, vec::Vec};
use core::any::Any;
use core::cell::{Cell, RefCell};
use linux_raw_sys::general::O_DIRECT;
use linux_raw_sys::general::{O_ACCMODE, O_WRONLY};

/// What a buffer holds, and the most that a write keeps whole (`PIPE_BUF`).
const PAGE: usize = 4096;
/// What a pipe holds (`F_GETPIPE_SZ`), at first.
pub const CAPACITY: usize = 16 * PAGE;

/// The pipe between the ends.
#[derive(Debug)]
pub struct Pipe {
    ino: u64,
    made_ns: u64,
    buffers: RefCell<VecDeque<Buffer>>,
    /// How many buffers there may be.
    slots: Cell<usize>,
    readers: Cell<usize>,
    writers: Cell<usize>,
    /// How often a reading and a writing end have been opened so far.
    opened: Cell<(u64, u64)>,
    /// Woken when data comes or the writers change; when room comes or the readers change; at both.
    filled: WaitQueue,
    drained: WaitQueue,
    changed: WaitQueue,
}

/// A page of a pipe.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// What has been read of it.
    start: usize,
    /// Read as one, and never filled up (`O_DIRECT`).
    packet: bool,
}

impl Buffer {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// An open end of a pipe, or both in one (`O_RDWR`).
#[derive(Debug)]
pub struct End {
    pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
    packets: Cell<bool>,
}

impl Pipe {
    /// An empty pipe without ends.
    #[must_use]
    pub fn new(kernel: &Rc<Kernel>) -> Rc<Pipe> {
        Rc::new(Pipe {
            ino: kernel.next_serial(),
            made_ns: kernel.timers.now(),
            buffers: RefCell::default(),
            slots: Cell::new(CAPACITY / PAGE),
            readers: Cell::new(0),
            writers: Cell::new(0),
            opened: Cell::default(),
            filled: WaitQueue::new(kernel),
            drained: WaitQueue::new(kernel),
            changed: WaitQueue::new(kernel),
        })
    }

    /// Opens an end with the access mode in `flags`.
    #[must_use]
    pub fn open(self: &Rc<Pipe>, flags: u32) -> Rc<dyn File> {
        let reads = flags & O_ACCMODE != O_WRONLY;
        let writes = flags & O_ACCMODE != 0;
        self.readers.set(self.readers.get() + usize::from(reads));
        self.writers.set(self.writers.get() + usize::from(writes));
        let (readers, writers) = self.opened.get();
        self.opened.set((readers + u64::from(reads), writers + u64::from(writes)));
        self.ends_changed(reads, writes);
        Rc::new(End { pipe: self.clone(), reads, writes, packets: Cell::new(flags & O_DIRECT != 0) })
    }

    /// Whether someone has the reading end, and the writing end.
    #[must_use]
    pub fn ends(&self) -> (bool, bool) {
        (self.readers.get() > 0, self.writers.get() > 0)
    }

    /// How often the reading end, and the writing end, have been opened so far.
    #[must_use]
    pub fn opened(&self) -> (u64, u64) {
        self.opened.get()
    }

    /// Woken when data, room or ends come and go.
    #[must_use]
    pub fn changed(&self) -> &WaitQueue {
        &self.changed
    }

    fn ends_changed(&self, reader: bool, writer: bool) {
        if writer {
            self.filled.wake();
        }
        if reader {
            self.drained.wake();
        }
        self.changed.wake();
    }

    fn is_full(&self) -> bool {
        self.buffers.borrow().len() >= self.slots.get()
    }

    fn len(&self) -> usize {
        self.buffers.borrow().iter().map(|buffer| buffer.rest().len()).sum()
    }

    /// Appends what doesn't make up a page to the last buffer, if it fits there as a whole.
    fn fill_up(&self, from: &mut Buffers) -> Result<usize, Errno> {
        let odd = from.left() as usize % PAGE;
        let mut buffers = self.buffers.borrow_mut();
        let Some(last) = buffers.back_mut().filter(|last| !last.packet && odd > 0 && last.bytes.len() + odd <= PAGE)
        else {
            return Ok(0);
        };
        let data = from.take(odd)?;
        last.bytes.extend_from_slice(&data);
        if data.len() < odd { Err(Errno::EFAULT) } else { Ok(odd) }
    }
}

impl End {
    /// The pipe itself.
    #[must_use]
    pub fn pipe(&self) -> &Rc<Pipe> {
        &self.pipe
    }

    /// `F_GETPIPE_SZ`.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pipe.slots.get() * PAGE
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
        if capacity / PAGE < self.pipe.buffers.borrow().len() {
            return Err(Errno::EBUSY);
        }
        self.pipe.slots.set(capacity / PAGE);
        self.pipe.drained.wake();
        self.pipe.changed.wake();
        Ok(capacity)
    }

    /// Whether each write is a packet of its own (`O_DIRECT`).
    pub fn set_packets(&self, packets: bool) {
        self.packets.set(packets);
    }

    /// Writes as far as there is room. What went in before a bad address or a full pipe counts.
    fn fill(&self, from: &mut Buffers) -> Result<usize, Errno> {
        let pipe = &self.pipe;
        let mut done = if self.packets.get() { 0 } else { pipe.fill_up(from)? };
        while from.left() > 0 {
            if pipe.is_full() {
                return if done > 0 { Ok(done) } else { Err(Errno::EAGAIN) };
            }
            let wanted = PAGE.min(from.left() as usize);
            match from.take(wanted) {
                Ok(bytes) if bytes.len() == wanted => {
                    pipe.buffers.borrow_mut().push_back(Buffer { bytes, start: 0, packet: self.packets.get() });
                    done += wanted;
                }
                _ if done > 0 => return Ok(done),
                _ => return Err(Errno::EFAULT),
            }
        }
        Ok(done)
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
        if from.buffers.borrow().is_empty() {
            return if from.writers.get() == 0 { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        if into.is_full() {
            return Err(Errno::EAGAIN);
        }
        let was_full = from.is_full();
        let (mut done, mut at) = (0, 0);
        while done < len && !into.is_full() {
            let mut buffers = from.buffers.borrow_mut();
            let Some(buffer) = buffers.get_mut(at) else { break };
            let rest = buffer.rest();
            let part = rest.get(..len - done).unwrap_or(rest).to_vec();
            done += part.len();
            let packet = buffer.packet;
            if keep {
                at += 1;
            } else {
                buffer.start += part.len();
                if buffer.rest().is_empty() {
                    buffers.pop_front();
                }
            }
            into.buffers.borrow_mut().push_back(Buffer { bytes: part, start: 0, packet });
        }
        into.filled.wake();
        into.changed.wake();
        if was_full && !from.is_full() {
            from.drained.wake();
        }
        from.changed.wake();
        Ok(done)
    }

    fn drain(&self, to: &mut Buffers) -> Result<usize, Errno> {
        let mut buffers = self.pipe.buffers.borrow_mut();
        let mut done = 0;
        while to.left() > 0 {
            let Some(first) = buffers.front_mut() else { break };
            let wanted = first.rest().len().min(to.left() as usize);
            let put = match to.put(first.rest()) {
                Ok(put) => put,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            first.start += put;
            done += put;
            let packet = first.packet;
            if packet || first.rest().is_empty() {
                // What doesn't fit of a packet is lost.
                buffers.pop_front();
            }
            if packet || put < wanted {
                break;
            }
        }
        Ok(done)
    }
}

impl File for End {
    fn read(&self, _cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        let pipe = &self.pipe;
        if to.left() == 0 {
            return Ok(0);
        }
        if pipe.buffers.borrow().is_empty() {
            return if pipe.writers.get() == 0 { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        let was_full = pipe.is_full();
        let done = self.drain(to)?;
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
        let done = self.fill(from)?;
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
            if !pipe.buffers.borrow().is_empty() {
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
        Ok(anonymous_stat(0o010_600, self.pipe.ino, self.pipe.made_ns))
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        if request != linux_raw_sys::ioctl::FIONREAD {
            return Err(Errno::ENOTTY);
        }
        cx.write_u32(arg, self.pipe.len() as u32)?;
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        anonymous_name("pipe", self.pipe.ino)
    }

    fn reopen(&self, _cx: &Cx, flags: u32) -> Result<Rc<dyn File>, Errno> {
        Ok(self.pipe.open(flags))
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
            pipe.buffers.take();
        }
        pipe.ends_changed(self.reads, self.writes);
    }
}
