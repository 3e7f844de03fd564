//! Directories: their entries in order of name, read as a whole at the first call and after each rewind, as on a file
//! system that shows a directory as it was.

use super::{Entry, File};
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::made::{Dir, Node};
use crate::guest::FileStat;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;
use core::cell::{Cell, RefCell};

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    place: Place,
    path: Vec<u8>,
    listing: RefCell<Option<Rc<Vec<Entry>>>>,
    position: Cell<u64>,
}

#[derive(Debug)]
enum Place {
    /// A real one: the number that guests know it by, and its device.
    Real {
        number: u64,
        dev: u64,
    },
    Made(Dir),
}

impl Directory {
    fn new(place: Place, path: Vec<u8>) -> Rc<Directory> {
        Rc::new(Directory { place, path, listing: RefCell::default(), position: Cell::new(0) })
    }

    /// A real directory, opened at `path`.
    #[must_use]
    pub fn real(cx: &Cx, stat: &FileStat, path: Vec<u8>) -> Rc<Directory> {
        let number = cx.kernel.fs.number(stat.dev, stat.ino);
        Directory::new(Place::Real { number, dev: stat.dev }, path)
    }

    /// A generated one.
    #[must_use]
    pub fn made(dir: Dir, path: Vec<u8>) -> Rc<Directory> {
        Directory::new(Place::Made(dir), path)
    }

    /// Whether the real Linux has it.
    #[must_use]
    pub fn is_real(&self) -> bool {
        matches!(self.place, Place::Real { .. })
    }

    /// The number of a real one.
    #[must_use]
    pub fn real_number(&self) -> Option<u64> {
        if let Place::Real { number, .. } = self.place { Some(number) } else { None }
    }

    /// Where it stood when it was opened, without links.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The position that the next getdents64(2) begins at.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.get()
    }

    /// Moves it.
    pub fn set_position(&self, to: u64) {
        self.position.set(to);
    }

    /// All entries; `fd` is the descriptor that it is open at.
    pub fn list(&self, cx: &Cx, fd: i32) -> Result<Rc<Vec<Entry>>, Errno> {
        if self.position.get() > 0
            && let Some(known) = self.listing.borrow().clone()
        {
            return Ok(known);
        }
        let entries = Rc::new(match &self.place {
            Place::Made(dir) => dir.entries(cx, &self.path),
            Place::Real { dev, .. } => real_entries(cx, fd, *dev)?,
        });
        *self.listing.borrow_mut() = Some(entries.clone());
        Ok(entries)
    }
}

fn real_entries(cx: &Cx, fd: i32, dev: u64) -> Result<Vec<Entry>, Errno> {
    let mut entries = cx.task.guest.list(fd)?;
    // `.` and `..` come before all other names that can be.
    entries.sort_unstable_by(|a, b| (rank(&a.name), &a.name).cmp(&(rank(&b.name), &b.name)));
    let mend = |entry: crate::guest::DirEntry| Entry {
        ino: cx.kernel.fs.number(dev, entry.ino),
        name: entry.name,
        kind: entry.kind,
    };
    Ok(entries.into_iter().map(mend).collect())
}

fn rank(name: &[u8]) -> u8 {
    match name {
        b"." => 0,
        b".." => 1,
        _ => 2,
    }
}

impl File for Directory {
    fn read(&self, _cx: &Cx, _to: &mut crate::user::Buffers) -> Result<u64, Errno> {
        Err(Errno::EISDIR)
    }

    fn read_at(&self, _cx: &Cx, _to: &mut crate::user::Buffers, _offset: u64) -> Result<u64, Errno> {
        Err(Errno::EISDIR)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        match &self.place {
            Place::Made(dir) => Ok(Node::Directory(dir.clone()).stat(cx, &self.path)),
            // Only its descriptor knows: see `Cx::stat_descriptor`.
            Place::Real { .. } => Err(Errno::EBADF),
        }
    }

    fn seek(&self, _cx: &Cx, offset: i64, whence: u32) -> Result<u64, Errno> {
        super::move_position(&self.position, offset, whence)
    }

    fn name(&self) -> Vec<u8> {
        self.path.clone()
    }

    fn reopen(&self, _cx: &Cx, _flags: u32) -> Result<Rc<dyn File>, Errno> {
        match &self.place {
            Place::Made(dir) => Ok(Directory::made(dir.clone(), self.path.clone())),
            Place::Real { .. } => Err(Errno::ENXIO),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
