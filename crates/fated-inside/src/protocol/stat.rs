//! The encoding of a file's status.

use fated_kernel::fs::inode::FileStat;

use super::bytes::{Reader, Writer};

/// Encodes a file's status.
pub fn write(stat: &FileStat, to: &mut Writer) {
    for value in [
        u64::from(stat.mode),
        u64::from(stat.nlink),
        u64::from(stat.uid),
        u64::from(stat.gid),
        stat.dev,
        stat.rdev,
        stat.ino,
        stat.size,
        u64::from(stat.blksize),
        stat.blocks,
        stat.attributes,
        stat.attributes_mask,
        stat.atime_ns as u64,
        stat.mtime_ns as u64,
        stat.ctime_ns as u64,
        u64::from(stat.btime_ns.is_some()),
        stat.btime_ns.unwrap_or(0) as u64,
    ] {
        to.number(value);
    }
}

/// Decodes what [`write`] wrote.
pub fn read(from: &mut Reader<'_>) -> FileStat {
    let mut next = || from.number();
    FileStat {
        mode: next() as u32,
        nlink: next() as u32,
        uid: next() as u32,
        gid: next() as u32,
        dev: next(),
        rdev: next(),
        ino: next(),
        size: next(),
        blksize: next() as u32,
        blocks: next(),
        attributes: next(),
        attributes_mask: next(),
        atime_ns: next() as i64,
        mtime_ns: next() as i64,
        ctime_ns: next() as i64,
        btime_ns: {
            let (there, value) = (next(), next());
            (there != 0).then_some(value as i64)
        },
    }
}
