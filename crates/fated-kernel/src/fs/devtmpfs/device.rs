//! The devices that every host has, wherever their nodes stand.

use crate::fs::inode::{BLOCK_SIZE, FileStat, device_number, device_parts, kind};
use crate::fs::mount::FileSystem;
use crate::host::Kernel;

/// A device that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// `/dev/null`.
    Null,
    /// `/dev/zero`.
    Zero,
    /// `/dev/full`.
    Full,
    /// `/dev/random`.
    Random,
    /// `/dev/urandom`.
    Urandom,
    /// `/dev/tty`: the terminal of the session.
    Tty,
}

/// All devices, with their names in `/dev` and their numbers (`Documentation/admin-guide/devices.txt`).
pub(super) const ALL: [(Device, &str, u64, u64); 6] = [
    (Device::Full, "full", 1, 7),
    (Device::Null, "null", 1, 3),
    (Device::Random, "random", 1, 8),
    (Device::Tty, "tty", 5, 0),
    (Device::Urandom, "urandom", 1, 9),
    (Device::Zero, "zero", 1, 5),
];

/// The device that a real device node stands for.
#[must_use]
pub fn of(real: &FileStat) -> Option<Device> {
    if !real.is(kind::CHARACTER) {
        return None;
    }
    let (major, minor) = device_parts(real.rdev);
    ALL.iter().find(|it| (it.2, it.3) == (u64::from(major), u64::from(minor))).map(|(device, ..)| *device)
}

impl Device {
    fn row(self) -> (usize, &'static str, u64, u64) {
        let at = ALL.iter().position(|(device, ..)| *device == self).unwrap_or(0);
        ALL.get(at).map_or((0, "null", 1, 3), |&(_, name, major, minor)| (at, name, major, minor))
    }

    /// Its name in `/dev`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether the real device does the same on every machine, so that Linux may have it.
    #[must_use]
    pub fn is_native(self) -> bool {
        matches!(self, Device::Null | Device::Zero | Device::Full)
    }

    /// fstat(2), wherever its node stands.
    #[must_use]
    pub fn stat(self, kernel: &Kernel) -> FileStat {
        const FIRST_INODE: u64 = 4;
        let (at, _, major, minor) = self.row();
        let booted = kernel.timers.of_uptime(0) as i64;
        FileStat {
            mode: kind::CHARACTER | 0o666,
            nlink: 1,
            dev: kernel.mounts.generated().find(|mount| mount.fs == FileSystem::Devtmpfs).map_or(0, |mount| mount.dev),
            rdev: device_number(major, minor),
            ino: FIRST_INODE + at as u64,
            blksize: BLOCK_SIZE,
            atime_ns: booted,
            mtime_ns: booted,
            ctime_ns: booted,
            btime_ns: Some(booted),
            ..FileStat::default()
        }
    }
}
