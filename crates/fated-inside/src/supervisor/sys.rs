//! The supervisor's own system calls.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

pub(crate) use fated_engine::sys::{Os, kill, last, poll};

/// A file in memory, closed by an exec.
pub(crate) fn memfd(name: &CStr) -> Os<File> {
    // SAFETY: the name ends with a NUL; a descriptor that is returned is nobody else's.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(last()) } else { Ok(File::from_raw_fd(fd)) }
    }
}

/// Waits until the word differs from `value`, a wake-up comes, or the time is over.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, limit: Duration) {
    let limit = libc::timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    // SAFETY: word and limit are valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const limit) };
}

/// Wakes a waiter of the word.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1, ptr::null::<libc::timespec>()) };
}

/// Whether a process has ended; it may not have been waited for.
pub(crate) fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat"));
    // The state stands behind the name, which may contain anything.
    let state = |stat: &[u8]| stat.iter().rposition(|&byte| byte == b')').and_then(|at| stat.get(at + 2).copied());
    match stat {
        Ok(stat) => matches!(state(&stat), Some(b'Z' | b'X')),
        Err(_) => kill(pid as i32, 0) == Err(fated_kernel::errno::Errno::ESRCH),
    }
}

/// The processor time that a process has used.
pub(crate) fn processor_time(pid: libc::pid_t) -> Option<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both are filled by the calls.
    let done = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0 && libc::clock_gettime(clock, &raw mut time) == 0
    };
    done.then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
