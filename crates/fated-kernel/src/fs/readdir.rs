//! getdents64(2): finds the directory behind a descriptor.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::file::OpenFile;
use crate::fs::inode::kind;
use alloc::rc::Rc;
use linux_raw_sys::general::{__NR_fcntl, FD_CLOEXEC};

/// The directory behind a descriptor. One that was open before the run is noted in the table here.
pub fn open_directory(cx: &Cx, fd: i32) -> Result<Rc<OpenFile>, Errno> {
    const F_GETFD: u64 = 1;
    const F_GETFL: u64 = 3;
    const O_PATH: u64 = 0o10_000_000;
    cx.check_open(fd)?;
    if let Some(open) = cx.file(fd) {
        return Ok(open);
    }
    let real = cx.task.guest.stat(fd, b"", 0)?;
    if !real.is(kind::DIRECTORY) {
        return Err(Errno::ENOTDIR);
    }
    let fcntl = |command| cx.native(__NR_fcntl.into(), [fd as u64, command, 0, 0, 0, 0]);
    let flags = fcntl(F_GETFL)?;
    if flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let path = cx.files().proc_link(&alloc::format!("fd/{fd}"))?;
    let directory = Directory::inherited(cx, &real, path);
    let open = OpenFile::new(cx, directory, flags as u32);
    cx.task.files.borrow().set(fd, open.clone(), fcntl(F_GETFD)? & u64::from(FD_CLOEXEC) != 0);
    Ok(open)
}
