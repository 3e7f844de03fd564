//! Descriptors of the calling task: looking them up, and making new ones.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::fdtable::HostFile;
use crate::fs::file::{File, OpenFile, Slot};
use crate::fs::host::borrowed::Borrowed;
use crate::process::task::Task;
use alloc::rc::Rc;
use linux_raw_sys::general::{
    __NR_eventfd2, __NR_open, __NR_prlimit64, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH, RLIMIT_NOFILE,
};

/// Finds out which opens that passed have succeeded.
pub fn settle(task: &Task) {
    let files = task.files.borrow();
    for fd in files.unsettled() {
        files.settle(fd, task.guest.stat(fd, b"", 0).is_ok());
    }
}

/// The slot of a descriptor, after a look at the real process if it is [`Slot::Passed`].
#[must_use]
pub fn slot_of(task: &Task, fd: i32) -> Slot {
    let slot = task.files.borrow().slot(fd);
    if !matches!(slot, Slot::Passed(_)) {
        return slot;
    }
    settle(task);
    task.files.borrow().slot(fd)
}

impl Cx {
    /// The open file at `fd`, if the kernel knows it and it does more than to name a file (Linux: `fdget`).
    #[must_use]
    pub fn file(&self, fd: i32) -> Option<Rc<OpenFile>> {
        self.raw_file(fd).filter(|open| !open.is_path())
    }

    /// The same for one that may only name a file (`O_PATH`; Linux: `fdget_raw`).
    #[must_use]
    pub fn raw_file(&self, fd: i32) -> Option<Rc<OpenFile>> {
        self.task.files.borrow().get(fd)
    }

    /// What stands at `fd`; `EBADF` if nothing does.
    pub fn open_slot(&self, fd: i32) -> Result<Slot, Errno> {
        match slot_of(&self.task, fd) {
            Slot::Free => Err(Errno::EBADF),
            slot => Ok(slot),
        }
    }

    /// `EBADF` unless `fd` is open and does more than to name a file.
    pub fn check_open(&self, fd: i32) -> Result<(), Errno> {
        match self.open_slot(fd)? {
            Slot::Open(descriptor) if descriptor.open.is_path() => Err(Errno::EBADF),
            _ => Ok(()),
        }
    }

    /// The open file at `fd`. A file of the real Linux has the wrong kind: `wrong`.
    pub fn file_or(&self, fd: i32, wrong: Errno) -> Result<Rc<OpenFile>, Errno> {
        match self.open_slot(fd)? {
            Slot::Open(descriptor) if descriptor.open.is_path() => Err(Errno::EBADF),
            Slot::Open(descriptor) => Ok(descriptor.open),
            _ => Err(wrong),
        }
    }

    /// How many descriptors the process may have: its numbers are below that.
    #[must_use]
    pub fn descriptor_limit(&self) -> u64 {
        self.process().limits.soft(RLIMIT_NOFILE)
    }

    /// The number that the next descriptor gets: the lowest free one from `min` on. `EMFILE`: the limit allows none.
    pub fn free_number(&self, min: usize) -> Result<usize, Errno> {
        let unsettled = self.task.files.borrow().is_unsettled();
        if unsettled {
            settle(&self.task);
        }
        let free = self.task.files.borrow().lowest(min);
        if free as u64 >= self.descriptor_limit() {
            return Err(Errno::EMFILE);
        }
        self.make_room(free as u64).map(|()| free)
    }

    /// Raises the real process's own limit to the soft one, if it doesn't reach a number that is about to be used.
    pub fn make_room(&self, number: u64) -> Result<(), Errno> {
        let reached = &self.process().real_descriptors;
        if number < reached.get() {
            return Ok(());
        }
        let limit = self.process().limits.get(RLIMIT_NOFILE)?;
        let words = [limit.soft, limit.hard].map(u64::to_le_bytes);
        let memory = Borrowed::new(self, words.as_flattened())?;
        let set = self.native(__NR_prlimit64.into(), [0, RLIMIT_NOFILE.into(), memory.addr, 0, 0, 0]);
        memory.restore(self);
        if set == Err(Errno::EPERM) {
            self.kernel
                .notice_once("guests get no more descriptors: fated's own hard limit is too low (ulimit -Hn)".into());
        }
        set.map_err(|_| Errno::EMFILE)?;
        reached.set(limit.soft);
        Ok(())
    }

    /// `EMFILE` unless there is room for two descriptors.
    pub fn check_room_for_two(&self) -> Result<(), Errno> {
        let first = self.free_number(0)?;
        self.free_number(first + 1).map(drop)
    }

    /// An open file description that the real Linux has made.
    pub(crate) fn new_host_file(&self, cloexec: bool) -> HostFile {
        HostFile::new(self.kernel.next_description(), cloexec)
    }

    /// Enters a file that the real Linux has opened at `fd`, its lowest free number. Numbers below that are free here have been opened by
    /// the real process in the meantime.
    pub(crate) fn enter_host(&self, fd: i32, cloexec: bool) {
        let files = self.task.files.borrow();
        loop {
            let free = files.lowest(0) as i32;
            if free >= fd {
                break;
            }
            drop(files.put(free, Slot::Host(self.new_host_file(false))));
        }
        drop(files.put(fd, Slot::Host(self.new_host_file(cloexec))));
    }

    /// Enters a file that the real Linux will open when the task runs on, unless that fails.
    pub(crate) fn enter_passed(&self, cloexec: bool) {
        let files = self.task.files.borrow();
        let fd = files.lowest(0) as i32;
        drop(files.put(fd, Slot::Passed(self.new_host_file(cloexec))));
    }

    /// Opens `file` for the caller. The real process opens a placeholder, whose number is the descriptor.
    pub fn install(&self, file: Rc<dyn File>, flags: u32) -> Result<i32, Errno> {
        let fd = self.placeholder(flags & O_CLOEXEC != 0)?;
        let open = OpenFile::new(self, file, flags);
        self.task.files.borrow().set(fd, open, flags & O_CLOEXEC != 0);
        Ok(fd)
    }

    /// The same for a descriptor that only names a file (`O_PATH`). The placeholder does no more, so calls that pass fail as on it.
    pub fn install_path(&self, file: Rc<dyn File>, flags: u32) -> Result<i32, Errno> {
        let root = Borrowed::new(self, b"/")?;
        let real = u64::from(flags & (O_CLOEXEC | O_PATH | O_DIRECTORY | O_NOFOLLOW));
        let fd = self.native(__NR_open.into(), [root.addr, real, 0, 0, 0, 0]);
        root.restore(self);
        let fd = fd? as i32;
        let open = OpenFile::new(self, file, flags);
        self.task.files.borrow().set(fd, open, flags & O_CLOEXEC != 0);
        Ok(fd)
    }

    /// Lets the real process open a placeholder, which is cheap, at the lowest free number.
    pub fn placeholder(&self, cloexec: bool) -> Result<i32, Errno> {
        self.free_number(0)?;
        let flags = if cloexec { u64::from(O_CLOEXEC) } else { 0 };
        let fd = self.native(__NR_eventfd2.into(), [0, flags, 0, 0, 0, 0])?;
        Ok(fd as i32)
    }

    /// Lets the real Linux carry out a call in the task's context.
    pub fn native(&self, number: u64, args: [u64; 6]) -> Result<u64, Errno> {
        self.kernel.stats.native();
        let value = self.task.guest.native(Call { number, args });
        Errno::of_return(value).map_or(Ok(value as u64), Err)
    }
}
