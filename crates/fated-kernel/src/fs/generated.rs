//! Generated inodes: the files whose contents the kernel makes from its own state and from fixed tables, so that they are the same on
//! every machine. What a file system of them has is behind [`Dir`] and [`Source`]; [`filesystems`](super::filesystems) knows them all.
//!
//! Invariant: a generated inode is found anew at each look-up and keeps no state of its own. Its number depends on its path alone.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs::device::Device;
use crate::fs::inode::{BLOCK_SIZE, FileStat, kind};
use crate::fs::mount::FileSystem;
use crate::process::task::{Process, Task};
use alloc::{format, rc::Rc, string::String, vec::Vec};
use core::fmt::Debug;

/// A generated file.
#[derive(Clone, Debug)]
pub enum Inode {
    /// A directory.
    Directory(Rc<dyn Dir>),
    /// A file whose contents are made when it is read.
    File(Rc<dyn Source>),
    /// A symbolic link to a path.
    Link(Vec<u8>),
    /// A link to an object rather than to a path.
    MagicLink(MagicLink),
    /// A device node.
    Device(Device),
}

/// A generated directory.
pub trait Dir: Debug {
    /// Its permissions.
    fn mode(&self) -> u32 {
        0o555
    }
    /// Its user and group.
    fn owner(&self) -> (u32, u32) {
        (0, 0)
    }
    /// The names in it, without `.` and `..`.
    fn names(&self, cx: &Cx) -> Vec<String>;
}

/// Where the contents of a generated file come from.
pub trait Source: Debug {
    /// The file's permissions.
    fn mode(&self) -> u32;
    /// Its user and group.
    fn owner(&self) -> (u32, u32) {
        (0, 0)
    }
    /// The contents now.
    fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno>;
    /// Writes `text`, where Linux allows it.
    fn write(&self, _cx: &Cx, _text: &[u8]) -> Result<(), Errno> {
        Err(Errno::EIO)
    }
}

/// A magic link.
#[derive(Clone, Debug)]
pub enum MagicLink {
    /// `/proc/PID/fd/N`.
    Descriptor(Rc<Task>, i32),
    /// `cwd` of a task.
    WorkingDirectory(Rc<Task>),
    /// `exe` or `root` of a task.
    Path(Rc<Task>, &'static str),
}

impl MagicLink {
    /// Its permissions. Those of a descriptor tell how it is open.
    fn mode(&self) -> u32 {
        let MagicLink::Descriptor(task, fd) = self else { return 0o777 };
        match task.files.borrow().get(*fd) {
            Some(open) => (u32::from(open.readable()) * 0o500) | (u32::from(open.writable()) * 0o300),
            None => real_flags(task, *fd).map_or(0o700, |flags| [0o500, 0o300, 0o700, 0o700][flags as usize & 3]),
        }
    }

    /// `st_size`, which Linux makes up.
    fn size(&self) -> u64 {
        if let MagicLink::Descriptor(..) = self { 64 } else { 0 }
    }

    fn owner(&self) -> (u32, u32) {
        let (MagicLink::Descriptor(task, _) | MagicLink::Path(task, _) | MagicLink::WorkingDirectory(task)) = self;
        owner_of(&task.process)
    }
}

/// The owner of what `/proc` shows of a process: its effective user and group.
#[must_use]
pub fn owner_of(process: &Process) -> (u32, u32) {
    let credentials = process.credentials.borrow();
    (credentials.uid[1], credentials.gid[1])
}

/// The flags of a descriptor that only Linux knows.
fn real_flags(task: &Task, fd: i32) -> Option<u32> {
    let info = task.guest.proc_file(&format!("fdinfo/{fd}")).ok()?;
    let text = String::from_utf8_lossy(&info).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(value.trim(), 8).ok()
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
            Inode::Directory(dir) => dir.owner(),
            Inode::File(source) => source.owner(),
            Inode::MagicLink(link) => link.owner(),
            _ => (0, 0),
        }
    }

    /// The kind for a directory's entry (`DT_*`).
    pub(super) fn entry_kind(&self) -> u8 {
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
