//! Thin wrappers of the system calls that the engine makes: one function per call, errors as [`Errno`]. Knows nothing
//! of guests.

use fated_kernel::errno::Errno;
use fated_kernel::guest::{FileStat, Regs};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The result of a system call.
pub(crate) type Os<T> = Result<T, Errno>;

/// A real process or thread id.
pub(crate) type RealTid = libc::pid_t;

/// `ARCH_SET_CPUID` (arch_prctl(2)).
pub(crate) const ARCH_SET_CPUID: u64 = 0x1012;
/// `ARCH_GET_CPUID` (arch_prctl(2)).
pub(crate) const ARCH_GET_CPUID: u64 = 0x1011;
/// The regset of the extended state (`<elf.h>`).
const NT_X86_XSTATE: usize = 0x202;

/// The error of the call that has just failed.
pub(crate) fn last() -> Errno {
    Errno::from_number(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

fn check(result: i64) -> Os<i64> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// A request of ptrace(2) whose arguments are plain numbers.
pub(crate) fn ptrace(request: libc::c_uint, tid: RealTid, addr: u64, data: u64) -> Os<()> {
    // SAFETY: only requests that take numbers, or words of the tracee's memory, come here; nothing of ours is written.
    check(unsafe { libc::ptrace(request, tid, addr, data) }).map(drop)
}

/// Lets the tracee run on, without a signal.
pub(crate) fn cont(tid: RealTid) -> Os<()> {
    ptrace(libc::PTRACE_CONT, tid, 0, 0)
}

/// Lets the tracee run up to the next beginning or end of a call.
pub(crate) fn cont_to_call(tid: RealTid) -> Os<()> {
    ptrace(libc::PTRACE_SYSCALL, tid, 0, 0)
}

/// The registers of a stopped tracee.
pub(crate) fn get_regs(tid: RealTid) -> Os<Regs> {
    let mut regs = Regs::default();
    // SAFETY: `Regs` has the layout of `struct user_regs_struct`, which is what the request fills.
    check(unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, 0, &raw mut regs) })?;
    Ok(regs)
}

/// Replaces the registers of a stopped tracee.
pub(crate) fn set_regs(tid: RealTid, regs: &Regs) -> Os<()> {
    // SAFETY: `Regs` has the layout of `struct user_regs_struct`, which is what the request reads.
    check(unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, 0, &raw const *regs) }).map(drop)
}

/// One word of a stopped tracee's memory, whatever its protection.
pub(crate) fn peek(tid: RealTid, addr: u64) -> Os<u64> {
    let mut word = 0_u64;
    // SAFETY: the raw call stores the word behind its fourth argument (ptrace(2), "C library/kernel differences").
    check(unsafe { libc::syscall(libc::SYS_ptrace, u64::from(libc::PTRACE_PEEKDATA), tid, addr, &raw mut word) })?;
    Ok(word)
}

/// Writes one word of a stopped tracee's memory, whatever its protection.
pub(crate) fn poke(tid: RealTid, addr: u64, word: u64) -> Os<()> {
    ptrace(libc::PTRACE_POKEDATA, tid, addr, word)
}

/// What ptrace knows of the signal that a tracee stopped for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalInfo {
    pub(crate) code: i32,
    pub(crate) addr: u64,
}

/// `si_code` and `si_addr` of the signal that a tracee stopped for.
pub(crate) fn signal_info(tid: RealTid) -> Os<SignalInfo> {
    // SAFETY: all bytes zero are a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the request fills a `siginfo_t`.
    check(unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, tid, 0, &raw mut info) })?;
    // SAFETY: the bytes of the union are initialized; the caller asks only for signals that have an address.
    let addr = unsafe { info.si_addr() };
    Ok(SignalInfo { code: info.si_code, addr: addr.addr() as u64 })
}

/// Reads the extended state of a stopped tracee to `image`; returns how many bytes there are.
pub(crate) fn get_xstate(tid: RealTid, image: &mut [u8]) -> Os<usize> {
    let mut iov = libc::iovec { iov_base: image.as_mut_ptr().cast(), iov_len: image.len() };
    // SAFETY: the request writes at most `iov_len` bytes to `image`.
    check(unsafe { libc::ptrace(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, &raw mut iov) })?;
    Ok(iov.iov_len)
}

