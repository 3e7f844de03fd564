//! The processor time of a process and all its descendants, whoever reaps them.
//!
//! Linux adds a child's time to its parent's when the parent waits for it. Linux itself reaps the guests of the engine inside, so that
//! their time is added to no parent. A software event of perf_event_open(2) is inherited by all descendants and counts each of them
//! to its end.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::FromRawFd as _;
use std::time::Duration;

use fated_kernel::errno::Errno;

use crate::sys::{self, Os};

/// Counts the time of all processes that the creating thread starts by fork and exec, and of their descendants.
#[derive(Debug)]
pub struct ProcessorTime(File);

impl ProcessorTime {
    /// Starts to count.
    ///
    /// # Errors
    /// `EACCES`, `EPERM`: not permitted (`/proc/sys/kernel/perf_event_paranoid`); `ENOSYS`, `ENOENT`: this Linux lacks it.
    pub fn of_children() -> Os<ProcessorTime> {
        const SOFTWARE: u64 = 1;
        const TASK_CLOCK: u64 = 1;
        const DISABLED: u64 = 1;
        const INHERIT: u64 = 1 << 1;
        const ENABLE_ON_EXEC: u64 = 1 << 12;
        const CLOSE_ON_EXEC: u64 = 1 << 3;
        // `struct perf_event_attr` in its first version: type and size, config, period, what to sample, what to read, flags.
        let mut attr = [0_u64; 8];
        attr[0] = SOFTWARE | (size_of_val(&attr) as u64) << 32;
        attr[1] = TASK_CLOCK;
        attr[5] = DISABLED | INHERIT | ENABLE_ON_EXEC;
        let (this_thread, any_cpu, no_group) = (0, -1, -1);
        // SAFETY: the structure is as long as it says; a descriptor that is returned is nobody else's.
        unsafe {
            let fd =
                libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), this_thread, any_cpu, no_group, CLOSE_ON_EXEC);
            sys::check(fd).map(|fd| ProcessorTime(File::from_raw_fd(fd as i32)))
        }
    }

    /// The time so far.
    ///
    /// # Errors
    /// The counter can't be read.
    pub fn so_far(&self) -> Os<Duration> {
        let mut count = [0; 8];
        (&self.0)
            .read_exact(&mut count)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_number))?;
        Ok(Duration::from_nanos(u64::from_ne_bytes(count)))
    }
}

/// The processor time of this process itself so far.
#[must_use]
pub fn own_time() -> Duration {
    // SAFETY: all bytes zero are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is what the call fills.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    of(usage.ru_utime) + of(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses processor time in a child of a shell that doesn't wait for it.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is counted are processes")]
    fn what_nobody_reaps_is_counted() {
        let time = match ProcessorTime::of_children() {
            Ok(time) => time,
            Err(errno) => {
                eprintln!("skipped: perf_event_open: {errno}");
                return;
            }
        };
        assert_eq!(time.so_far(), Ok(Duration::ZERO));
        let burn = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo done";
        // The pipe ends when the last of these processes has ended.
        let script = format!("trap '' CHLD; sh -c '{burn}' & exec sh -c 'exit 0'");
        let output = std::process::Command::new("sh").args(["-c", &script]).output();
        assert_eq!(output.map(|output| output.stdout).unwrap_or_default(), b"done\n");
        let spent = time.so_far().unwrap_or_default();
        assert!(spent > Duration::from_millis(2), "{spent:?}");
    }
}
