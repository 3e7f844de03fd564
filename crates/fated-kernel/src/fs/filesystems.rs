//! All file systems of generated files, and which of them answers for a path: the table of mounts ([`crate::fs::mount`]) says where each
//! is mounted.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::dirent::{Entry, Listing};
use crate::fs::generated::{Dir, Inode, entry, number_of};
use crate::fs::mount::FileSystem;
use crate::fs::{devtmpfs, proc, sysfs};

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

/// The entries of the generated directory `dir` at `path`, `.` and `..` included.
pub fn entries(cx: &Cx, dir: &dyn Dir, path: &[u8]) -> Listing {
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let parent = path.get(..end.max(1)).unwrap_or(path);
    let mut listing = Listing::default();
    let mut push = |name: &[u8], ino, kind| listing.push(Entry { name, ino, kind });
    push(b".", number_of(path), entry::DIRECTORY);
    push(b"..", number_of(parent), entry::DIRECTORY);
    for name in dir.names(cx) {
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