/// Replaces the extended state of a stopped tracee.
pub(crate) fn set_xstate(tid: RealTid, image: &[u8]) -> Os<()> {
    let mut iov = libc::iovec { iov_base: image.as_ptr().cast_mut().cast(), iov_len: image.len() };
    // SAFETY: the request reads at most `iov_len` bytes of `image`.
    check(unsafe { libc::ptrace(libc::PTRACE_SETREGSET, tid, NT_X86_XSTATE, &raw mut iov) }).map(drop)
}

/// Waits for a change of one child or tracee. `EINTR` when a signal for fated came.
pub(crate) fn wait(tid: RealTid) -> Os<i32> {
    let mut status = 0;
    // SAFETY: `status` is an int.
    check(i64::from(unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) }))?;
    Ok(status)
}

/// [`wait`], through signals for fated.
pub(crate) fn wait_on(tid: RealTid) -> Os<i32> {
    loop {
        match wait(tid) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Sends a signal to a process of ours that hasn't been reaped.
pub(crate) fn kill(pid: RealTid, signal: i32) -> Os<()> {
    // SAFETY: takes numbers only.
    check(i64::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// A stretch of a tracee's memory.
pub(crate) fn remote(addr: u64, len: usize) -> libc::iovec {
    libc::iovec { iov_base: std::ptr::without_provenance_mut(addr as usize), iov_len: len }
}

/// Copies from a tracee's memory; counts up to the first stretch that isn't wholly readable.
pub(crate) fn read_memory(tid: RealTid, from: &[libc::iovec], buf: &mut [u8]) -> Os<usize> {
    let local = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: writes at most `buf.len()` bytes to `buf`; `from` are addresses of another process, which Linux checks.
    let count = unsafe { libc::process_vm_readv(tid, &raw const local, 1, from.as_ptr(), from.len() as u64, 0) };
    check(count as i64).map(|count| count as usize)
}

/// Copies to a tracee's memory; counts up to the first stretch that isn't wholly writable.
pub(crate) fn write_memory(tid: RealTid, to: &[libc::iovec], data: &[u8]) -> Os<usize> {
    let local = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: reads at most `data.len()` bytes of `data`; `to` are addresses of another process, which Linux checks.
    let count = unsafe { libc::process_vm_writev(tid, &raw const local, 1, to.as_ptr(), to.len() as u64, 0) };
    check(count as i64).map(|count| count as usize)
}

/// openat(2), close-on-exec.
pub(crate) fn open(dirfd: RawFd, path: &CStr, flags: i32) -> Os<OwnedFd> {
    // SAFETY: `path` ends with a NUL.
    let fd = check(i64::from(unsafe { libc::openat(dirfd, path.as_ptr(), flags | libc::O_CLOEXEC) }))?;
    // SAFETY: the descriptor has just been made and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// statx(2) with the basic fields and the birth time.
pub(crate) fn statx(dirfd: RawFd, path: &CStr, flags: i32) -> Os<FileStat> {
    // SAFETY: all bytes zero are a valid `struct statx`.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: `path` ends with a NUL, `stat` is what the call fills.
    check(i64::from(unsafe { libc::statx(dirfd, path.as_ptr(), flags, mask, &raw mut stat) }))?;
    // A guest may set any time, beyond the years that 64 bits of nanoseconds cover, too.
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

/// readlinkat(2).
pub(crate) fn read_link(dirfd: RawFd, path: &CStr) -> Os<Vec<u8>> {
    let mut buf = vec![0; libc::PATH_MAX as usize];
    // SAFETY: `path` ends with a NUL; at most `buf.len()` bytes are written.
    let len = check(unsafe { libc::readlinkat(dirfd, path.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) } as i64)?;
    buf.truncate(len as usize);
    Ok(buf)
}

/// getdents64(2): fills `buf` with entries, returns how many bytes.
pub(crate) fn getdents(fd: &OwnedFd, buf: &mut [u8]) -> Os<usize> {
    // SAFETY: at most `buf.len()` bytes are written to `buf`.
    let count = unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), buf.as_mut_ptr(), buf.len()) };
    check(count).map(|count| count as usize)
}

/// Tells whether fated may do `mode` (`X_OK`…) with the file behind `path`.
pub(crate) fn access(dirfd: RawFd, path: &CStr, mode: i32) -> Os<()> {
    // SAFETY: `path` ends with a NUL.
    check(i64::from(unsafe { libc::faccessat(dirfd, path.as_ptr(), mode, libc::AT_EACCESS) })).map(drop)
}

/// read(2).
pub(crate) fn read(fd: RawFd, buf: &mut [u8]) -> Os<usize> {
    // SAFETY: at most `buf.len()` bytes are written to `buf`.
    check(unsafe { libc::read(fd, buf.as_mut_ptr().cast(), buf.len()) } as i64).map(|count| count as usize)
}

/// write(2).
pub(crate) fn write(fd: RawFd, data: &[u8]) -> Os<usize> {
    // SAFETY: at most `data.len()` bytes are read.
    check(unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) } as i64).map(|count| count as usize)
}

/// poll(2); without a timeout, `EINTR` when a signal for fated came.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) -> Os<usize> {
    // SAFETY: `fds` is as long as the call is told.
    check(i64::from(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as u64, timeout_ms) })).map(|n| n as usize)
}

