//! Real files that are open for writing. The kernel has them in the table of descriptors because it keeps their times.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, OpenFile};
use crate::fs::host::text_busy::Use;
use crate::fs::inode::FileStat;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;

/// A real file behind a real descriptor.
#[derive(Debug)]
pub struct NativeFile {
    /// The inode number that guests see.
    pub ino: u64,
    /// Keeps it from being started as a program, if it is open for writing.
    pub writes: Option<Rc<Use>>,
}

impl NativeFile {
    /// A file whose times the kernel doesn't keep: it is only read.
    #[must_use]
    pub fn untracked() -> NativeFile {
        NativeFile { ino: 0, writes: None }
    }

    /// Notes that `open`, if it is such a file, is about to be changed through a descriptor.
    pub fn note_change(cx: &Cx, open: &OpenFile) {
        if let Some(file) = open.downcast::<NativeFile>().filter(|file| file.ino != 0) {
            cx.kernel.fs.touched(&cx.kernel, file.ino);
        }
    }
}

impl File for NativeFile {
    /// Whoever has the descriptor asks the real Linux.
    fn stat(&self, _cx: &Cx) -> Result<FileStat, Errno> {
        Err(Errno::ENOSYS)
    }

    fn name(&self) -> Vec<u8> {
        Vec::new()
    }

    fn is_native(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
