//! The table of mounts: which file system a path belongs to, and all that guests can learn of it.
//!
//! `/proc/mounts`, `/proc/PID/mountinfo`, statfs(2), `st_dev` of generated inodes and the border between real and generated files
//! come from this table alone.
//!
//! Invariants: the table begins with the root. A mount stands behind those that it covers, so the last one whose path leads to a file
//! owns the file. No two mounts have the same id.

use crate::fs::inode::device_number;
use crate::fs::own_tmp::{OwnTmp, Tree, is_directory};
use alloc::{borrow::Cow, format, string::String, vec, vec::Vec};
use core::fmt::Write as _;
use linux_raw_sys::general::{
    MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_RELATIME, PROC_SUPER_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC,
};

/// Who answers for the files of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// The real Linux: [`crate::fs::host`].
    Host,
    /// [`crate::fs::proc`].
    Proc,
    /// [`crate::fs::sysfs`].
    Sysfs,
    /// [`crate::fs::devtmpfs`].
    Devtmpfs,
}

impl FileSystem {
    /// Whether the kernel generates the files.
    #[must_use]
    pub fn is_generated(self) -> bool {
        self != FileSystem::Host
    }
}

/// A mounted file system.
#[derive(Clone, Debug)]
pub struct Mount {
    /// `mnt_id` of `/proc/PID/fdinfo/N` and statx(2).
    pub id: u32,
    /// The id of the mount that it is mounted on; its own for the root.
    pub parent: u32,
    /// Where it is mounted: an absolute path without links, empty for the root.
    pub path: &'static str,
    /// What is mounted.
    pub source: &'static str,
    /// The name of its kind in `/proc/filesystems`.
    pub kind: &'static str,
    /// Who answers for its files.
    pub fs: FileSystem,
    /// `st_dev` of its generated inodes. Those of real files are given by [`crate::fs::host`].
    pub dev: u64,
    /// `MS_*` of mount(2).
    pub flags: u32,
    /// `f_type` of statfs(2).
    pub magic: u64,
    /// Its size in bytes, half of which is free; 0 for one without storage.
    pub bytes: u64,
    /// How many inodes it has room for.
    pub inodes: u64,
}

/// `EXT4_SUPER_MAGIC` of `<linux/magic.h>`.
const EXT4_MAGIC: u64 = 0xef53;
/// The size of every file system with storage.
const BYTES: u64 = 128 << 30;
const INODES: u64 = 8 << 20;

/// The names of mount flags, in Linux's order.
const FLAG_NAMES: [(u32, &str); 5] = [
    (MS_NOSUID, ",nosuid"),
    (MS_NODEV, ",nodev"),
    (MS_NOEXEC, ",noexec"),
    (MS_NOATIME, ",noatime"),
    (MS_RELATIME, ",relatime"),
];

impl Mount {
    /// What of `path`, an absolute path without links, is below the root of this mount; empty for the root itself.
    #[must_use]
    pub fn below<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match path.strip_prefix(self.path.as_bytes())? {
            [] => Some(b""),
            [b'/', rest @ ..] => Some(rest),
            _ => None,
        }
    }

    fn shown_path(&self) -> &str {
        if self.path.is_empty() { "/" } else { self.path }
    }

    fn options(&self) -> String {
        let mut text = String::from(if self.flags & MS_RDONLY == 0 { "rw" } else { "ro" });
        FLAG_NAMES.iter().filter(|(flag, _)| self.flags & flag != 0).for_each(|(_, name)| text.push_str(name));
        text
    }
}

/// All mounts of a host.
#[derive(Clone, Debug)]
pub struct Mounts {
    list: Vec<Mount>,
    /// Where the run's own directories for temporary files are.
    own: Option<OwnTmp>,
}

impl Default for Mounts {
    fn default() -> Mounts {
        Mounts::new(None)
    }
}

impl Mounts {
    /// The mounts that every host begins with. `own`: `/tmp`, `/var/tmp` and `/dev/shm` are the run's; without, they are the host's, and only
    /// the last one is a mount.
    #[must_use]
    pub fn new(own: Option<&OwnTmp>) -> Mounts {
        const HARMLESS: u32 = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME;
        let root = Mount {
            id: 1,
            parent: 1,
            path: "",
            source: "/dev/root",
            kind: "ext4",
            fs: FileSystem::Host,
            dev: device_number(8, 1),
            flags: MS_RELATIME,
            magic: EXT4_MAGIC,
            bytes: BYTES,
            inodes: INODES,
        };
        let generated = Mount { parent: root.id, flags: HARMLESS, bytes: 0, inodes: 0, ..root.clone() };
        let proc = Mount {
            id: 20,
            path: "/proc",
            source: "proc",
            kind: "proc",
            fs: FileSystem::Proc,
            dev: device_number(0, 20),
            magic: PROC_SUPER_MAGIC.into(),
            ..generated.clone()
        };
        let sysfs = Mount {
            id: 21,
            path: "/sys",
            source: "sysfs",
            kind: "sysfs",
            fs: FileSystem::Sysfs,
            dev: device_number(0, 21),
            magic: SYSFS_MAGIC.into(),
            ..generated
        };
        let devtmpfs = Mount {
            id: 5,
            path: "/dev",
            source: "devtmpfs",
            kind: "devtmpfs",
            fs: FileSystem::Devtmpfs,
            dev: device_number(0, 5),
            flags: MS_NOSUID,
            magic: TMPFS_MAGIC.into(),
            ..root.clone()
        };
        let shm = Mount {
            id: 23,
            parent: devtmpfs.id,
            path: "/dev/shm",
            source: "tmpfs",
            kind: "tmpfs",
            fs: FileSystem::Host,
            dev: device_number(0, 23),
            flags: MS_NOSUID | MS_NODEV,
            ..devtmpfs.clone()
        };
        let tmp = Mount { id: 24, parent: root.id, path: "/tmp", dev: device_number(0, 24), ..shm.clone() };
        let var_tmp = Mount { id: 25, path: "/var/tmp", dev: device_number(0, 25), ..tmp.clone() };
        let mut list = vec![root, proc, sysfs, devtmpfs, shm];
        if own.is_some() {
            list.extend([tmp, var_tmp]);
        }
        Mounts { list, own: own.cloned() }
    }

