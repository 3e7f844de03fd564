//! The supervisor's own system calls.

use fated_kernel::errno::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// The error of the call that has just failed.
pub(crate) fn last() -> Errno {
    Errno::from_number(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// A file in memory, closed by an exec.
pub(crate) fn memfd(name: &CStr) -> Result<File, Errno> {
    // SAFETY: the name ends with a NUL; a descriptor that is returned is nobody else's.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(last()) } else { Ok(File::from_raw_fd(fd)) }
    }
}

/// Waits until the word changes from `value`, is woken, or the time is over.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, limit: Duration) {
    let limit = libc::timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    // SAFETY: word and limit are valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const limit) };
}

/// Wakes who waits for the word.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1, ptr::null::<libc::timespec>()) };
}

/// Whether there is a process of that id.
pub(crate) fn exists(pid: u32) -> bool {
    // SAFETY: the call touches no memory; signal 0 is none.
    let sent = unsafe { libc::kill(pid as libc::pid_t, 0) };
    sent == 0 || last() != Errno::ESRCH
}

/// Blocks until one of the descriptors is ready, or the time is over.
pub(crate) fn poll(fds: &mut [libc::pollfd], limit: Duration) {
    // SAFETY: the list is valid for the call.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit.as_millis() as i32) };
}

/// Keeps this thread, and all that it forks, on one CPU; returns what it was allowed before.
pub(crate) fn stay_on(cpu: Option<usize>) -> Option<libc::cpu_set_t> {
    // SAFETY: all bytes zero are a valid, empty set; the calls get valid pointers and the calling thread's own id.
    unsafe {
        let mut before: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut before) < 0 {
            return None;
        }
        let cpu = cpu.or_else(|| usize::try_from(libc::sched_getcpu()).ok())?;
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut one);
        (libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one) == 0).then_some(before)
    }
}

/// Permits this thread what it was allowed before.
pub(crate) fn allow(cpus: &libc::cpu_set_t) {
    // SAFETY: the set is valid for the call. If it is refused, the narrower one stays.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cpus) };
}
