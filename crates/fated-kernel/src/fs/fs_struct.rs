//! What tasks made with `CLONE_FS` share: the working directory and the file mode creation mask (Linux's `struct fs_struct`).
//!
//! Invariant: the real process has the same mask. It stands in the same directory if that is a real one, else in `/`; so a relative path
//! means the same to Linux only while the directory is real, and is given to it as an absolute one otherwise.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

/// A working directory.
#[derive(Clone, Debug)]
pub enum WorkingDirectory {
    /// A real directory.
    Real {
        /// Its path without links, `/` for the root, if it is known.
        path: Option<Rc<[u8]>>,
        /// The generation of paths (`crate::fs::dcache::Dcache::generation`) that this path is of.
        generation: u64,
    },
    /// A generated directory, by its path.
    Generated(Rc<[u8]>),
}

impl Default for WorkingDirectory {
    fn default() -> WorkingDirectory {
        WorkingDirectory::Real { path: None, generation: 0 }
    }
}

/// Working directory and umask.
#[derive(Debug, Default)]
pub struct FsStruct {
    cwd: RefCell<WorkingDirectory>,
    umask: Cell<u32>,
}

/// What umask(2) takes (`S_IRWXUGO`).
const UMASK_BITS: u32 = 0o777;

impl FsStruct {
    /// That of a process that stands in `cwd`.
    #[must_use]
    pub fn new(cwd: WorkingDirectory, umask: u32) -> Rc<FsStruct> {
        Rc::new(FsStruct { cwd: RefCell::new(cwd), umask: Cell::new(umask & UMASK_BITS) })
    }

    /// A copy, as fork(2) makes it.
    #[must_use]
    pub fn copy(&self) -> Rc<FsStruct> {
        FsStruct::new(self.cwd(), self.umask())
    }

    /// The working directory, as far as it is known.
    #[must_use]
    pub fn cwd(&self) -> WorkingDirectory {
        self.cwd.borrow().clone()
    }

    /// chdir(2).
    pub fn set_cwd(&self, cwd: WorkingDirectory) {
        self.cwd.replace(cwd);
    }

    /// The file mode creation mask.
    #[must_use]
    pub fn umask(&self) -> u32 {
        self.umask.get()
    }

    /// umask(2).
    pub fn set_umask(&self, mask: u32) {
        self.umask.set(mask & UMASK_BITS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_its_own_way() {
        let first = FsStruct::new(WorkingDirectory::Generated(Rc::from(&b"/proc"[..])), 0o17_022);
        let second = first.copy();
        second.set_umask(0o77);
        second.set_cwd(WorkingDirectory::Real { path: None, generation: 0 });
        assert_eq!((first.umask(), second.umask()), (0o022, 0o077));
        assert!(matches!(first.cwd(), WorkingDirectory::Generated(path) if *path == *b"/proc"));
        assert!(matches!(second.cwd(), WorkingDirectory::Real { .. }));
    }
}
