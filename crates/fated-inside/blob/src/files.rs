//! Files as the process that has the turn sees them, without what is the engine's.

use alloc::vec::Vec;

use fated_kernel::errno::Errno;
use fated_kernel::guest::{DirEntry, FileStat};
use linux_raw_sys::general::*;

use crate::{descriptors, guard, outside, sys};

/// How much of a directory is read at once.
const PORTION: usize = 32 << 10;

fn time(stamp: &statx_timestamp) -> i64 {
    stamp.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(stamp.tv_nsec))
}

/// `makedev` of a new device number.
fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

/// statx(2).
pub fn stat(dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
    if path.is_empty() && descriptors::guarded(dirfd as u64) {
        return Err(Errno::EBADF);
    }
    let path = sys::c_path(path)?;
    // SAFETY: all bytes zero are a valid `statx`.
    let mut x: statx = unsafe { core::mem::zeroed() };
    let flags = flags & AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    let mask = STATX_BASIC_STATS | STATX_BTIME;
    let args = [dirfd as u64, path.as_ptr() as u64, u64::from(flags), u64::from(mask), &raw mut x as u64, 0];
    sys::ask(__NR_statx, args)?;
    Ok(FileStat {
        mode: u32::from(x.stx_mode),
        nlink: x.stx_nlink,
        uid: x.stx_uid,
        gid: x.stx_gid,
        dev: device(x.stx_dev_major, x.stx_dev_minor),
        rdev: device(x.stx_rdev_major, x.stx_rdev_minor),
        ino: x.stx_ino,
        size: x.stx_size,
        blksize: x.stx_blksize,
        blocks: x.stx_blocks,
        attributes: x.stx_attributes,
        attributes_mask: x.stx_attributes_mask,
        atime_ns: time(&x.stx_atime),
        mtime_ns: time(&x.stx_mtime),
        ctime_ns: time(&x.stx_ctime),
        btime_ns: (x.stx_mask & STATX_BTIME != 0).then(|| time(&x.stx_btime)),
    })
}

/// All entries of the directory behind `fd`. Its real position is nobody's: the kernel keeps the one that guests know.
pub fn list(fd: i32) -> Result<Vec<DirEntry>, Errno> {
    sys::ask(__NR_lseek, [fd as u64, 0, 0, 0, 0, 0])?;
    let mut entries = Vec::new();
    let buf = outside::buffer(PORTION);
    loop {
        match sys::ask(__NR_getdents64, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0])? {
            0 => return Ok(entries),
            len => parse(&buf[..len as usize], &mut entries),
        }
    }
}

/// `struct linux_dirent64`: inode, offset, length of the record, kind, name with a NUL.
fn parse(mut buf: &[u8], entries: &mut Vec<DirEntry>) {
    const NAME: usize = 19;
    while let Some((head, tail)) = buf.split_at_checked(NAME) {
        let len = usize::from(u16::from_le_bytes([head[16], head[17]])).max(NAME);
        let ino = head[..8].try_into().map_or(0, u64::from_le_bytes);
        let name = tail.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
        entries.push(DirEntry { name, ino, kind: head[18] });
        let Some(rest) = buf.get(len..) else { return };
        buf = rest;
    }
}

/// The bytes of `/proc/self/NAME`.
pub fn proc_file(name: &str) -> Result<Vec<u8>, Errno> {
    if descriptors::is_named("fdinfo/", name) {
        return Err(Errno::ENOENT);
    }
    let bytes = sys::read_all(alloc::format!("/proc/self/{name}").as_bytes())?;
    if name == "maps" {
        return Ok(bytes
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| !hidden(line))
            .flatten()
            .copied()
            .collect());
    }
    Ok(bytes)
}

/// Whether a line of maps tells of the engine.
fn hidden(line: &[u8]) -> bool {
    let end = line.iter().position(|&byte| byte == b'-').unwrap_or(0);
    let begin = core::str::from_utf8(&line[..end]).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
    begin.is_some_and(|begin| guard::ours(begin, 1))
}

/// Where the link `/proc/self/NAME` points.
pub fn proc_link(name: &str) -> Result<Vec<u8>, Errno> {
    if descriptors::is_named("fd/", name) {
        return Err(Errno::ENOENT);
    }
    sys::read_link(AT_FDCWD, alloc::format!("/proc/self/{name}").as_bytes())
}
