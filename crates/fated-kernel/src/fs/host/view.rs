//! Real files by the names that guests know them by: the border between the paths of the kernel and those of the real Linux.
//!
//! Invariant: a path that comes from Linux or goes to it passes through here, or is relative and stays in one tree
//! ([`crate::fs::own_tmp`]), or has been rewritten by [`crate::fs::host::carry_out`].

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::inode::FileStat;
use crate::fs::mount::Mounts;
use crate::host::Kernel;
use crate::ports::HostFiles;
use crate::process::task::Task;
use alloc::vec::Vec;

/// The real files as a task sees them.
#[derive(Debug)]
pub(crate) struct View<'a> {
    files: &'a dyn HostFiles,
    mounts: &'a Mounts,
}

impl Kernel {
    /// The real files as `task` sees them.
    pub(crate) fn files_of<'a>(&'a self, task: &'a Task) -> View<'a> {
        View { files: &*task.guest, mounts: &self.mounts }
    }
}

impl Cx {
    /// The real files as the calling task sees them.
    pub(crate) fn files(&self) -> View<'_> {
        self.kernel.files_of(&self.task)
    }
}

impl View<'_> {
    /// See [`HostFiles::stat`]. An absolute path must have been looked up.
    pub fn stat(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
        self.files.stat(dirfd, &self.mounts.real(path), flags)
    }

    /// See [`HostFiles::read_link`].
    pub fn read_link(&self, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        self.files.read_link(dirfd, &self.mounts.real(path))
    }

    /// See [`HostFiles::proc_link`].
    pub fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        self.files.proc_link(name).map(|path| self.mounts.shown(path))
    }
}
