//! devtmpfs: the device nodes that every host has. Other devices are as if their driver were missing.

pub mod device;
pub mod random;

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs::device::ALL;
use crate::fs::generated::{Dir, Inode};
use alloc::{rc::Rc, string::String, vec::Vec};

/// The symbolic links, by name and target.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Directories that others are mounted on.
const MOUNT_POINTS: [&str; 1] = ["shm"];

/// What stands at `path` below the root.
pub fn lookup(path: &[u8]) -> Result<Inode, Errno> {
    if path.is_empty() {
        return Ok(Inode::Directory(Rc::new(Root)));
    }
    if let Some((_, to)) = LINKS.iter().find(|(name, _)| name.as_bytes() == path) {
        return Ok(Inode::Link(to.as_bytes().to_vec()));
    }
    let device = ALL.iter().find(|(_, name, ..)| name.as_bytes() == path);
    device.map(|(device, ..)| Inode::Device(*device)).ok_or(Errno::ENOENT)
}

/// The root.
#[derive(Debug)]
struct Root;

impl Dir for Root {
    fn names(&self, _cx: &Cx) -> Vec<String> {
        let (devices, links) = (ALL.iter().map(|(_, name, ..)| *name), LINKS.iter().map(|(name, _)| *name));
        let mut names: Vec<_> = devices.chain(links).chain(MOUNT_POINTS).map(String::from).collect();
        names.sort_unstable();
        names
    }
}
