//! stat(2) and its kin, statfs(2), utimensat(2): the layout of their arguments and results.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::attr::{self, Time, TimesRequest, means_descriptor};
use crate::fs::host::carry_out::PathArg;
use crate::fs::inode::{self, FileStat};
use crate::fs::stat;
use crate::fs::statfs::{self, StatFs};
use crate::outcome::SysResult;
use crate::ports::{AT_FDCWD, NOFOLLOW};
use crate::syscall::Args;
use alloc::vec::Vec;
use linux_raw_sys::general::{
    __NR_fstat, __NR_fstatfs, __NR_futimesat, __NR_lstat, __NR_newfstatat, __NR_stat, __NR_utime, __NR_utimensat,
    __NR_utimes, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_STATX_DONT_SYNC, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
    STATX_BTIME, STATX_MNT_ID, UTIME_NOW, UTIME_OMIT,
};

const NANOS: i64 = 1_000_000_000;

/// stat(2), lstat(2), fstat(2), newfstatat(2).
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub fn stat(cx: &Cx, call: Call) -> Result<u64, Errno> {
    let a = call.args;
    let number = call.number as u32;
    let stat = match number {
        __NR_stat => stat_path(cx, AT_FDCWD, a[0], 0),
        __NR_lstat => stat_path(cx, AT_FDCWD, a[0], NOFOLLOW),
        __NR_fstat => cx.stat_descriptor(descriptor(a[0])?),
        __NR_newfstatat => stat_path(cx, a[0] as i32, a[1], a[3] as u32),
        _ => return Err(Errno::ENOSYS),
    };
    let to = if number == __NR_newfstatat { a[2] } else { a[1] };
    cx.write(to, &encode_stat(stat.as_ref().map_err(|&error| error)?))?;
    Ok(0)
}

/// statx(2).
pub fn statx(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const SYNC: u32 = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
    const RESERVED: u32 = 1 << 31;
    let [dirfd, path, flags, mask, to, _] = a;
    let (flags, mask) = (flags as u32, mask as u32);
    if mask & RESERVED != 0 || flags & SYNC == SYNC {
        return Err(Errno::EINVAL);
    }
    let stat = stat_path(cx, dirfd as i32, path, flags & !SYNC)?;
    cx.write(to, &encode_statx(&stat))?;
    Ok(0)
}

/// A descriptor. Here `AT_FDCWD` isn't one.
fn descriptor(fd: u64) -> Result<i32, Errno> {
    Some(fd as i32).filter(|&fd| fd >= 0).ok_or(Errno::EBADF)
}

