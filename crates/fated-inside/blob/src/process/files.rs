//! Files as the process that runs sees them, without the engine's.

use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use linux_raw_sys::general::*;

use crate::arena::buffer;
use crate::{process, sys};

/// How many bytes of a directory one call reads.
const PORTION: usize = 32 << 10;

fn time(seconds: i64, nanos: u64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos as i64)
}

/// The status of a file, as far as fstat(2) has it. That is cheaper than statx(2), and guests see no more of it.
pub fn stat(dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
    if path.is_empty() && process::is_own(dirfd as u64) {
        return Err(Errno::EBADF);
    }
    // SAFETY: all bytes zero are a valid `stat`.
    let mut found: stat = unsafe { core::mem::zeroed() };
    let to = &raw mut found as u64;
    if path.is_empty() && dirfd >= 0 {
        sys::ask(__NR_fstat, [dirfd as u64, to, 0, 0, 0, 0])?;
    } else {
        let path = sys::c_path(path)?;
        let flags = flags & AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
        sys::ask(__NR_newfstatat, [dirfd as u64, path.as_ptr() as u64, to, u64::from(flags), 0, 0])?;
    }
    Ok(FileStat {
        mode: found.st_mode,
        nlink: found.st_nlink as u32,
        uid: found.st_uid,
        gid: found.st_gid,
        dev: found.st_dev,
        rdev: found.st_rdev,
        ino: found.st_ino,
        size: found.st_size as u64,
        blksize: found.st_blksize as u32,
        blocks: found.st_blocks as u64,
        attributes: 0,
        attributes_mask: 0,
        atime_ns: time(found.st_atime as i64, found.st_atime_nsec),
        mtime_ns: time(found.st_mtime as i64, found.st_mtime_nsec),
        ctime_ns: time(found.st_ctime as i64, found.st_ctime_nsec),
        btime_ns: None,
    })
}

/// All entries of a directory. Its real position is unused, since the kernel keeps the one that guests see.
pub fn list(fd: i32, again: bool) -> Result<Listing, Errno> {
    if again {
        sys::ask(__NR_lseek, [fd as u64, 0, 0, 0, 0, 0])?;
    }
    let mut listing = Listing::default();
    let buf = buffer(PORTION);
    loop {
        match sys::ask(__NR_getdents64, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0])? {
            0 => return Ok(listing),
            len => listing.push_records(&buf[..len as usize]),
        }
    }
}
