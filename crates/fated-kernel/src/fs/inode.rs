//! The attributes of an inode: kind, status, times, device numbers.

/// What stands at a path or behind a descriptor: the fields of `struct statx` (statx(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are statx(2)'s own")]
pub struct FileStat {
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub dev: u64,
    pub rdev: u64,
    pub ino: u64,
    pub size: u64,
    pub blksize: u32,
    pub blocks: u64,
    pub attributes: u64,
    pub attributes_mask: u64,
    /// Times in nanoseconds since 1970.
    pub atime_ns: i64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    /// The birth time, where the file system has one.
    pub btime_ns: Option<i64>,
}

/// `S_IFMT` and the kinds of files (inode(7)).
#[expect(missing_docs, reason = "the names are Linux's own")]
pub mod kind {
    pub const MASK: u32 = 0o170_000;
    pub const SOCKET: u32 = 0o140_000;
    pub const LINK: u32 = 0o120_000;
    pub const REGULAR: u32 = 0o100_000;
    pub const BLOCK: u32 = 0o060_000;
    pub const DIRECTORY: u32 = 0o040_000;
    pub const CHARACTER: u32 = 0o020_000;
    pub const FIFO: u32 = 0o010_000;
}

impl FileStat {
    /// Whether it is of this [`kind`].
    #[must_use]
    pub fn is(&self, kind: u32) -> bool {
        self.mode & kind::MASK == kind
    }
}

/// A device's number, as `st_dev` has it (makedev(3)).
#[must_use]
pub const fn device_number(major: u64, minor: u64) -> u64 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// The parts of a device's number.
#[must_use]
pub const fn device_parts(device: u64) -> (u32, u32) {
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    (major as u32, minor as u32)
}

/// What stands for the size of every directory.
pub const DIRECTORY_SIZE: u64 = 4096;
/// `st_blksize` of every file.
pub const BLOCK_SIZE: u32 = 4096;

/// The times of a file as guests see them, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Last read; reading doesn't change it (`noatime`).
    pub atime_ns: i64,
    /// Last written.
    pub mtime_ns: i64,
    /// Last changed.
    pub ctime_ns: i64,
    /// Made.
    pub btime_ns: i64,
}

impl Times {
    /// All of them the same.
    #[must_use]
    pub fn all(ns: i64) -> Times {
        Times { atime_ns: ns, mtime_ns: ns, ctime_ns: ns, btime_ns: ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_have_parts() {
        for (major, minor) in [(8, 1), (0, 0xf), (259, 70_000), (0xfffff, 0xfffff)] {
            assert_eq!(device_parts(device_number(major, minor)), (major as u32, minor as u32));
        }
        assert_eq!(device_number(8, 1), 0x801);
    }
}
