//! Open directories. Their entries come in order of name and are read as a whole, at the first call and after each rewind: a reader sees
//! the directory as it was then.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::dirent::{Entry, Listing};
use crate::fs::file::File;
use crate::fs::filesystems;
use crate::fs::generated::{Dir, Inode, entry};
use crate::fs::host::has_name;
use crate::fs::inode::{FileStat, kind};
use crate::ports::{AT_FDCWD, NOFOLLOW};
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;
use core::cell::{Cell, RefCell};
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK};
use linux_raw_sys::general::{O_DIRECTORY, O_LARGEFILE, O_NOCTTY, O_NOFOLLOW};

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    place: Place,
    path: Vec<u8>,
    listing: RefCell<Option<Rc<Listing>>>,
    position: Cell<u64>,
}

#[derive(Debug)]
enum Place {
    Real(Real),
    Generated(Rc<dyn Dir>),
}

/// What the kernel knows of a real one.
#[derive(Debug)]
struct Real {
    /// The number that guests know it by.
    number: u64,
    dev: u64,
    /// How many directories had been moved when its path was found.
    moves: u64,
    /// Whether its real position may have been moved.
    moved: Cell<bool>,
    /// The flags that it is open with, if they are known.
    flags: Cell<Option<u32>>,
    /// Its status when it was opened, and how many changes the run had made until then.
    status: Cell<Option<(FileStat, u64)>>,
}

impl Directory {
    fn new(place: Place, path: Vec<u8>) -> Rc<Directory> {
        Rc::new(Directory { place, path, listing: RefCell::default(), position: Cell::new(0) })
    }

    /// A real directory, just opened with `flags` of open(2), whose path is now `path`.
    #[must_use]
    pub fn real(cx: &Cx, stat: &FileStat, path: Vec<u8>, flags: u32) -> Rc<Directory> {
        /// Linux keeps these as they are, but for the last two.
        const USUAL: u32 = O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_LARGEFILE | O_NOCTTY | O_CLOEXEC;
        let fs = &cx.kernel.fs;
        let kept = flags & !(O_NOCTTY | O_CLOEXEC) | O_LARGEFILE;
        let real = Real {
            number: fs.number(stat.dev, stat.ino),
            dev: stat.dev,
            moves: fs.dcache.moves(),
            moved: Cell::new(false),
            flags: Cell::new((flags & !USUAL == 0).then_some(kept)),
            status: Cell::new(Some((*stat, fs.changes()))),
        };
        Directory::new(Place::Real(real), path)
    }

    /// A real directory that was open before the run.
    #[must_use]
    pub fn inherited(cx: &Cx, stat: &FileStat, path: Vec<u8>) -> Rc<Directory> {
        let directory = Directory::real(cx, stat, path, 0);
        if let Place::Real(real) = &directory.place {
            real.moved.set(true);
            real.status.set(None);
            real.flags.set(None);
        }
        directory
    }

    /// A generated one.
    #[must_use]
    pub fn generated(dir: Rc<dyn Dir>, path: Vec<u8>) -> Rc<Directory> {
        Directory::new(Place::Generated(dir), path)
    }

    /// The number of a real one.
    #[must_use]
    pub fn real_number(&self) -> Option<u64> {
        if let Place::Real(real) = &self.place { Some(real.number) } else { None }
    }

    /// The path of a real one, if it is known to lead there still. One that has been removed keeps its path, since nothing can be
    /// created in it.
    #[must_use]
    pub fn known_path(&self, cx: &Cx) -> Option<&[u8]> {
        let Place::Real(real) = &self.place else { return None };
        (has_name(&self.path) && real.moves == cx.kernel.fs.dcache.moves()).then_some(&self.path)
    }

    /// Its real status when it was opened, if nothing can have changed since. It is given once: who asks twice looks for changes by
    /// others.
    pub fn take_status(&self, cx: &Cx) -> Option<FileStat> {
        let Place::Real(real) = &self.place else { return None };
        real.status.take().filter(|&(_, changes)| changes == cx.kernel.fs.changes()).map(|(stat, _)| stat)
    }

