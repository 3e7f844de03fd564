//! The engine's own system calls. All of them go through the gate.

use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;

use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::enter::gate;

/// A call that accesses nothing but what its arguments name.
pub fn call(number: u32, args: [u64; 6]) -> i64 {
    // SAFETY: every caller in the blob passes valid pointers.
    unsafe { gate::call(number, args) }
}

/// The same, with a separate errno.
pub fn ask(number: u32, args: [u64; 6]) -> Result<u64, Errno> {
    let result = call(number, args);
    Errno::of_return(result).map_or(Ok(result as u64), Err)
}

/// A path with its terminating null.
pub fn c_path(path: &[u8]) -> Result<Vec<u8>, Errno> {
    if path.contains(&0) {
        return Err(Errno::EINVAL);
    }
    let mut text = Vec::with_capacity(path.len() + 1);
    text.extend_from_slice(path);
    text.push(0);
    Ok(text)
}

pub fn open(dirfd: i32, path: &[u8], flags: u32) -> Result<i32, Errno> {
    let path = c_path(path)?;
    ask(__NR_openat, [dirfd as u64, path.as_ptr() as u64, u64::from(flags), 0, 0, 0]).map(|fd| fd as i32)
}

pub fn close(fd: i32) {
    call(__NR_close, [fd as u64, 0, 0, 0, 0, 0]);
}

pub fn read_at(fd: i32, buf: &mut [u8], at: u64) -> Result<usize, Errno> {
    let args = [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, at, 0, 0];
    ask(__NR_pread64, args).map(|count| count as usize)
}

pub fn read_all(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let fd = open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC)?;
    let mut bytes = Vec::new();
    let result = loop {
        let from = bytes.len();
        bytes.resize(from + 4096, 0);
        let args = [fd as u64, bytes[from..].as_mut_ptr() as u64, 4096, 0, 0, 0];
        match ask(__NR_read, args) {
            Ok(count) => bytes.truncate(from + count as usize),
            Err(errno) => break Err(errno),
        }
        if bytes.len() == from {
            break Ok(());
        }
    };
    close(fd);
    result.map(|()| bytes)
}

pub fn read_link(dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
    let path = c_path(path)?;
    let mut target = alloc::vec![0; 4096];
    let args = [dirfd as u64, path.as_ptr() as u64, target.as_mut_ptr() as u64, 4096, 0, 0];
    let len = ask(__NR_readlinkat, args)?;
    target.truncate(len as usize);
    Ok(target)
}

pub fn mmap(at: u64, len: u64, prot: u32, flags: u32, fd: i32, offset: u64) -> Result<u64, Errno> {
    ask(__NR_mmap, [at, len, u64::from(prot), u64::from(flags), fd as u64, offset])
}

pub fn getpid() -> u32 {
    call(__NR_getpid, [0; 6]) as u32
}

pub fn exit_group(status: i32) -> ! {
    loop {
        call(__NR_exit_group, [status as u64, 0, 0, 0, 0, 0]);
    }
}

pub fn futex_wake(word: &AtomicU32) {
    call(__NR_futex, [word.as_ptr() as u64, u64::from(FUTEX_WAKE), 1, 0, 0, 0]);
}

pub fn futex_wait(word: &AtomicU32, value: u32) {
    call(__NR_futex, [word.as_ptr() as u64, u64::from(FUTEX_WAIT), u64::from(value), 0, 0, 0]);
}

/// Makes Linux kill this process when its parent dies. If that has happened already, the process has another parent, and exits.
pub fn die_with(parent: u32) {
    const PR_SET_PDEATHSIG: u64 = 1;
    const SIGKILL: u64 = 9;
    call(__NR_prctl, [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0]);
    let now = call(__NR_getppid, [0; 6]);
    // 0 is a parent outside of this process's pid namespace.
    if now != 0 && now != i64::from(parent) {
        exit_group(1);
    }
}
