//! What stands behind an open file, and open file descriptions (open(2)).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::fdtable::{self, FdTable};
use crate::fs::inode::FileStat;
use crate::fs::locks::Held;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::ports::Awaited;
use crate::sched::wait_queue::WaitQueue;
use crate::tty::input::BLOCK;
use alloc::{rc::Rc, string::String, vec::Vec};
use core::any::Any;
use core::cell::{Cell, OnceCell};
use core::fmt::Debug;
use linux_raw_sys::general::{O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_PATH, O_WRONLY};

/// What stands behind an open file. All methods answer at once; `EAGAIN` means: not now, ask again when
/// [`File::queue`] is woken.
pub trait File: Debug {
    /// Reads into the guest's buffers.
    fn read(&self, _cx: &Cx, _to: &mut Buffers) -> Result<u64, Errno> {
        Err(Errno::EINVAL)
    }
    /// Writes from the guest's buffers.
    fn write(&self, _cx: &Cx, _from: &mut Buffers) -> Result<u64, Errno> {
        Err(Errno::EINVAL)
    }
    /// Reads from `offset` (pread(2)); the position stays.
    fn read_at(&self, _cx: &Cx, _to: &mut Buffers, _offset: u64) -> Result<u64, Errno> {
        Err(Errno::ESPIPE)
    }
    /// Writes at `offset` (pwrite(2)); the position stays.
    fn write_at(&self, _cx: &Cx, _from: &mut Buffers, _offset: u64) -> Result<u64, Errno> {
        Err(Errno::ESPIPE)
    }
    /// Whether a write that waits goes on until all is written: pipes and streams do, counters don't.
    fn writes_all(&self) -> bool {
        false
    }
    /// The [`poll`] bits that hold now.
    fn poll(&self) -> u32 {
        poll::IN | poll::OUT | poll::RDNORM | poll::WRNORM
    }
    /// Woken when [`File::poll`] may have changed; `None` if it never does.
    fn queue(&self) -> Option<&WaitQueue> {
        None
    }
    /// The same for the caller, where the queue depends on who waits.
    fn queue_of<'a>(&'a self, _cx: &'a Cx) -> Option<&'a WaitQueue> {
        self.queue()
    }
    /// The number of the standard stream of fated that it is, if it is one: its readiness is known outside only.
    fn stream(&self) -> Option<i32> {
        None
    }
    /// Somebody wants to know whether there is input, without waiting for it.
    fn ask(&self) {}
    /// fstat(2).
    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno>;
    /// lseek(2).
    fn seek(&self, _cx: &Cx, _offset: i64, _whence: u32) -> Result<u64, Errno> {
        Err(Errno::ESPIPE)
    }
    /// ioctl(2).
    fn ioctl(&self, _cx: &Cx, _request: u32, _arg: u64) -> Result<u64, Errno> {
        Err(Errno::ENOTTY)
    }
    /// What `/proc/PID/fd/N` points to.
    fn name(&self) -> Vec<u8>;
    /// Whether reads, writes and the like are carried out by the real Linux on the real descriptor.
    fn is_native(&self) -> bool {
        false
    }
    /// Whether the real Linux has it: its status is that of the real descriptor.
    fn is_real(&self) -> bool {
        self.is_native()
    }
    /// Opens it anew through `/proc/PID/fd/N`: another open file for the same object, where it has one.
    fn reopen(&self, _cx: &Cx, _flags: u32) -> Result<Rc<dyn File>, Errno> {
        Err(Errno::ENXIO)
    }
    /// For the calls of one kind of file (epoll_ctl, timerfd_settime…): the object itself.
    fn as_any(&self) -> &dyn Any;
}

/// An open file description (open(2)): what dup and fork share.
#[derive(Debug)]
pub struct OpenFile {
    /// The object.
    pub file: Rc<dyn File>,
    /// The access mode and the status flags (`O_RDWR`, `O_NONBLOCK`, `O_APPEND`…).
    pub flags: Cell<u32>,
    /// The position in a directory or a generated file.
    pub position: Cell<u64>,
    /// A number that no other open file of the run has, in the order of opening.
    pub serial: u64,
    /// The locks that it owns, once there have been some.
    pub locked: OnceCell<Held>,
}

