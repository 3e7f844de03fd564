//! The descriptors from 3 on that fated itself was started with, which the first program inherits.
//!
//! fated closes all its own files on exec, so what an exec would keep is inherited.

use std::os::fd::RawFd;

use crate::launch::{Descriptor, Stream};
use crate::{limits, sys};

/// What fated has inherited.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// What guests can have.
    pub files: Vec<File>,
    /// What they can't have: numbers, each with the reason.
    pub left_out: Vec<(RawFd, &'static str)>,
}

/// An inherited descriptor.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Number and flags.
    pub descriptor: Descriptor,
    /// What kind of file it is.
    pub kind: Kind,
    /// Device and inode, which the two ends of a pipe share.
    pub id: (u64, u64),
}

/// A kind of file that guests can have from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file or a directory.
    Real,
    /// A pipe, with or without a name.
    Pipe,
    /// A terminal.
    Terminal,
    /// A device of memory, or a source of randomness.
    Device,
}

/// Looks through all descriptors.
#[must_use]
pub fn inheritance() -> Inheritance {
    let mut found = Inheritance::default();
    let Ok(folder) = std::fs::read_dir("/proc/self/fd") else { return found };
    let mut numbers: Vec<RawFd> =
        folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    for fd in numbers.into_iter().filter(|&fd| fd > 2) {
        let flag = sys::fcntl(fd, libc::F_GETFD).unwrap_or(libc::FD_CLOEXEC);
        if flag & libc::FD_CLOEXEC != 0 {
            continue;
        }
        match look(fd) {
            Ok(file) => found.files.push(file),
            Err(why) => found.left_out.push((fd, why)),
        }
    }
    found
}

fn look(fd: RawFd) -> Result<File, &'static str> {
    const MEMORY: u32 = 1;
    const DEVICES: [u32; 5] = [3, 5, 7, 8, 9];
    let lost = |_| "a file that can't be looked at";
    let stat = sys::statx(fd, c"", libc::AT_EMPTY_PATH).map_err(lost)?;
    let flags = sys::fcntl(fd, libc::F_GETFL).map_err(lost)?;
    let (major, minor) = (libc::major(stat.rdev), libc::minor(stat.rdev));
    if fd as u64 >= limits::descriptors() {
        return Err("beyond the limit on descriptors");
    }
    let kind = match stat.mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR if is_of_kernel(fd) => return Err("a file of the real /proc or /sys"),
        libc::S_IFREG | libc::S_IFDIR => Kind::Real,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFCHR if major == MEMORY && DEVICES.contains(&minor) => Kind::Device,
        // SAFETY: takes a number.
        libc::S_IFCHR if unsafe { libc::isatty(fd) } == 1 => Kind::Terminal,
        libc::S_IFCHR | libc::S_IFBLK => return Err("a device"),
        libc::S_IFSOCK => return Err("a socket"),
        libc::S_IFLNK => return Err("a link"),
        _ => return Err("an epoll, a counter or the like"),
    };
    let descriptor = Descriptor { fd, flags: flags.cast_unsigned(), file: Stream::Inherited };
    Ok(File { descriptor, kind, id: (stat.dev, stat.ino) })
}

/// Whether a file shows the real kernel's state.
fn is_of_kernel(fd: RawFd) -> bool {
    // SAFETY: all bytes zero are a valid `statfs`, which the call fills.
    unsafe {
        let mut fs: libc::statfs = std::mem::zeroed();
        libc::fstatfs(fd, &raw mut fs) == 0 && [libc::PROC_SUPER_MAGIC, libc::SYSFS_MAGIC].contains(&fs.f_type)
    }
}

impl Inheritance {
    /// A line for the user about what guests can't have.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let list: Vec<String> = self.left_out.iter().map(|(fd, what)| format!("{fd} ({what})")).collect();
        (!list.is_empty()).then(|| format!("guests don't inherit what is open as {}: it is closed", list.join(", ")))
    }
}
