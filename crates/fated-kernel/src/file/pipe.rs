//! Pipes (pipe(7)).

use super::{File, O_ACCMODE, O_WRONLY, anonymous_name, anonymous_stat, poll};
use crate::cx::Cx;
use crate::errno::Errno;
use crate::guest::FileStat;
use crate::kernel::Kernel;
use crate::queue::Queue;
use crate::signal::{SI_USER, SigInfo, nr};
use crate::user::Buffers;
use alloc::{collections::VecDeque, rc::Rc, vec::Vec};
use core::any::Any;
use core::cell::{Cell, RefCell};

/// What a pipe holds (`F_GETPIPE_SZ`), at first.
pub const CAPACITY: usize = 65536;
/// Writes of at most so many bytes are whole (`PIPE_BUF`).
const ATOMIC: usize = 4096;

/// The pipe between the ends.
#[derive(Debug)]
pub struct Pipe {
    ino: u64,
    made_ns: u64,
    data: RefCell<VecDeque<u8>>,
    capacity: Cell<usize>,
    readers: Cell<usize>,
    writers: Cell<usize>,
    changed: Queue,
}

/// An open end of a pipe, or both in one (`O_RDWR`).
#[derive(Debug)]
pub struct End {
    pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
}

impl Pipe {
    /// An empty pipe without ends.
    #[must_use]
    pub fn new(kernel: &Rc<Kernel>) -> Rc<Pipe> {
        Rc::new(Pipe {
            ino: kernel.next_serial(),
            made_ns: kernel.timers.now(),
            data: RefCell::default(),
            capacity: Cell::new(CAPACITY),
            readers: Cell::new(0),
            writers: Cell::new(0),
            changed: Queue::new(kernel),
        })
    }

    /// Opens an end with the access mode in `flags`.
    #[must_use]
    pub fn open(self: &Rc<Pipe>, flags: u32) -> Rc<dyn File> {
        let reads = flags & O_ACCMODE != O_WRONLY;
        let writes = flags & O_ACCMODE != 0;
        self.readers.set(self.readers.get() + usize::from(reads));
        self.writers.set(self.writers.get() + usize::from(writes));
        self.changed.wake();
        Rc::new(End { pipe: self.clone(), reads, writes })
    }

    /// Whether someone has the reading end, and the writing end.
    #[must_use]
    pub fn ends(&self) -> (bool, bool) {
        (self.readers.get() > 0, self.writers.get() > 0)
    }

    /// Woken when data, room or ends come and go.
    #[must_use]
    pub fn changed(&self) -> &Queue {
        &self.changed
    }

    fn room(&self) -> usize {
        self.capacity.get().saturating_sub(self.data.borrow().len())
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
        self.pipe.capacity.get()
    }

    /// `F_SETPIPE_SZ`.
    pub fn set_capacity(&self, wanted: usize) -> Result<usize, Errno> {
        const LIMIT: usize = 1 << 20;
        if wanted > LIMIT {
            return Err(Errno::EPERM);
        }
        let capacity = wanted.max(4096).next_power_of_two();
        if capacity < self.pipe.data.borrow().len() {
            return Err(Errno::EBUSY);
        }
        self.pipe.capacity.set(capacity);
        self.pipe.changed.wake();
        Ok(capacity)
    }
}

impl File for End {
    fn read(&self, _cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        let pipe = &self.pipe;
        if to.left() == 0 {
            return Ok(0);
        }
        if pipe.data.borrow().is_empty() {
            return if pipe.writers.get() == 0 { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        let mut data = pipe.data.borrow_mut();
        let mut done = 0;
        let (front, back) = data.as_slices();
        for part in [front, back] {
            if !part.is_empty() && to.left() > 0 {
                match to.put(part) {
                    Ok(n) => done += n,
                    Err(error) if done == 0 => return Err(error),
                    Err(_) => break,
                }
            }
        }
        data.drain(..done);
        drop(data);
        pipe.changed.wake();
        Ok(done as u64)
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        let pipe = &self.pipe;
        if pipe.readers.get() == 0 {
            let (pid, uid) = (cx.process().pid.get(), cx.process().credentials.borrow().uid[0]);
            cx.kernel.send_to_task(&cx.task, SigInfo::from_process(nr::PIPE, SI_USER, pid, uid));
            return Err(Errno::EPIPE);
        }
        if from.left() == 0 {
            return Ok(0);
        }
        let room = pipe.room();
        if room == 0 || (from.left() as usize <= ATOMIC && (from.left() as usize) > room) {
            return Err(Errno::EAGAIN);
        }
        let data = from.take(room)?;
        pipe.data.borrow_mut().extend(&data);
        pipe.changed.wake();
        Ok(data.len() as u64)
    }

    fn poll(&self) -> u32 {
        let pipe = &self.pipe;
        let mut bits = 0;
        if self.reads {
            if !pipe.data.borrow().is_empty() {
                bits |= poll::IN | poll::RDNORM;
            }
            if pipe.writers.get() == 0 {
                bits |= poll::HUP;
            }
        }
        if self.writes {
            if pipe.room() >= ATOMIC {
                bits |= poll::OUT | poll::WRNORM;
            }
            if pipe.readers.get() == 0 {
                bits |= poll::ERR;
            }
        }
        bits
    }

    fn queue(&self) -> Option<&Queue> {
        Some(&self.pipe.changed)
    }

    fn stat(&self, _cx: &Cx) -> Result<FileStat, Errno> {
        Ok(anonymous_stat(0o010_600, self.pipe.ino, self.pipe.made_ns))
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        const FIONREAD: u32 = 0x541b;
        if request != FIONREAD {
            return Err(Errno::ENOTTY);
        }
        cx.write_u32(arg, self.pipe.data.borrow().len() as u32)?;
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
        pipe.changed.wake();
    }
}
