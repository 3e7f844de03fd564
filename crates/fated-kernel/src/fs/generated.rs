//! Generated inodes: the files whose contents the kernel makes from its own state and from fixed tables, so that they are the same on
//! every machine. The file systems that have them are [`proc`], [`sysfs`] and [`devtmpfs`]; the table of mounts
//! ([`crate::fs::mount`]) says where.
//!
//! Invariant: a generated inode is found anew at each look-up and keeps no state of its own. Its number depends on its path alone.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs::Device;
use crate::fs::dirent::{Entry, Listing};
use crate::fs::inode::{BLOCK_SIZE, FileStat, kind};
use crate::fs::mount::FileSystem;
use crate::fs::proc::MagicLink;
use crate::fs::static_tree::{self, Row};
use crate::fs::{devtmpfs, proc, sysfs};
use alloc::{string::String, vec::Vec};

/// A generated file.
#[derive(Clone, Debug)]
pub enum Inode {
    /// A directory.
    Directory(Dir),
    /// A file whose contents are made when it is read.
    File(Source),
    /// A symbolic link to a path.
    Link(Vec<u8>),
    /// A link to an object rather than to a path.
    MagicLink(MagicLink),
    /// A device node.
    Device(Device),
}

/// A generated directory.
#[derive(Clone, Debug)]
pub enum Dir {
    /// One of proc.
    Proc(proc::Dir),
    /// One of sysfs, by its path.
    Sysfs(&'static str),
    /// The root of devtmpfs.
    Devtmpfs,
}

/// Where the contents of a generated file come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file of proc.
    Proc(proc::File),
    /// A file of sysfs.
    Sysfs(&'static Row),
}

/// What stands at `path`, an absolute path without links. `None`: the path belongs to the real Linux.
pub fn lookup(cx: &Cx, path: &[u8]) -> Option<Result<Inode, Errno>> {
    let (mount, below) = cx.kernel.mounts.find(path)?;
    Some(match mount.fs {
        FileSystem::Host => return None,
        FileSystem::Proc => proc::lookup(cx, below),
        FileSystem::Sysfs => sysfs::lookup(below),
        FileSystem::Devtmpfs => devtmpfs::lookup(below),
    })
}

impl Inode {
    /// lstat(2) of the inode at `path`.
    pub fn stat(&self, cx: &Cx, path: &[u8]) -> FileStat {
        let kernel = &cx.kernel;
        if let Inode::Device(device) = self {
            return device.stat(kernel);
        }
        let mount = kernel.mounts.find(path).map(|(mount, _)| mount);
        let fs = mount.map_or(FileSystem::Proc, |mount| mount.fs);
        let (mode, nlink) = match self {
            Inode::Directory(dir) => (kind::DIRECTORY | dir.mode(), 2),
            Inode::File(source) => (kind::REGULAR | source.mode(), 1),
            Inode::Link(_) => (kind::LINK | 0o777, 1),
            Inode::MagicLink(link) => (kind::LINK | link.mode(), 1),
            Inode::Device(_) => (kind::CHARACTER, 1),
        };
        let size = match (self, fs) {
            (Inode::File(_), FileSystem::Sysfs) => 4096,
            (Inode::Link(to), FileSystem::Devtmpfs) => to.len() as u64,
            (Inode::MagicLink(link), _) => link.size(),
            _ => 0,
        };
        let (uid, gid) = self.owner();
        let booted = kernel.timers.of_uptime(0) as i64;
        FileStat {
            mode,
            nlink,
            uid,
            gid,
            dev: mount.map_or(0, |mount| mount.dev),
            ino: number_of(path),
            size,
            blksize: if fs == FileSystem::Sysfs { BLOCK_SIZE } else { 1024 },
            atime_ns: booted,
            mtime_ns: booted,
            ctime_ns: booted,
            btime_ns: None,
            ..FileStat::default()
        }
    }

    fn owner(&self) -> (u32, u32) {
        match self {
            Inode::Directory(Dir::Proc(dir)) => dir.owner(),
            Inode::File(Source::Proc(file)) => file.owner(),
            Inode::MagicLink(link) => link.owner(),
            _ => (0, 0),
        }
    }

    /// The kind for a directory's entry (`DT_*`).
    fn entry_kind(&self) -> u8 {
        match self {
            Inode::Directory(_) => entry::DIRECTORY,
            Inode::File(_) => entry::REGULAR,
            Inode::Link(_) | Inode::MagicLink(_) => entry::LINK,
            Inode::Device(_) => entry::CHARACTER,
        }
    }
}

/// `DT_*` (readdir(3)).
pub mod entry {
    #![expect(missing_docs, reason = "the names are Linux's own")]
    pub const CHARACTER: u8 = 2;
    pub const DIRECTORY: u8 = 4;
    pub const REGULAR: u8 = 8;
    pub const LINK: u8 = 10;
}

/// The inode number of a generated path: nothing but the path decides it (FNV-1a).
#[must_use]
pub fn number_of(path: &[u8]) -> u64 {
    let mut hash: u32 = 0x811c_9dc5;
    for &byte in path {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    0x1_0000_0000 + u64::from(hash)
}

impl Dir {
    fn mode(&self) -> u32 {
        match self {
            Dir::Proc(dir) => dir.mode(),
            Dir::Sysfs(_) | Dir::Devtmpfs => 0o555,
        }
    }

    /// The entries of the directory at `path`, `.` and `..` included.
    pub fn entries(&self, cx: &Cx, path: &[u8]) -> Listing {
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let parent = path.get(..end.max(1)).unwrap_or(path);
        let mut listing = Listing::default();
        let mut push = |name: &[u8], ino, kind| listing.push(Entry { name, ino, kind });
        push(b".", number_of(path), entry::DIRECTORY);
        push(b"..", number_of(parent), entry::DIRECTORY);
        for name in self.names(cx) {
            let whole = [path, b"/", name.as_bytes()].concat();
            match lookup(cx, &whole) {
                Some(Ok(inode)) => push(name.as_bytes(), inode.stat(cx, &whole).ino, inode.entry_kind()),
                // A real directory is mounted there.
                None => push(name.as_bytes(), number_of(&whole), entry::DIRECTORY),
                Some(Err(_)) => {}
            }
        }
        listing
    }

    fn names(&self, cx: &Cx) -> Vec<String> {
        match self {
            Dir::Proc(dir) => dir.names(cx),
            Dir::Sysfs(path) => sysfs::TREE.names(path),
            Dir::Devtmpfs => devtmpfs::names(),
        }
    }
}

impl Source {
    fn mode(&self) -> u32 {
        match self {
            Source::Proc(file) => file.mode(),
            Source::Sysfs(row) => row.mode,
        }
    }

    /// The contents now.
    pub fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        match self {
            Source::Proc(file) => file.bytes(cx),
            Source::Sysfs(row) => Ok((row.make)(cx).into_bytes()),
        }
    }

    /// Writes `text`, where Linux allows it.
    pub fn write(&self, cx: &Cx, text: &[u8]) -> Result<(), Errno> {
        match self {
            Source::Proc(file) => file.write(cx, text),
            Source::Sysfs(row) => static_tree::write(cx, row, text),
        }
    }
}