/// ioctl(2) with `arg` copied in and out; no known request uses more than a page.
pub(crate) fn ioctl(fd: RawFd, request: u32, arg: &mut [u8]) -> Os<i64> {
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
pub(crate) fn current_cpu() -> Os<usize> {
    // SAFETY: takes nothing.
    check(i64::from(unsafe { libc::sched_getcpu() })).map(|cpu| cpu as usize)
}

/// The CPUs that this thread may run on.
pub(crate) fn affinity() -> Os<libc::cpu_set_t> {
    // SAFETY: all bytes zero are a valid set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is as large as the call is told.
    check(i64::from(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) }))?;
    Ok(set)
}

/// Says which CPUs this thread may run on. Safe to call between fork and exec.
pub(crate) fn set_affinity(set: &libc::cpu_set_t) -> Os<()> {
    // SAFETY: `set` is as large as the call is told.
    check(i64::from(unsafe { libc::sched_setaffinity(0, size_of_val(set), &raw const *set) })).map(drop)
}

/// The set of one CPU.
pub(crate) fn only_cpu(cpu: usize) -> libc::cpu_set_t {
    // SAFETY: all bytes zero are a valid set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu < 8 * size_of_val(&set) {
        // SAFETY: the number is inside the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    set
}

/// Linux's version: major and minor.
pub(crate) fn linux_version() -> Os<(u32, u32)> {
    // SAFETY: all bytes zero are a valid `utsname`.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is what the call fills.
    check(i64::from(unsafe { libc::uname(&raw mut name) }))?;
    // SAFETY: Linux ends the field with a NUL.
    let release = unsafe { CStr::from_ptr(name.release.as_ptr()) }.to_string_lossy().into_owned();
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    Ok((parts.next().unwrap_or(0), parts.next().unwrap_or(0)))
}

/// Real, effective and saved user; the same of groups; supplementary groups.
pub(crate) fn credentials() -> Os<([u32; 3], [u32; 3], Vec<u32>)> {
    let (mut uid, mut gid) = ([0; 3], [0; 3]);
    let [real, effective, saved] = &mut uid;
    // SAFETY: three valid pointers.
    check(i64::from(unsafe { libc::getresuid(real, effective, saved) }))?;
    let [real, effective, saved] = &mut gid;
    // SAFETY: three valid pointers.
    check(i64::from(unsafe { libc::getresgid(real, effective, saved) }))?;
    // SAFETY: without room, the call only counts.
    let count = check(i64::from(unsafe { libc::getgroups(0, std::ptr::null_mut()) }))?;
    let mut groups = vec![0; count as usize];
    // SAFETY: there is room for as many as the call is told.
    let count = check(i64::from(unsafe { libc::getgroups(count as i32, groups.as_mut_ptr()) }))?;
    groups.truncate(count as usize);
    Ok((uid, gid, groups))
}

/// A pipe, close-on-exec: reading end, writing end.
pub(crate) fn pipe() -> Os<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the call fills two ints.
    check(i64::from(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    // SAFETY: both have just been made and are nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}
