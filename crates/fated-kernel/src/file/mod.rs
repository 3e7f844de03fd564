//! Descriptors, open files, and what stands behind them.
//!
//! A descriptor that the kernel doesn't know is the real Linux's alone: a regular file that is only read. All others are
//! in [`Files`], under the number that a placeholder holds in the real process.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::guest::FileStat;
use crate::queue::Queue;
use crate::user::Buffers;
use alloc::{rc::Rc, string::String, vec::Vec};
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt::Debug;

pub mod dev;
pub mod directory;
pub mod epoll;
pub mod eventfd;
pub mod fifo;
pub mod native;
pub mod outside;
pub mod pidfd;
pub mod pipe;
pub mod signalfd;
pub mod snapshot;
pub mod socketpair;
pub mod timerfd;

/// The bits of poll(2).
#[expect(missing_docs, reason = "the names are Linux's own")]
pub mod poll {
    pub const IN: u32 = 1;
    pub const PRI: u32 = 2;
    pub const OUT: u32 = 4;
    pub const ERR: u32 = 8;
    pub const HUP: u32 = 16;
    pub const NVAL: u32 = 32;
    pub const RDNORM: u32 = 64;
    pub const RDBAND: u32 = 128;
    pub const WRNORM: u32 = 256;
    pub const WRBAND: u32 = 512;
    pub const RDHUP: u32 = 0x2000;
}

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
    fn queue(&self) -> Option<&Queue> {
        None
    }
    /// The number of the standard stream of fated that it is, if it is one: its readiness is known outside only.
    fn stream(&self) -> Option<i32> {
        None
    }
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
}

/// `O_NONBLOCK`.
pub const O_NONBLOCK: u32 = 0o4000;
/// `O_CLOEXEC`.
pub const O_CLOEXEC: u32 = 0o200_0000;
/// `O_ACCMODE`.
pub const O_ACCMODE: u32 = 3;
/// `O_WRONLY`.
pub const O_WRONLY: u32 = 1;
/// `O_RDWR`.
pub const O_RDWR: u32 = 2;

impl OpenFile {
    /// Opens `file` with `flags` of open(2).
    #[must_use]
    pub fn new(cx: &Cx, file: Rc<dyn File>, flags: u32) -> Rc<OpenFile> {
        let serial = cx.kernel.next_serial();
        Rc::new(OpenFile { file, flags: Cell::new(flags & !O_CLOEXEC), position: Cell::new(0), serial })
    }

    /// Whether calls return `EAGAIN` instead of waiting.
    #[must_use]
    pub fn nonblocking(&self) -> bool {
        self.flags.get() & O_NONBLOCK != 0
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

    /// The queue to wait in for a change of readiness. That of a signalfd is the waiting process's own.
    #[must_use]
    pub fn watched_queue<'a>(&'a self, cx: &'a Cx) -> Option<&'a Queue> {
        match self.downcast::<signalfd::SignalFd>() {
            Some(_) => Some(&cx.task.process.signalled),
            None => self.file.queue(),
        }
    }

    /// The stream of fated behind it, and those of the [`poll`] bits that it can ever show.
    #[must_use]
    pub fn outside(&self, bits: u32) -> Option<(i32, u32)> {
        const READS: u32 = poll::IN | poll::PRI | poll::RDNORM | poll::RDBAND | poll::RDHUP;
        const WRITES: u32 = poll::OUT | poll::WRNORM | poll::WRBAND;
        const ENDS: u32 = poll::ERR | poll::HUP;
        let shown = ENDS | if self.readable() { READS } else { 0 } | if self.writable() { WRITES } else { 0 };
        self.file.stream().map(|stream| (stream, bits & shown))
    }

    /// The file as a `T`, if it is one.
    #[must_use]
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.file.as_any().downcast_ref()
    }
}

/// A descriptor.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// What it is open on.
    pub open: Rc<OpenFile>,
    /// Closed by exec.
    pub cloexec: bool,
}

/// A table of the descriptors that the kernel knows.
#[derive(Debug, Default)]
pub struct Files {
    /// By number.
    table: RefCell<Vec<Option<Descriptor>>>,
}

/// Where a descriptor stands. Nothing does where a negative number leads.
fn index(fd: i32) -> usize {
    fd as u32 as usize
}

