//! Thin wrappers of the system calls that only this engine makes: one function per call, errors as [`Errno`]. Nothing here depends on
//! guests.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use fated_engine::sys::check;
pub(crate) use fated_engine::sys::{Os, kill, last, poll, read, statx, write};
use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;
use std::mem::offset_of;

/// A real process or thread id.
pub(crate) type RealTid = libc::pid_t;

/// `ARCH_SET_CPUID` (arch_prctl(2)).
pub(crate) const ARCH_SET_CPUID: u64 = 0x1012;
/// The regset of the extended state (`<elf.h>`).
const NT_X86_XSTATE: usize = 0x202;

/// The same file under a number above `fd`, closed by an exec.
pub(crate) fn move_above(own: OwnedFd, fd: RawFd) -> Os<OwnedFd> {
    // SAFETY: takes numbers; what it returns is nobody else's.
    unsafe {
        check(i64::from(libc::fcntl(own.as_raw_fd(), libc::F_DUPFD_CLOEXEC, fd + 1)))
            .map(|new| OwnedFd::from_raw_fd(new as RawFd))
    }
}

/// A request of ptrace(2) whose arguments are plain numbers.
pub(crate) fn ptrace(request: libc::c_uint, tid: RealTid, addr: u64, data: u64) -> Os<()> {
    // SAFETY: only requests that take numbers, or words of the tracee's memory, come here; nothing of ours is written.
    check(unsafe { libc::ptrace(request, tid, addr, data) }).map(drop)
}

/// Continues the tracee without a signal.
pub(crate) fn cont(tid: RealTid) -> Os<()> {
    ptrace(libc::PTRACE_CONT, tid, 0, 0)
}

/// Continues the tracee with a signal.
pub(crate) fn cont_with(tid: RealTid, signal: i32) -> Os<()> {
    ptrace(libc::PTRACE_CONT, tid, 0, u64::from(signal.unsigned_abs()))
}

/// Delivers a signal for whose delivery the tracee is stopped: if it has a handler, the tracee stops at its first instruction.
pub(crate) fn step_with(tid: RealTid, signal: i32) -> Os<()> {
    ptrace(libc::PTRACE_SINGLESTEP, tid, 0, u64::from(signal.unsigned_abs()))
}

/// Continues the tracee up to the next entry or exit of a call.
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
    match check(unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, 0, &raw const *regs) }) {
        Err(Errno::EIO) => set_each(tid, regs),
        result => result.map(drop),
    }
}

/// The same one by one. Segments and bases that a program has loaded itself stay where they are, if ptrace(2) doesn't accept them.
fn set_each(tid: RealTid, regs: &Regs) -> Os<()> {
    const WORD: usize = size_of::<u64>();
    let own = [
        offset_of!(Regs, gs_base),
        offset_of!(Regs, ds),
        offset_of!(Regs, es),
        offset_of!(Regs, fs),
        offset_of!(Regs, gs),
    ];
    // SAFETY: a structure of words alone.
    let words: [u64; size_of::<Regs>() / WORD] = unsafe { std::mem::transmute(*regs) };
    for (at, &word) in (0..).step_by(WORD).zip(&words) {
        match ptrace(libc::PTRACE_POKEUSER, tid, at as u64, word) {
            Err(Errno::EIO) if own.contains(&at) => {}
            result => result?,
        }
    }
    Ok(())
}

/// The signal that a tracee stopped for.
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

/// Reads the extended state of a stopped tracee to `image`. Returns its size.
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

/// The size of what `fxsave` stores.
const FXSTATE: usize = 512;

/// The state of x87 and SSE of a stopped tracee, for a processor that has no more of it.
pub(crate) fn get_fxstate(tid: RealTid) -> Os<[u8; FXSTATE]> {
    let mut image = [0; FXSTATE];
    // SAFETY: the request writes a `user_fpregs_struct`, which has this size.
    check(unsafe { libc::ptrace(libc::PTRACE_GETFPREGS, tid, 0, &raw mut image) })?;
    Ok(image)
}

/// Replaces the state of x87 and SSE of a stopped tracee.
pub(crate) fn set_fxstate(tid: RealTid, image: &[u8]) -> Os<()> {
    if image.len() != FXSTATE {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the request reads a `user_fpregs_struct`, which has this size.
    check(unsafe { libc::ptrace(libc::PTRACE_SETFPREGS, tid, 0, image.as_ptr()) }).map(drop)
}

/// Waits for a change of one child or tracee. `EINTR`: a signal for fated arrived.
pub(crate) fn wait(tid: RealTid) -> Os<i32> {
    let mut status = 0;
    // SAFETY: `status` is an int.
    check(i64::from(unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) }))?;
    Ok(status)
}

