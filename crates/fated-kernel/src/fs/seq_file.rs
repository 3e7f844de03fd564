//! An open generated file. Its contents are made when it is read from the beginning, and stay until it is read from there again, as with
//! Linux's `seq_file`.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::File;
use crate::fs::generated::{Inode, Source};
use crate::fs::inode::FileStat;
use crate::mm::iov_iter::Buffers;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;
use core::cell::{Cell, RefCell};
use linux_raw_sys::general::{O_ACCMODE, O_PATH, O_WRONLY};

/// An open generated file.
#[derive(Debug)]
pub struct SeqFile {
    source: Rc<dyn Source>,
    path: Vec<u8>,
    reads: bool,
    writes: bool,
    bytes: RefCell<Vec<u8>>,
    position: Cell<u64>,
}

impl SeqFile {
    /// Opens it with the access mode in `flags`; with `O_PATH` it can be neither read nor written.
    #[must_use]
    pub fn new(source: Rc<dyn Source>, path: Vec<u8>, flags: u32) -> Rc<SeqFile> {
        let access = flags & O_ACCMODE;
        let (reads, writes) = if flags & O_PATH == 0 { (access != O_WRONLY, access != 0) } else { (false, false) };
        Rc::new(SeqFile { source, path, reads, writes, bytes: RefCell::default(), position: Cell::new(0) })
    }
}

impl File for SeqFile {
    fn read(&self, cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        let done = self.read_at(cx, to, self.position.get())?;
        self.position.set(self.position.get() + done);
        Ok(done)
    }

    fn read_at(&self, cx: &Cx, to: &mut Buffers, offset: u64) -> Result<u64, Errno> {
        if !self.reads {
            return Err(Errno::EBADF);
        }
        if offset == 0 {
            let bytes = self.source.bytes(cx)?;
            *self.bytes.borrow_mut() = bytes;
        }
        let bytes = self.bytes.borrow();
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        if rest.is_empty() { Ok(0) } else { to.put(rest).map(|done| done as u64) }
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        let done = self.write_at(cx, from, self.position.get())?;
        self.position.set(self.position.get() + done);
        Ok(done)
    }

    fn write_at(&self, cx: &Cx, from: &mut Buffers, _offset: u64) -> Result<u64, Errno> {
        const LONGEST: usize = 4096;
        if !self.writes {
            return Err(Errno::EBADF);
        }
        let text = from.take(LONGEST)?;
        self.source.write(cx, &text)?;
        Ok(text.len() as u64)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        Ok(Inode::File(self.source.clone()).stat(cx, &self.path))
    }

    fn seek(&self, _cx: &Cx, offset: i64, whence: u32) -> Result<u64, Errno> {
        crate::fs::file::move_position(&self.position, offset, whence)
    }

    fn name(&self) -> Vec<u8> {
        self.path.clone()
    }

    fn reopen(&self, _cx: &Cx, flags: u32) -> Result<Rc<dyn File>, Errno> {
        Ok(SeqFile::new(self.source.clone(), self.path.clone(), flags))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
