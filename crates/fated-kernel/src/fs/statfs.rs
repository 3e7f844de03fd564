//! statfs(2): what the table of mounts says of a file system.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::inode::{self, FileStat, kind};
use crate::fs::mount::Mount;
use crate::fs::namei::{Found, lookup};
use crate::fs::stat::stat_target;
use crate::ports::AT_FDCWD;
use linux_raw_sys::general::{MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_RELATIME};

/// What statfs(2) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// `f_type`.
    pub magic: u64,
    /// Its size in bytes, half of which is free.
    pub bytes: u64,
    /// Its inodes, half of which are free.
    pub inodes: u64,
    /// `ST_*`.
    pub flags: u64,
}

/// Numbers of `<linux/magic.h>`.
const PIPEFS_MAGIC: u64 = 0x5049_5045;
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;
/// `ST_VALID` and `ST_RELATIME` of the flags that statfs(2) shows; the others are those of mount(2).
const ST_VALID: u64 = 0x20;
const ST_RELATIME: u64 = 0x1000;

impl From<&Mount> for StatFs {
    fn from(mount: &Mount) -> StatFs {
        const SAME: u32 = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
        let relatime = if mount.flags & MS_RELATIME == 0 { 0 } else { ST_RELATIME };
        let flags = u64::from(mount.flags & SAME) | relatime | ST_VALID;
        StatFs { magic: mount.magic, bytes: mount.bytes, inodes: mount.inodes, flags }
    }
}

/// That of an object that is mounted nowhere.
fn unmounted(stat: &FileStat) -> StatFs {
    let magic = if stat.is(kind::FIFO) { PIPEFS_MAGIC } else { ANON_INODE_FS_MAGIC };
    StatFs { magic, bytes: 0, inodes: 0, flags: ST_VALID | ST_RELATIME }
}

/// fstatfs(2).
pub fn of_descriptor(cx: &Cx, fd: i32) -> Result<StatFs, Errno> {
    let stat = cx.stat_descriptor(fd)?;
    let mounts = &cx.kernel.mounts;
    let is_real = inode::device_parts(stat.dev).0 != 0;
    let of_real = || {
        let path = cx.files().proc_link(&alloc::format!("fd/{fd}")).ok().filter(|path| path.first() == Some(&b'/'))?;
        mounts.find(&path).map(|(mount, _)| mount).filter(|mount| !mount.fs.is_generated()).or_else(|| mounts.root())
    };
    let mount = mounts.of_device(stat.dev).or_else(|| if is_real { of_real() } else { None });
    Ok(mount.map_or_else(|| unmounted(&stat), StatFs::from))
}

/// statfs(2).
pub fn of_path(cx: &Cx, path: &[u8]) -> Result<StatFs, Errno> {
    let target = lookup(cx, AT_FDCWD, path, true)?;
    let stat = stat_target(cx, &target)?;
    let mounts = &cx.kernel.mounts;
    let at_path = mounts.find(&target.path).map(|(mount, _)| mount);
    let mount = match &target.found {
        Found::Generated(_) => at_path,
        // The path may be that of a magic link.
        Found::Real(_) => at_path.filter(|mount| !mount.fs.is_generated()).or_else(|| mounts.root()),
        Found::Open(_) => mounts.of_device(stat.dev),
    };
    Ok(mount.map_or_else(|| unmounted(&stat), StatFs::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::mount::Mounts;

    #[test]
    fn figures_are_those_of_the_mount() {
        let mounts = Mounts::new(None);
        let figures = |path: &[u8]| {
            let (mount, _) = mounts.find(path).expect("the root has all paths");
            let StatFs { magic, bytes, inodes, flags } = mount.into();
            [magic, bytes, inodes, flags]
        };
        assert_eq!(figures(b"/home"), [0xef53, 128 << 30, 8 << 20, 0x1020]);
        assert_eq!(figures(b"/proc"), [0x9fa0, 0, 0, 0x102e]);
        assert_eq!(figures(b"/dev/shm/x"), [0x0102_1994, 128 << 30, 8 << 20, 0x26]);
    }
}