/// As [`wait`], but continues after signals for fated.
pub(crate) fn wait_on(tid: RealTid) -> Os<i32> {
    loop {
        match wait(tid) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Eight bytes of a stopped tracee's memory, whether it may read them or not. That takes half as long as [`read_memory`].
pub(crate) fn peek(tid: RealTid, addr: u64) -> Os<[u8; 8]> {
    let mut word = [0; 8];
    // SAFETY: the request writes a word to `word`. Unlike the call, the function of the C library returns the word.
    check(unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKTEXT, tid, addr, &raw mut word) })?;
    Ok(word)
}

/// A range of a tracee's memory.
pub(crate) fn remote(addr: u64, len: usize) -> libc::iovec {
    libc::iovec { iov_base: std::ptr::without_provenance_mut(addr as usize), iov_len: len }
}

/// Copies from a tracee's memory. Returns the number of bytes before the first range that isn't wholly readable.
pub(crate) fn read_memory(tid: RealTid, from: &[libc::iovec], buf: &mut [u8]) -> Os<usize> {
    let local = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: writes at most `buf.len()` bytes to `buf`; `from` are addresses of another process, which Linux checks.
    let count = unsafe { libc::process_vm_readv(tid, &raw const local, 1, from.as_ptr(), from.len() as u64, 0) };
    check(count as i64).map(|count| count as usize)
}

/// Copies to a tracee's memory. Returns the number of bytes before the first range that isn't wholly writable.
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

/// pread(2).
pub(crate) fn read_at(fd: RawFd, buf: &mut [u8], offset: u64) -> Os<usize> {
    // SAFETY: writes at most `buf.len()` bytes to `buf`.
    let count = unsafe { libc::pread(fd, buf.as_mut_ptr().cast(), buf.len(), offset.cast_signed()) };
    usize::try_from(count).map_err(|_| last())
}

/// readlinkat(2).
pub(crate) fn read_link(dirfd: RawFd, path: &CStr) -> Os<Vec<u8>> {
    let mut buf = vec![0; libc::PATH_MAX as usize];
    // SAFETY: `path` ends with a NUL; at most `buf.len()` bytes are written.
    let len = check(unsafe { libc::readlinkat(dirfd, path.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) } as i64)?;
    buf.truncate(len as usize);
    Ok(buf)
}

/// getdents64(2): fills `buf` with entries. Returns the number of bytes.
pub(crate) fn getdents(fd: &OwnedFd, buf: &mut [u8]) -> Os<usize> {
    // SAFETY: at most `buf.len()` bytes are written to `buf`.
    let count = unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), buf.as_mut_ptr(), buf.len()) };
    check(count).map(|count| count as usize)
}

/// Checks whether fated has the right `mode` (`X_OK`…) to the file at `path`.
pub(crate) fn access(dirfd: RawFd, path: &CStr, mode: i32) -> Os<()> {
    // SAFETY: `path` ends with a NUL.
    check(i64::from(unsafe { libc::faccessat(dirfd, path.as_ptr(), mode, libc::AT_EACCESS) })).map(drop)
}

/// The real, effective and saved user; the same for groups; the supplementary groups.
pub(crate) fn credentials() -> Os<([u32; 3], [u32; 3], Vec<u32>)> {
    let (mut uid, mut gid) = ([0; 3], [0; 3]);
    let [real, effective, saved] = &mut uid;
    // SAFETY: three valid pointers.
    check(i64::from(unsafe { libc::getresuid(real, effective, saved) }))?;
    let [real, effective, saved] = &mut gid;
    // SAFETY: three valid pointers.
    check(i64::from(unsafe { libc::getresgid(real, effective, saved) }))?;
    // SAFETY: with a size of 0, the call only counts.
    let count = check(i64::from(unsafe { libc::getgroups(0, std::ptr::null_mut()) }))?;
    let mut groups = vec![0; count as usize];
    // SAFETY: the call gets the length of the buffer.
    let count = check(i64::from(unsafe { libc::getgroups(count as i32, groups.as_mut_ptr()) }))?;
    groups.truncate(count as usize);
    Ok((uid, gid, groups))
}

/// Sets the ids that the calling thread has for files; those of other threads stay (credentials(7)). What isn't permitted has no effect.
pub(crate) fn set_file_ids(user: u32, group: u32, groups: &[u32]) {
    // SAFETY: the first call gets a slice and its length, the others plain numbers.
    unsafe {
        // Only the privileged change groups: before the user changes away from root, and after it has changed back.
        libc::syscall(libc::SYS_setfsuid, 0);
        libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr());
        libc::syscall(libc::SYS_setfsgid, group);
        libc::syscall(libc::SYS_setfsuid, user);
    }
}

/// A close-on-exec pipe: its reading end and its writing end.
pub(crate) fn pipe() -> Os<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the call fills two ints.
    check(i64::from(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    // SAFETY: both have just been made and are nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}
