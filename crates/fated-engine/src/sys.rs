//! Thin wrappers of the system calls that both engines make: one function per call, errors as [`Errno`]. Nothing here depends on
//! guests.

use std::ffi::CStr;
use std::os::fd::RawFd;

use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;

/// The result of a system call.
pub type Os<T> = Result<T, Errno>;

/// The error of the call that has just failed.
#[must_use]
pub fn last() -> Errno {
    Errno::from_number(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Converts a result of libc's.
pub fn check(result: i64) -> Os<i64> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// geteuid(2).
pub fn effective_uid() -> u32 {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::geteuid() }
}

/// Sends a signal to a child that hasn't been reaped.
pub fn kill(pid: libc::pid_t, signal: i32) -> Os<()> {
    // SAFETY: takes numbers only.
    check(i64::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// statx(2) with the basic fields and the birth time.
pub fn statx(dirfd: RawFd, path: &CStr, flags: i32) -> Os<FileStat> {
    // SAFETY: all bytes zero are a valid `struct statx`.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: `path` ends with a NUL, `stat` is what the call fills.
    check(i64::from(unsafe { libc::statx(dirfd, path.as_ptr(), flags, mask, &raw mut stat) }))?;
    // A guest may set any time, even outside of the range of 64 bits of nanoseconds.
    let time = |t: libc::statx_timestamp| t.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(t.tv_nsec));
    Ok(FileStat {
        mode: u32::from(stat.stx_mode),
        nlink: stat.stx_nlink,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        dev: libc::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        rdev: libc::makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
        ino: stat.stx_ino,
        size: stat.stx_size,
        blksize: stat.stx_blksize,
        blocks: stat.stx_blocks,
        attributes: stat.stx_attributes,
        attributes_mask: stat.stx_attributes_mask,
        atime_ns: time(stat.stx_atime),
        mtime_ns: time(stat.stx_mtime),
        ctime_ns: time(stat.stx_ctime),
        btime_ns: (stat.stx_mask & libc::STATX_BTIME != 0).then(|| time(stat.stx_btime)),
    })
}

/// The user and the group that fated acts as.
#[must_use]
pub fn user() -> (u32, u32) {
    // SAFETY: it takes nothing and can't fail.
    (effective_uid(), unsafe { libc::getegid() })
}

/// read(2).
pub fn read(fd: RawFd, buf: &mut [u8]) -> Os<usize> {
    // SAFETY: at most `buf.len()` bytes are written to `buf`.
    check(unsafe { libc::read(fd, buf.as_mut_ptr().cast(), buf.len()) } as i64).map(|count| count as usize)
}

/// write(2).
pub fn write(fd: RawFd, data: &[u8]) -> Os<usize> {
    // SAFETY: at most `data.len()` bytes are read.
    check(unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) } as i64).map(|count| count as usize)
}

/// fcntl(2) with a command that takes nothing.
pub fn fcntl(fd: RawFd, command: i32) -> Os<i32> {
    // SAFETY: takes numbers only.
    check(i64::from(unsafe { libc::fcntl(fd, command) })).map(|value| value as i32)
}

/// lseek(2).
pub fn seek(fd: RawFd, offset: i64, whence: i32) -> Os<u64> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::lseek(fd, offset, whence) }).map(i64::cast_unsigned)
}

/// poll(2); without a timeout, `EINTR` when a signal for fated arrives.
pub fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) -> Os<usize> {
    // SAFETY: the call gets the length of `fds`.
    check(i64::from(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as u64, timeout_ms) })).map(|n| n as usize)
}

/// tee(2), without waiting.
pub fn tee(from: RawFd, to: RawFd, len: usize) -> Os<usize> {
    // SAFETY: takes numbers.
    check(unsafe { libc::tee(from, to, len, libc::SPLICE_F_NONBLOCK) } as i64).map(|count| count as usize)
}

/// ioctl(2) with `arg` copied in and out; no known request uses more than a page.
pub fn ioctl(fd: RawFd, request: u32, arg: &mut [u8]) -> Os<i64> {
    let mut scratch = [0_u8; 4096];
    let len = arg.len().min(scratch.len());
    scratch[..len].copy_from_slice(&arg[..len]);
    // SAFETY: requests encode sizes below 2^14, but those of standard streams (terminals, files, sockets) use far less
    // than a page, which is what stands behind the pointer.
    let result = check(i64::from(unsafe { libc::ioctl(fd, u64::from(request), scratch.as_mut_ptr()) }))?;
    arg[..len].copy_from_slice(&scratch[..len]);
    Ok(result)
}

/// The CPU that this thread runs on.
pub fn current_cpu() -> Os<usize> {
    // SAFETY: takes nothing.
    check(i64::from(unsafe { libc::sched_getcpu() })).map(|cpu| cpu as usize)
}

/// The CPUs that this thread may run on.
pub fn affinity() -> Os<libc::cpu_set_t> {
    // SAFETY: all bytes zero are a valid set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the call gets the size of `set`.
    check(i64::from(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) }))?;
    Ok(set)
}

/// Sets the CPUs that this thread may run on. Safe to call between fork and exec.
pub fn set_affinity(set: &libc::cpu_set_t) -> Os<()> {
    // SAFETY: the call gets the size of `set`.
    check(i64::from(unsafe { libc::sched_setaffinity(0, size_of_val(set), &raw const *set) })).map(drop)
}

/// The set of one CPU.
#[must_use]
pub fn only_cpu(cpu: usize) -> libc::cpu_set_t {
    // SAFETY: all bytes zero are a valid set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu < 8 * size_of_val(&set) {
        // SAFETY: the number is inside the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    set
}

/// The release of Linux (uname(2)).
pub fn linux_release() -> Os<String> {
    // SAFETY: all bytes zero are a valid `utsname`.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is what the call fills.
    check(i64::from(unsafe { libc::uname(&raw mut name) }))?;
    // SAFETY: Linux ends the field with a NUL.
    Ok(unsafe { CStr::from_ptr(name.release.as_ptr()) }.to_string_lossy().into_owned())
}

/// Its version: major and minor.
pub fn linux_version() -> Os<(u32, u32)> {
    let release = linux_release()?;
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    Ok((parts.next().unwrap_or(0), parts.next().unwrap_or(0)))
}
