//! Files as the process that has the turn sees them, without what is the engine's.

use alloc::vec::Vec;

use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use linux_raw_sys::general::*;

use crate::enter::guard;
use crate::exec::vdso;
use crate::process::descriptors;
use crate::supervisor;
use crate::sys;

/// How much of a directory is read at once.
const PORTION: usize = 32 << 10;

fn time(seconds: i64, nanos: u64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos as i64)
}

/// What statx(2) says, as far as fstat(2) does: that is cheaper, and no guest is told the rest.
pub fn stat(dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
    if path.is_empty() && descriptors::guarded(dirfd as u64) {
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

/// All entries of the directory behind `fd`. Its real position is nobody's: the kernel keeps the one that guests know.
pub fn list(fd: i32, again: bool) -> Result<Listing, Errno> {
    if again {
        sys::ask(__NR_lseek, [fd as u64, 0, 0, 0, 0, 0])?;
    }
    let mut listing = Listing::default();
    let buf = supervisor::buffer(PORTION);
    loop {
        match sys::ask(__NR_getdents64, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0])? {
            0 => return Ok(listing),
            len => listing.push_records(&buf[..len as usize]),
        }
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
            .flat_map(|line| vdso::line(line).unwrap_or_else(|| line.to_vec()))
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
