//! Files that a guest may execute. They stay open until they have been loaded.

use alloc::rc::Rc;
use core::any::Any;

use fated_engine::sensitive::Identity;
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::process::exec::plan::{Image as Planned, ProgramFile};
use linux_raw_sys::general::*;

use crate::process::{self, Process, files};
use crate::sys;

/// An open file, with the process whose descriptor it is.
pub struct File {
    pub fd: i32,
    pub identity: Identity,
    stat: FileStat,
    process: &'static Process,
}

impl core::fmt::Debug for File {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "File({})", self.fd)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // The exit of a process closes its descriptors.
        if !self.process.is_ending() {
            self.process.enter();
            sys::close(self.fd);
        }
    }
}

impl ProgramFile for File {
    fn stat(&self) -> &FileStat {
        &self.stat
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if self.process.is_ending() {
            return Err(Errno::ESRCH);
        }
        self.process.enter();
        sys::read_at(self.fd, buf, offset)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The file of a planned image.
pub fn file(image: &Planned) -> Result<&File, Errno> {
    image.file.as_any().downcast_ref().ok_or(Errno::EIO)
}

const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Opens a file that the process that runs may execute; `None` if it may not be read.
pub fn open(
    process: &'static Process,
    dirfd: i32,
    path: &[u8],
    flags: u32,
) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
    let opened = if path.is_empty() {
        if process::is_own(dirfd as u64) {
            return Err(Errno::EBADF);
        }
        if dirfd == AT_FDCWD {
            return Err(Errno::EACCES);
        }
        let not_there = |errno| if errno == Errno::ENOENT { Errno::EBADF } else { errno };
        sys::open(AT_FDCWD, alloc::format!("/proc/self/fd/{dirfd}").as_bytes(), O_RDONLY | O_NONBLOCK | O_NOCTTY)
            .map_err(not_there)
    } else {
        let nofollow = if flags & AT_SYMLINK_NOFOLLOW != 0 { O_NOFOLLOW } else { 0 };
        // `O_NONBLOCK`, so that a named pipe doesn't block. The check for regular files comes next.
        sys::open(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | nofollow)
    };
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::EACCES) if may_execute(dirfd, path, flags) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let checked = files::stat(fd, b"", 0).and_then(|stat| {
        if stat.mode & KIND != REGULAR {
            return Err(Errno::EACCES);
        }
        access(fd, b"", AT_EMPTY_PATH).map(|()| stat)
    });
    match checked {
        Ok(stat) => Ok(Some(Rc::new(File { fd, identity: Identity::of(&stat), stat, process }))),
        Err(errno) => {
            sys::close(fd);
            Err(errno)
        }
    }
}

/// Whether a path leads to a regular file that may be executed.
fn may_execute(dirfd: i32, path: &[u8], flags: u32) -> bool {
    let flags = flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    let regular = files::stat(dirfd, path, flags).is_ok_and(|stat| stat.mode & KIND == REGULAR);
    regular && access(dirfd, path, flags).is_ok()
}

fn access(dirfd: i32, path: &[u8], flags: u32) -> Result<(), Errno> {
    const X_OK: u64 = 1;
    let path = sys::c_path(path)?;
    let flags = u64::from(flags | AT_EACCESS);
    sys::ask(__NR_faccessat2, [dirfd as u64, path.as_ptr() as u64, X_OK, flags, 0, 0]).map(drop)
}