impl Files {
    /// What descriptor `fd` is, if the kernel knows it.
    #[must_use]
    pub fn get(&self, fd: i32) -> Option<Rc<OpenFile>> {
        self.table.borrow().get(index(fd))?.as_ref().map(|descriptor| descriptor.open.clone())
    }

    /// The descriptor itself.
    #[must_use]
    pub fn descriptor(&self, fd: i32) -> Option<Descriptor> {
        self.table.borrow().get(index(fd))?.clone()
    }

    /// Enters a descriptor whose placeholder the real process has. What stood there is closed.
    pub fn set(&self, fd: i32, open: Rc<OpenFile>, cloexec: bool) {
        let mut table = self.table.borrow_mut();
        if table.len() <= index(fd) {
            table.resize(index(fd) + 1, None);
        }
        let old = table.get_mut(index(fd)).and_then(|place| place.replace(Descriptor { open, cloexec }));
        drop(table);
        drop(old);
    }

    /// Sets the close-on-exec flag, and returns what it was.
    pub fn set_cloexec(&self, fd: i32, cloexec: bool) -> Option<bool> {
        let mut table = self.table.borrow_mut();
        table.get_mut(index(fd))?.as_mut().map(|it| core::mem::replace(&mut it.cloexec, cloexec))
    }

    /// Forgets a descriptor that the real process closes.
    pub fn remove(&self, fd: i32) -> Option<Descriptor> {
        self.table.borrow_mut().get_mut(index(fd))?.take()
    }

    /// All numbers, in order.
    #[must_use]
    pub fn numbers(&self) -> Vec<i32> {
        let table = self.table.borrow();
        let numbers = table.iter().zip(0..).filter(|(place, _)| place.is_some());
        numbers.map(|(_, fd)| fd).collect()
    }

    /// A copy, as fork makes it.
    #[must_use]
    pub fn copy(&self) -> Rc<Files> {
        let table = self.table.borrow();
        let len = table.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        Rc::new(Files { table: RefCell::new(table.get(..len).unwrap_or_default().to_vec()) })
    }

    /// Drops what exec closes.
    pub fn close_on_exec(&self) {
        let closes = |place: &&mut Option<Descriptor>| place.as_ref().is_some_and(|it| it.cloexec);
        let closed: Vec<_> = self.table.borrow_mut().iter_mut().filter(closes).map(Option::take).collect();
        drop(closed);
    }
}

impl Cx {
    /// The open file behind `fd`, if the kernel knows it.
    #[must_use]
    pub fn file(&self, fd: i32) -> Option<Rc<OpenFile>> {
        self.task.files.borrow().get(fd)
    }

    /// The same; a descriptor that isn't known to the kernel has the wrong kind: `wrong` if it is open at all, else `EBADF`.
    pub fn file_or(&self, fd: i32, wrong: Errno) -> Result<Rc<OpenFile>, Errno> {
        self.file(fd).ok_or_else(|| match self.task.guest.stat(fd, b"", 0) {
            Ok(_) => wrong,
            Err(_) => Errno::EBADF,
        })
    }

    /// Opens `file` in the guest: the real process gets a placeholder, whose number is the descriptor.
    pub fn install(&self, file: Rc<dyn File>, flags: u32) -> Result<i32, Errno> {
        let fd = self.placeholder(flags & O_CLOEXEC != 0)?;
        let open = OpenFile::new(self, file, flags);
        self.task.files.borrow().set(fd, open, flags & O_CLOEXEC != 0);
        Ok(fd)
    }

    /// Lets the real process open something cheap at the lowest free number.
    pub fn placeholder(&self, cloexec: bool) -> Result<i32, Errno> {
        const EVENTFD2: u64 = 290;
        let flags = if cloexec { u64::from(O_CLOEXEC) } else { 0 };
        let fd = self.native(EVENTFD2, [0, flags, 0, 0, 0, 0])?;
        Ok(fd as i32)
    }

    /// Lets the real Linux carry out a call in the task's context.
    pub fn native(&self, number: u64, args: [u64; 6]) -> Result<u64, Errno> {
        self.kernel.stats.native();
        let value = self.task.guest.native(crate::guest::Call { number, args });
        Errno::of_return(value).map_or(Ok(value as u64), Err)
    }
}

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