impl OpenFile {
    /// Opens `file` with `flags` of open(2).
    #[must_use]
    pub fn new(cx: &Cx, file: Rc<dyn File>, flags: u32) -> Rc<OpenFile> {
        let serial = cx.kernel.next_serial();
        OpenFile::with_serial(file, flags, serial)
    }

    /// A file that the real Linux has opened, and knew alone: its open file description `id`.
    #[must_use]
    pub fn of_host(file: Rc<dyn File>, id: u64, flags: u32) -> Rc<OpenFile> {
        const HOST: u64 = 1 << 63;
        OpenFile::with_serial(file, flags, HOST | id)
    }

    fn with_serial(file: Rc<dyn File>, flags: u32, serial: u64) -> Rc<OpenFile> {
        let flags = Cell::new(flags & !O_CLOEXEC);
        Rc::new(OpenFile { file, flags, position: Cell::new(0), serial, locked: OnceCell::new() })
    }

    /// Whether calls return `EAGAIN` instead of waiting.
    #[must_use]
    pub fn nonblocking(&self) -> bool {
        self.flags.get() & O_NONBLOCK != 0
    }

    /// Whether it only names a file (`O_PATH`), so that few calls take it.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.flags.get() & O_PATH != 0
    }

    /// Whether it may be read.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.flags.get() & O_ACCMODE != O_WRONLY
    }

    /// Whether it may be written.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.flags.get() & O_ACCMODE != 0
    }

    /// Whether a file or directory of the real Linux stands behind it.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.file.is_real()
    }

    /// The queue to wait in for a change of readiness.
    #[must_use]
    pub fn watched_queue<'a>(&'a self, cx: &'a Cx) -> Option<&'a WaitQueue> {
        self.file.queue_of(cx)
    }

    /// The stream of fated behind it, and those of the [`poll`] bits that it can ever show.
    #[must_use]
    pub fn outside(&self, bits: u32) -> Option<Awaited> {
        const READS: u32 = poll::IN | poll::PRI | poll::RDNORM | poll::RDBAND | poll::RDHUP;
        const WRITES: u32 = poll::OUT | poll::WRNORM | poll::WRBAND;
        const ENDS: u32 = poll::ERR | poll::HUP;
        let shown = ENDS | if self.readable() { READS } else { 0 } | if self.writable() { WRITES } else { 0 };
        self.file.stream().map(|stream| Awaited { stream, bits: bits & shown, want: BLOCK })
    }

    /// The file as a `T`, if it is one.
    #[must_use]
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.file.as_any().downcast_ref()
    }
}

/// A table of descriptors of open files.
pub type Files = FdTable<Rc<OpenFile>>;
/// What stands at a number of such a table.
pub type Slot = fdtable::Slot<Rc<OpenFile>>;

/// The inode that Linux has behind most objects without a place in a file system.
pub const ANON_INODE: u64 = 9;

/// The stat of an object that has no place in a file system.
#[must_use]
pub fn anonymous_stat(mode: u32, ino: u64, now_ns: u64) -> FileStat {
    FileStat {
        mode,
        nlink: 1,
        dev: 0xf,
        ino,
        blksize: 4096,
        atime_ns: now_ns as i64,
        mtime_ns: now_ns as i64,
        ctime_ns: now_ns as i64,
        ..FileStat::default()
    }
}

/// lseek(2) in a file of no known size, which has no end to seek from.
pub(crate) fn move_position(position: &Cell<u64>, offset: i64, whence: u32) -> Result<u64, Errno> {
    const SET: u32 = 0;
    const CURRENT: u32 = 1;
    let from = match whence {
        SET => 0,
        CURRENT => position.get() as i64,
        _ => return Err(Errno::EINVAL),
    };
    let to = from.checked_add(offset).and_then(|to| u64::try_from(to).ok()).ok_or(Errno::EINVAL)?;
    position.set(to);
    Ok(to)
}

/// `KIND:[N]`, the name of an object without a path.
#[must_use]
pub fn anonymous_name(kind: &str, number: u64) -> Vec<u8> {
    let name: String = alloc::format!("{kind}:[{number}]");
    name.into_bytes()
}