/// The path of a call. A null pointer stands for an empty path.
fn stat_path(cx: &Cx, dirfd: i32, path: u64, flags: u32) -> Result<FileStat, Errno> {
    if flags & !(NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let none = path == 0 && flags & AT_EMPTY_PATH != 0;
    let path = if none { Vec::new() } else { cx.read_path(path)? };
    stat::stat_path(cx, dirfd, &path, flags)
}

/// A structure of so many bytes that is filled from front to back; the rest stays zero.
struct Encoder<const SIZE: usize> {
    bytes: [u8; SIZE],
    len: usize,
}

impl<const SIZE: usize> Encoder<SIZE> {
    fn new() -> Self {
        Encoder { bytes: [0; SIZE], len: 0 }
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, value: [u8; N]) {
        if let Some(to) = self.bytes.get_mut(self.len..self.len + N) {
            to.copy_from_slice(&value);
        }
        self.len += N;
    }

    #[inline(always)]
    fn u64<const N: usize>(&mut self, values: [u64; N]) -> &mut Self {
        values.into_iter().for_each(|value| self.put(value.to_le_bytes()));
        self
    }

    #[inline(always)]
    fn u32<const N: usize>(&mut self, values: [u32; N]) -> &mut Self {
        values.into_iter().for_each(|value| self.put(value.to_le_bytes()));
        self
    }

    /// `struct timespec`.
    #[inline(always)]
    fn timespec(&mut self, ns: i64) -> &mut Self {
        self.u64([ns.div_euclid(NANOS) as u64, ns.rem_euclid(NANOS) as u64])
    }

    /// `struct statx_timestamp`.
    #[inline(always)]
    fn timestamp(&mut self, ns: i64) -> &mut Self {
        self.u64([ns.div_euclid(NANOS) as u64]).u32([ns.rem_euclid(NANOS) as u32, 0])
    }
}

/// `struct stat` of `<asm/stat.h>`.
fn encode_stat(stat: &FileStat) -> [u8; 144] {
    let mut bytes = Encoder::new();
    bytes.u64([stat.dev, stat.ino, stat.nlink.into()]).u32([stat.mode, stat.uid, stat.gid, 0]);
    bytes.u64([stat.rdev, stat.size, stat.blksize.into(), stat.blocks]);
    bytes.timespec(stat.atime_ns).timespec(stat.mtime_ns).timespec(stat.ctime_ns);
    bytes.bytes
}

/// `struct statx` of `<linux/stat.h>`.
fn encode_statx(stat: &FileStat) -> [u8; 256] {
    const MOUNT: u64 = 1;
    let born = if stat.btime_ns.is_some() { STATX_BTIME } else { 0 };
    let mut bytes = Encoder::new();
    bytes.u32([STATX_BASIC_STATS | STATX_MNT_ID | born, stat.blksize]).u64([stat.attributes]);
    bytes.u32([stat.nlink, stat.uid, stat.gid, stat.mode & 0xffff]);
    bytes.u64([stat.ino, stat.size, stat.blocks, stat.attributes_mask]);
    bytes.timestamp(stat.atime_ns).timestamp(stat.btime_ns.unwrap_or(0));
    bytes.timestamp(stat.ctime_ns).timestamp(stat.mtime_ns);
    let ((rmajor, rminor), (major, minor)) = (inode::device_parts(stat.rdev), inode::device_parts(stat.dev));
    bytes.u32([rmajor, rminor, major, minor]).u64([MOUNT]);
    bytes.bytes
}

/// statfs(2), fstatfs(2).
pub fn statfs(cx: &Cx, call: Call) -> Result<u64, Errno> {
    let a = call.args;
    let told = if call.number as u32 == __NR_fstatfs {
        statfs::of_descriptor(cx, descriptor(a[0])?)?
    } else {
        statfs::of_path(cx, &cx.read_path(a[0])?)?
    };
    cx.write(a[1], &encode_statfs(&told))?;
    Ok(0)
}

/// `struct statfs` of `<asm-generic/statfs.h>`.
fn encode_statfs(told: &StatFs) -> [u8; 120] {
    const BLOCK: u64 = inode::BLOCK_SIZE as u64;
    const NAME_MAX: u64 = 255;
    let (blocks, inodes) = (told.bytes / BLOCK, told.inodes);
    let mut bytes = Encoder::new();
    // Type, size of a block, blocks, free ones, those for all users, inodes, free ones, id of the file system.
    bytes.u64([told.magic, BLOCK, blocks, blocks / 2, blocks / 2, inodes, inodes / 2, 0]);
    bytes.u64([NAME_MAX, BLOCK, told.flags]);
    bytes.bytes
}

fn at(seconds: u64, nanos: u64) -> Time {
    Time::At((seconds as i64).saturating_mul(NANOS).saturating_add(nanos as i64))
}

/// Access and modification time; `None` stands for now.
fn read_times(cx: &Cx, number: u32, addr: u64) -> Result<[Time; 2], Errno> {
    if addr == 0 {
        return Ok([Time::Now; 2]);
    }
    if number == __NR_utime {
        let [atime, mtime] = cx.read_words(addr)?;
        return Ok([at(atime, 0), at(mtime, 0)]);
    }
    let [asec, afrac, msec, mfrac] = cx.read_words(addr)?;
    let decode = |seconds, fraction: u64| match fraction {
        _ if number != __NR_utimensat => {
            if fraction < 1_000_000 {
                Ok(at(seconds, fraction * 1000))
            } else {
                Err(Errno::EINVAL)
            }
        }
        now if now == u64::from(UTIME_NOW) => Ok(Time::Now),
        keep if keep == u64::from(UTIME_OMIT) => Ok(Time::Keep),
        nanos if nanos < NANOS as u64 => Ok(at(seconds, nanos)),
        _ => Err(Errno::EINVAL),
    };
    Ok([decode(asec, afrac)?, decode(msec, mfrac)?])
}

/// utime(2), utimes(2), futimesat(2), utimensat(2).
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub fn utimes(cx: &Cx, call: Call) -> SysResult {
    let a = call.args;
    let number = call.number as u32;
    let (arg, path, times, flags) = match number {
        __NR_utime | __NR_utimes => (PathArg::from_cwd(0), a[0], a[1], 0),
        __NR_futimesat => (PathArg::at(0), a[1], a[2], 0),
        _ => (PathArg::at(0), a[1], a[2], a[3] as u32),
    };
    let times = read_times(cx, number, times)?;
    if flags & !(NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = if path == 0 && arg.has_directory() { None } else { Some(cx.read_path(path)?) };
    let path = path.filter(|path| !means_descriptor(path, flags));
    attr::set_times(cx, &TimesRequest { call, arg, path, follow: flags & NOFOLLOW == 0, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_linuxs_layout() {
        let stat = FileStat {
            mode: 0o100_644,
            nlink: 3,
            uid: 7,
            gid: 8,
            dev: inode::device_number(8, 1),
            ino: 42,
            size: 99,
            blksize: 4096,
            blocks: 8,
            mtime_ns: -1,
            btime_ns: Some(0),
            ..FileStat::default()
        };
        let word = |bytes: &[u8], at: usize| bytes[at..at + 8].iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
        let plain = encode_stat(&stat);
        assert_eq!(plain.len(), 144);
        assert_eq!((word(&plain, 8), word(&plain, 16), word(&plain, 48), word(&plain, 64)), (42, 3, 99, 8));
        assert_eq!((word(&plain, 88) as i64, word(&plain, 96)), (-1, 999_999_999), "mtime");
        let extended = encode_statx(&stat);
        assert_eq!(extended.len(), 256);
        assert_eq!((word(&extended, 32), word(&extended, 40), word(&extended, 112) as i64), (42, 99, -1));
        assert_eq!(word(&extended, 136), 8 | 1 << 32, "device");
        let told = StatFs { magic: 0xef53, bytes: 128 << 30, inodes: 8 << 20, flags: 0x1020 };
        let bytes = encode_statfs(&told);
        assert_eq!([0, 16, 24, 40, 80].map(|at| word(&bytes, at)), [0xef53, 32 << 20, 16 << 20, 8 << 20, 0x1020]);
    }
}
