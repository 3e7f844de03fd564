//! tmpfs(5): a file system in the kernel's own memory. It is not mounted yet.
//!
//! The state is a table of inodes and nothing else; who may do what, paths and open files are the business of the layers above. Each
//! operation takes the current time, and fails with the errno that Linux's has.
//!
//! Invariants: `nlink` of a file is the number of its names, that of a directory 2 and one for each directory in it. An inode is freed
//! when it has no name and nobody holds it ([`Tmpfs::hold`]). The pages in use never exceed the limit.

pub mod pages;

use crate::errno::Errno;
use crate::fs::dirent::{Entry, Listing};
use crate::fs::inode::{BLOCK_SIZE, FileStat, kind};
use alloc::{collections::BTreeMap, vec::Vec};
use pages::{PAGE, Pages};

/// The number of an inode.
pub type Ino = u64;

/// The root directory.
pub const ROOT: Ino = 1;
/// The longest name, in bytes.
const NAME_MAX: usize = 255;
/// The largest size of a file (`MAX_LFS_FILESIZE`).
const MAX_SIZE: u64 = i64::MAX as u64;
/// What Linux counts for each entry in the size of a directory (`BOGO_DIRENT_SIZE`).
const ENTRY_SIZE: u64 = 20;
const SETGID: u32 = 0o2000;

#[derive(Debug)]
enum Content {
    Regular(Pages),
    Directory(Directory),
    Link(Vec<u8>),
    /// A named pipe, a socket or a device, with its number.
    Special(u64),
}

#[derive(Debug)]
struct Directory {
    parent: Ino,
    entries: BTreeMap<Vec<u8>, Ino>,
}

#[derive(Debug)]
struct Inode {
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    holders: u32,
    atime_ns: i64,
    mtime_ns: i64,
    ctime_ns: i64,
    btime_ns: i64,
    content: Content,
}

/// What a new file is.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// Kind and permissions, the umask applied.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group, unless the directory has the set-group-ID bit.
    pub gid: u32,
    /// The target of a symbolic link.
    pub target: &'a [u8],
    /// The number of a device.
    pub rdev: u64,
}

/// What rename(2) does about the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Takes it away from whatever has it.
    Yes,
    /// Fails if it is there (`RENAME_NOREPLACE`).
    No,
    /// Gives it the other file (`RENAME_EXCHANGE`).
    Exchange,
}

/// A file system.
#[derive(Debug)]
pub struct Tmpfs {
    inodes: BTreeMap<Ino, Inode>,
    last: Ino,
    pages: u64,
    max_pages: u64,
}

impl Tmpfs {
    /// An empty one with room for so many bytes of contents; its root has these permissions.
    #[must_use]
    pub fn new(max_bytes: u64, mode: u32, now_ns: i64) -> Tmpfs {
        let content = Content::Directory(Directory { parent: ROOT, entries: BTreeMap::new() });
        let new = New { mode: kind::DIRECTORY | mode & !kind::MASK, uid: 0, gid: 0, target: b"", rdev: 0 };
        let root = Inode { nlink: 2, ..Inode::new(new, content, now_ns) };
        let max_pages = max_bytes / PAGE as u64;
        Tmpfs { inodes: BTreeMap::from([(ROOT, root)]), last: ROOT, pages: 0, max_pages }
    }