    /// The mount that owns `path`, an absolute path without links, and the path below its root. The root is the empty path or `/`.
    #[must_use]
    pub fn find<'a>(&self, path: &'a [u8]) -> Option<(&Mount, &'a [u8])> {
        self.list.iter().rev().find_map(|mount| mount.below(path).map(|rest| (mount, rest)))
    }

    /// Where a path is, an absolute path without links.
    #[must_use]
    pub fn tree(&self, path: &[u8]) -> Tree {
        self.own.as_ref().map_or(Tree::Host, |own| own.tree(path))
    }

    /// The path by which the real Linux knows a real file: `path` is relative, or absolute without links.
    #[must_use]
    pub fn real<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        self.own.as_ref().map_or(Cow::Borrowed(path), |own| own.real(path))
    }

    /// The path by which guests know a real file that the real Linux has named.
    #[must_use]
    pub fn shown(&self, real: Vec<u8>) -> Vec<u8> {
        match &self.own {
            Some(own) => own.shown(&real).to_vec(),
            None => real,
        }
    }

    /// The run's own directories for temporary files, if it has them.
    #[must_use]
    pub fn own(&self) -> Option<&OwnTmp> {
        self.own.as_ref()
    }

    /// Whether a real directory with this path has names in it that are at another place.
    #[must_use]
    pub fn is_border(&self, path: &[u8]) -> bool {
        // The root has mounts of generated files in it.
        path == b"/" || self.own.is_some() && OwnTmp::is_border(path)
    }

    /// Whether a file system is mounted on a real directory.
    #[must_use]
    pub fn is_mount_point(&self, path: &[u8]) -> bool {
        self.own.is_some() && is_directory(path)
    }

    /// The mount whose generated inodes have this `st_dev`.
    #[must_use]
    pub fn of_device(&self, dev: u64) -> Option<&Mount> {
        self.generated().find(|mount| mount.dev == dev)
    }

    /// The mount at the root of all paths.
    #[must_use]
    pub fn root(&self) -> Option<&Mount> {
        self.list.first()
    }

    /// The mounts whose files the kernel generates.
    pub fn generated(&self) -> impl Iterator<Item = &Mount> {
        self.list.iter().filter(|mount| mount.fs.is_generated())
    }

    /// `/proc/PID/mounts` (fstab(5)).
    #[must_use]
    pub fn table(&self) -> String {
        let line = |it: &Mount| format!("{} {} {} {} 0 0\n", it.source, it.shown_path(), it.kind, it.options());
        self.list.iter().map(line).collect()
    }

    /// `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
    #[must_use]
    pub fn info(&self) -> String {
        let mut text = String::new();
        for mount in &self.list {
            let (major, minor) = crate::fs::inode::device_parts(mount.dev);
            let Mount { id, parent, kind, source, .. } = mount;
            let access = if mount.flags & MS_RDONLY == 0 { "rw" } else { "ro" };
            let (path, options) = (mount.shown_path(), mount.options());
            // A string takes all text.
            let _ = writeln!(text, "{id} {parent} {major}:{minor} / {path} {options} - {kind} {source} {access}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_deepest_mount_above_it() {
        let mounts = Mounts::new(None);
        let owner = |path: &str| mounts.find(path.as_bytes()).map(|(mount, rest)| (mount.kind, rest.to_vec()));
        for (path, kind, rest) in [
            ("", "ext4", ""),
            ("/", "ext4", ""),
            ("/etc/passwd", "ext4", "etc/passwd"),
            ("/process", "ext4", "process"),
            ("/proc", "proc", ""),
            ("/proc/self", "proc", "self"),
            ("/sys/kernel", "sysfs", "kernel"),
            ("/dev/null", "devtmpfs", "null"),
            ("/dev/shmoo", "devtmpfs", "shmoo"),
            ("/dev/shm", "tmpfs", ""),
            ("/dev/shm/a", "tmpfs", "a"),
        ] {
            assert_eq!(owner(path), Some((kind, rest.as_bytes().to_vec())), "{path}");
        }
    }

    #[test]
    fn tables_have_linuxs_format() {
        let mounts = Mounts::new(None);
        assert_eq!(
            mounts.table(),
            "/dev/root / ext4 rw,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n\
             sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\ndevtmpfs /dev devtmpfs rw,nosuid 0 0\n\
             tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n"
        );
        assert_eq!(
            mounts.info(),
            "1 1 8:1 / / rw,relatime - ext4 /dev/root rw\n\
             20 1 0:20 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n\
             21 1 0:21 / /sys rw,nosuid,nodev,noexec,relatime - sysfs sysfs rw\n\
             5 1 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw\n\
             23 5 0:23 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw\n"
        );
    }
}
