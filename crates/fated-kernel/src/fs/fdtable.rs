//! Descriptors.
//!
//! A descriptor that the kernel doesn't know is the real Linux's alone: a regular file that is only read. All others are
//! in [`Files`], under the number that a placeholder holds in the real process.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, OpenFile};
use alloc::{rc::Rc, vec::Vec};
use core::cell::RefCell;
use linux_raw_sys::general::O_CLOEXEC;

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
        let value = self.task.guest.native(Call { number, args });
        Errno::of_return(value).map_or(Ok(value as u64), Err)
    }
}