    /// The pages in use, and how many there may be.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        (self.pages, self.max_pages)
    }

    fn get(&self, ino: Ino) -> Result<&Inode, Errno> {
        self.inodes.get(&ino).ok_or(Errno::ENOENT)
    }

    fn get_mut(&mut self, ino: Ino) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    fn directory(&self, ino: Ino) -> Result<&Directory, Errno> {
        match &self.get(ino)?.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn directory_mut(&mut self, ino: Ino) -> Result<&mut Directory, Errno> {
        match &mut self.get_mut(ino)?.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn is_directory(&self, ino: Ino) -> bool {
        self.directory(ino).is_ok()
    }

    /// What stands at a name in a directory.
    pub fn lookup(&self, directory: Ino, name: &[u8]) -> Result<Ino, Errno> {
        let entries = self.directory(directory)?;
        match name {
            b"." => Ok(directory),
            b".." => Ok(entries.parent),
            name if name.len() > NAME_MAX => Err(Errno::ENAMETOOLONG),
            name => entries.entries.get(name).copied().ok_or(Errno::ENOENT),
        }
    }

    /// stat(2); `st_dev` is the mount's to say.
    pub fn stat(&self, ino: Ino) -> Result<FileStat, Errno> {
        let inode = self.get(ino)?;
        let (size, pages, rdev) = match &inode.content {
            Content::Regular(pages) => (pages.size(), pages.count(), 0),
            Content::Directory(directory) => (directory.entries.len() as u64 * ENTRY_SIZE, 0, 0),
            Content::Link(target) => (target.len() as u64, 0, 0),
            Content::Special(rdev) => (0, 0, *rdev),
        };
        Ok(FileStat {
            mode: inode.mode,
            nlink: inode.nlink,
            uid: inode.uid,
            gid: inode.gid,
            rdev,
            ino,
            size,
            blksize: BLOCK_SIZE,
            blocks: pages * (PAGE as u64 / 512),
            atime_ns: inode.atime_ns,
            mtime_ns: inode.mtime_ns,
            ctime_ns: inode.ctime_ns,
            btime_ns: Some(inode.btime_ns),
            ..FileStat::default()
        })
    }

    /// readlink(2).
    pub fn read_link(&self, ino: Ino) -> Result<&[u8], Errno> {
        match &self.get(ino)?.content {
            Content::Link(target) => Ok(target),
            _ => Err(Errno::EINVAL),
        }
    }

    /// All entries of a directory, in order of name.
    pub fn list(&self, ino: Ino) -> Result<Listing, Errno> {
        let directory = self.directory(ino)?;
        let kind_of = |ino| self.get(ino).map_or(0, |inode| (inode.mode >> 12) as u8);
        let mut listing = Listing::default();
        for (name, ino) in [(&b"."[..], ino), (&b".."[..], directory.parent)] {
            listing.push(Entry { name, ino, kind: kind_of(ino) });
        }
        for (name, &ino) in &directory.entries {
            listing.push(Entry { name, ino, kind: kind_of(ino) });
        }
        Ok(listing)
    }

    /// Somebody has the inode open, or stands in it: it outlives its names.
    pub fn hold(&mut self, ino: Ino) -> Result<(), Errno> {
        self.get_mut(ino)?.holders += 1;
        Ok(())
    }

    /// The opposite of [`Tmpfs::hold`].
    pub fn release(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.holders = inode.holders.saturating_sub(1);
            self.free_if_unused(ino);
        }
    }

    fn free_if_unused(&mut self, ino: Ino) {
        if self.inodes.get(&ino).is_some_and(|inode| inode.nlink == 0 && inode.holders == 0)
            && let Some(inode) = self.inodes.remove(&ino)
            && let Content::Regular(pages) = inode.content
        {
            self.pages -= pages.count();
        }
    }

    /// Whether `name` may be made in a directory: it is there, and the name is not.
    fn check_new(&self, directory: Ino, name: &[u8]) -> Result<(), Errno> {
        match self.lookup(directory, name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) if self.get(directory)?.nlink > 0 => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, directory: Ino, name: &[u8], ino: Ino, now_ns: i64) -> Result<(), Errno> {
        self.directory_mut(directory)?.entries.insert(name.to_vec(), ino);
        if self.is_directory(ino) {
            self.directory_mut(ino)?.parent = directory;
            self.get_mut(directory)?.nlink += 1;
        }
        self.get_mut(directory)?.touch(now_ns);
        self.get_mut(ino)?.ctime_ns = now_ns;
        Ok(())
    }

    fn take(&mut self, directory: Ino, name: &[u8], now_ns: i64) -> Result<Ino, Errno> {
        let ino = self.directory_mut(directory)?.entries.remove(name).ok_or(Errno::ENOENT)?;
        if self.is_directory(ino) {
            self.get_mut(directory)?.nlink -= 1;
        }
        self.get_mut(directory)?.touch(now_ns);
        self.get_mut(ino)?.ctime_ns = now_ns;
        Ok(ino)
    }

    /// open(2) with `O_CREAT`, mkdir(2), mknod(2), symlink(2).
    pub fn create(&mut self, directory: Ino, name: &[u8], mut new: New, now_ns: i64) -> Result<Ino, Errno> {
        self.check_new(directory, name)?;
        let parent = self.get(directory)?;
        let is_directory = new.mode & kind::MASK == kind::DIRECTORY;
        if parent.mode & SETGID != 0 {
            new.gid = parent.gid;
            new.mode |= if is_directory { SETGID } else { 0 };
        }
        let (content, nlink) = match new.mode & kind::MASK {
            kind::REGULAR => (Content::Regular(Pages::default()), 1),
            kind::DIRECTORY => (Content::Directory(Directory { parent: directory, entries: BTreeMap::new() }), 2),
            kind::LINK => (Content::Link(new.target.to_vec()), 1),
            kind::FIFO | kind::SOCKET | kind::CHARACTER | kind::BLOCK => (Content::Special(new.rdev), 1),
            _ => return Err(Errno::EINVAL),
        };
        self.last += 1;
        let ino = self.last;
        self.inodes.insert(ino, Inode { nlink, ..Inode::new(new, content, now_ns) });
        self.add(directory, name, ino, now_ns)?;
        Ok(ino)
    }

    /// link(2): another name for `ino`.
    pub fn link(&mut self, ino: Ino, directory: Ino, name: &[u8], now_ns: i64) -> Result<(), Errno> {
        if self.get(ino)?.nlink == 0 {
            return Err(Errno::ENOENT);
        }
        self.check_new(directory, name)?;
        if self.is_directory(ino) {
            return Err(Errno::EPERM);
        }
        self.get_mut(ino)?.nlink += 1;
        self.add(directory, name, ino, now_ns)
    }

    /// unlink(2).
    pub fn unlink(&mut self, directory: Ino, name: &[u8], now_ns: i64) -> Result<(), Errno> {
        if self.is_directory(self.lookup(directory, name)?) {
            return Err(Errno::EISDIR);
        }
        let ino = self.take(directory, name, now_ns)?;
        self.get_mut(ino)?.nlink -= 1;
        self.free_if_unused(ino);
        Ok(())
    }

    /// rmdir(2).
    pub fn remove_directory(&mut self, directory: Ino, name: &[u8], now_ns: i64) -> Result<(), Errno> {
        match name {
            b"." => return Err(Errno::EINVAL),
            b".." => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        if !self.directory(self.lookup(directory, name)?)?.entries.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        let ino = self.take(directory, name, now_ns)?;
        self.get_mut(ino)?.nlink = 0;
        self.free_if_unused(ino);
        Ok(())
    }

    /// Whether `ino` is `directory` or above it.
    fn is_above(&self, ino: Ino, mut directory: Ino) -> Result<bool, Errno> {
        while directory != ino {
            if directory == ROOT {
                return Ok(false);
            }
            directory = self.directory(directory)?.parent;
        }
        Ok(true)
    }

    /// rename(2), renameat2(2).
    pub fn rename(
        &mut self,
        (from, name): (Ino, &[u8]),
        (to, new_name): (Ino, &[u8]),
        replace: Replace,
        now_ns: i64,
    ) -> Result<(), Errno> {
        let special = |name: &[u8]| matches!(name, b"." | b"..");
        if special(name) || special(new_name) {
            return Err(Errno::EBUSY);
        }
        let moved = self.lookup(from, name)?;
        let victim = match self.lookup(to, new_name) {
            Ok(victim) => Some(victim),
            Err(Errno::ENOENT) if replace != Replace::Exchange && self.get(to)?.nlink > 0 => None,
            Err(error) => return Err(error),
        };
        if victim.is_some() && replace == Replace::No {
            return Err(Errno::EEXIST);
        }
        if self.is_directory(moved) && self.is_above(moved, to)? {
            return Err(Errno::EINVAL);
        }
        if let Some(victim) = victim {
            if victim == moved {
                return Ok(());
            }
            if self.is_directory(victim) && self.is_above(victim, from)? {
                return Err(if replace == Replace::Exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
            }
            if replace == Replace::Exchange {
                self.take(from, name, now_ns)?;
                self.take(to, new_name, now_ns)?;
                self.add(from, name, victim, now_ns)?;
                return self.add(to, new_name, moved, now_ns);
            }
            match (self.is_directory(moved), self.is_directory(victim)) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) => self.remove_directory(to, new_name, now_ns)?,
                (false, false) => self.unlink(to, new_name, now_ns)?,
            }
        }
        self.take(from, name, now_ns)?;
        self.add(to, new_name, moved, now_ns)
    }

    fn regular(&self, ino: Ino) -> Result<&Pages, Errno> {
        match &self.get(ino)?.content {
            Content::Regular(pages) => Ok(pages),
            Content::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Changes the contents of a regular file, and keeps account of its pages.
    fn change(&mut self, ino: Ino, now_ns: i64, change: impl FnOnce(&mut Pages)) -> Result<(), Errno> {
        let inode = self.inodes.get_mut(&ino).ok_or(Errno::ENOENT)?;
        let Content::Regular(pages) = &mut inode.content else { return Err(Errno::EINVAL) };
        let before = pages.count();
        change(pages);
        self.pages = self.pages - before + pages.count();
        inode.touch(now_ns);
        Ok(())
    }

    /// pread(2).
    pub fn read(&self, ino: Ino, offset: u64, to: &mut [u8]) -> Result<usize, Errno> {
        Ok(self.regular(ino)?.read(offset, to))
    }

    /// pwrite(2): all of `from`, or as much as there is room for.
    pub fn write(&mut self, ino: Ino, offset: u64, from: &[u8], now_ns: i64) -> Result<usize, Errno> {
        let pages = self.regular(ino)?;
        if from.is_empty() {
            return Ok(0);
        }
        let room = MAX_SIZE.checked_sub(offset).filter(|&room| room > 0).ok_or(Errno::EFBIG)?;
        let mut len = from.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let free = self.max_pages.saturating_sub(self.pages);
        while pages.needed(offset, len) > free {
            // Up to the page before the one that the last byte is in.
            let end = (offset + len as u64 - 1) / PAGE as u64 * PAGE as u64;
            len = usize::try_from(end.saturating_sub(offset)).unwrap_or(0);
        }
        let part = from.get(..len).filter(|part| !part.is_empty()).ok_or(Errno::ENOSPC)?;
        self.change(ino, now_ns, |pages| pages.write(offset, part))?;
        Ok(len)
    }

    /// truncate(2).
    pub fn truncate(&mut self, ino: Ino, size: u64, now_ns: i64) -> Result<(), Errno> {
        self.regular(ino)?;
        if size > MAX_SIZE {
            return Err(Errno::EFBIG);
        }
        self.change(ino, now_ns, |pages| pages.truncate(size))
    }

    /// chmod(2): the permissions in `mode`.
    pub fn set_mode(&mut self, ino: Ino, mode: u32, now_ns: i64) -> Result<(), Errno> {
        let inode = self.get_mut(ino)?;
        inode.mode = inode.mode & kind::MASK | mode & !kind::MASK;
        inode.ctime_ns = now_ns;
        Ok(())
    }

    /// chown(2): what is given.
    pub fn set_owner(&mut self, ino: Ino, uid: Option<u32>, gid: Option<u32>, now_ns: i64) -> Result<(), Errno> {
        let inode = self.get_mut(ino)?;
        (inode.uid, inode.gid) = (uid.unwrap_or(inode.uid), gid.unwrap_or(inode.gid));
        inode.ctime_ns = now_ns;
        Ok(())
    }

    /// utimensat(2): what is given.
    pub fn set_times(&mut self, ino: Ino, atime: Option<i64>, mtime: Option<i64>, now_ns: i64) -> Result<(), Errno> {
        let inode = self.get_mut(ino)?;
        (inode.atime_ns, inode.mtime_ns) = (atime.unwrap_or(inode.atime_ns), mtime.unwrap_or(inode.mtime_ns));
        inode.ctime_ns = now_ns;
        Ok(())
    }
}

impl Inode {
    fn new(new: New, content: Content, now_ns: i64) -> Inode {
        Inode {
            mode: new.mode,
            uid: new.uid,
            gid: new.gid,
            nlink: 1,
            holders: 0,
            atime_ns: now_ns,
            mtime_ns: now_ns,
            ctime_ns: now_ns,
            btime_ns: now_ns,
            content,
        }
    }

    fn touch(&mut self, now_ns: i64) {
        (self.mtime_ns, self.ctime_ns) = (now_ns, now_ns);
    }
}

#[cfg(test)]
mod tests;