    /// The flags that a real one is open with, if they are known.
    #[must_use]
    pub fn flags(&self) -> Option<u32> {
        if let Place::Real(real) = &self.place { real.flags.get() } else { None }
    }

    /// The flags may change from now on.
    pub fn forget_flags(&self) {
        if let Place::Real(real) = &self.place {
            real.flags.set(None);
        }
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
    pub fn list(&self, cx: &Cx, fd: i32) -> Result<Rc<Listing>, Errno> {
        if self.position.get() > 0
            && let Some(known) = self.listing.borrow().clone()
        {
            return Ok(known);
        }
        let listing = Rc::new(match &self.place {
            Place::Generated(dir) => filesystems::entries(cx, &**dir, &self.path),
            Place::Real(real) => {
                let mut listing = cx.task.guest.list(fd, real.moved.replace(true))?;
                listing.sort();
                listing.renumber(|ino| cx.kernel.fs.number(real.dev, ino));
                overlay(cx, &self.path, &mut listing);
                listing
            }
        });
        *self.listing.borrow_mut() = Some(listing.clone());
        Ok(listing)
    }
}

/// Makes the listing of the real directory `path` that of the directory which guests see, where that is another one.
fn overlay(cx: &Cx, path: &[u8], listing: &mut Listing) {
    let mounts = &cx.kernel.mounts;
    let Some(own) = mounts.own() else { return };
    let split = |path: &[u8]| path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    if own.root.get(..split(&own.root)) == Some(path) && own.hides(&own.root) {
        listing.remove(own.root.get(path.len() + 1..).unwrap_or_default());
    }
    if !mounts.is_mount_point(path) {
        return;
    }
    let parent = path.get(..split(path).max(1)).unwrap_or(path);
    let above = match filesystems::lookup(cx, parent) {
        Some(Ok(inode)) => Some(inode.stat(cx, parent).ino),
        _ => cx.files().stat(AT_FDCWD, parent, 0).ok().map(|stat| cx.kernel.fs.number(stat.dev, stat.ino)),
    };
    if let Some(ino) = above {
        listing.remove(b"..");
        listing.push(Entry { name: b"..", ino, kind: entry::DIRECTORY });
    }
    for name in own.host_names(path) {
        if let Ok(stat) = cx.files().stat(AT_FDCWD, &[path, b"/", name].concat(), NOFOLLOW) {
            let ino = cx.kernel.fs.number(stat.dev, stat.ino);
            // `IFTODT` of <dirent.h>.
            listing.push(Entry { name, ino, kind: ((stat.mode & kind::MASK) >> 12) as u8 });
        }
    }
    listing.sort();
}

impl File for Directory {
    fn read(&self, _cx: &Cx, _to: &mut crate::mm::iov_iter::Buffers) -> Result<u64, Errno> {
        Err(Errno::EISDIR)
    }

    fn read_at(&self, _cx: &Cx, _to: &mut crate::mm::iov_iter::Buffers, _offset: u64) -> Result<u64, Errno> {
        Err(Errno::EISDIR)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        match &self.place {
            Place::Generated(dir) => Ok(Inode::Directory(dir.clone()).stat(cx, &self.path)),
            // Only its descriptor knows: see `Cx::stat_descriptor`.
            Place::Real(_) => Err(Errno::EBADF),
        }
    }

    fn seek(&self, _cx: &Cx, offset: i64, whence: u32) -> Result<u64, Errno> {
        crate::fs::file::move_position(&self.position, offset, whence)
    }

    fn is_real(&self) -> bool {
        matches!(self.place, Place::Real(_))
    }

    fn name(&self) -> Vec<u8> {
        self.path.clone()
    }

    fn reopen(&self, _cx: &Cx, _flags: u32) -> Result<Rc<dyn File>, Errno> {
        match &self.place {
            Place::Generated(dir) => Ok(Directory::generated(dir.clone(), self.path.clone())),
            Place::Real(_) => Err(Errno::ENXIO),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
