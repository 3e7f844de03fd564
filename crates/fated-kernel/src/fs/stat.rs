//! stat(2) and its kin: the status of a path, virtualized.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::inode::FileStat;
use crate::fs::namei::{Found, Lookup, lookup};
use crate::fs::shortcut::RealParent;
use crate::ports::{AT_FDCWD, NOFOLLOW};
use linux_raw_sys::general::AT_EMPTY_PATH;

/// stat(2) of `path` from `dirfd`; `flags` are `AT_*`.
pub fn stat_path(cx: &Cx, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return if dirfd == AT_FDCWD {
            stat_target(cx, &lookup(cx, AT_FDCWD, b".", true)?)
        } else {
            cx.stat_descriptor(dirfd)
        };
    }
    match RealParent::behind(cx, dirfd, path) {
        Some(parent) if flags & NOFOLLOW != 0 => stat_name(cx, dirfd, path, parent.number()),
        _ => stat_target(cx, &lookup(cx, dirfd, path, flags & NOFOLLOW == 0)?),
    }
}

/// lstat(2) of a name in a real directory: the same as a look-up, without its path.
fn stat_name(cx: &Cx, dirfd: i32, name: &[u8], parent: u64) -> Result<FileStat, Errno> {
    let fs = &cx.kernel.fs;
    let mut real = match fs.dcache.take_opened(parent, name, fs.changes()) {
        Some(known) => Ok(known),
        None => cx.task.guest.stat(dirfd, name, NOFOLLOW),
    };
    match &mut real {
        Ok(stat) if fs.is_foreign(cx, stat.dev) => real = Err(Errno::EACCES),
        Ok(stat) => fs.virtualize_in_place(&cx.kernel, stat),
        Err(_) => {}
    }
    real
}

/// stat(2) of what a path leads to.
pub fn stat_target(cx: &Cx, target: &Lookup) -> Result<FileStat, Errno> {
    match &target.found {
        Found::Real(real) => {
            real.as_ref().map(|real| cx.kernel.fs.virtualized(&cx.kernel, real)).map_err(|&error| error)
        }
        Found::Generated(inode) => Ok(inode.stat(cx, &target.path)),
        Found::Open(open) => open.file.stat(cx),
    }
}

impl Cx {
    /// fstat(2) of a descriptor that only the real Linux knows.
    #[inline(never)]
    fn stat_real(&self, fd: i32) -> Result<FileStat, Errno> {
        let mut real = self.task.guest.stat(fd, b"", 0);
        self.task.files.borrow().settle(fd, real.is_ok());
        if let Ok(stat) = &mut real {
            self.kernel.fs.virtualize_in_place(&self.kernel, stat);
        }
        real
    }

    /// fstat(2).
    pub fn stat_descriptor(&self, fd: i32) -> Result<FileStat, Errno> {
        match self.raw_file(fd) {
            Some(open) if !open.is_real() => open.file.stat(self),
            open => {
                if let Some(known) = open.and_then(|open| open.downcast::<Directory>()?.take_status(self)) {
                    return Ok(self.kernel.fs.virtualized(&self.kernel, &known));
                }
                self.stat_real(fd)
            }
        }
    }
}
