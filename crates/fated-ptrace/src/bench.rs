//! The minimal cost of a stop: ptrace alone, without engine and kernel. `fated bench stop` shows it beside the cost of a call under
//! fated.

use crate::process::reap;
use crate::sys::{self, Os, RealTid};
use crate::tracee::SECCOMP_STOP;
use fated_engine::{Error, start};
use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;
use std::ptr;
use std::time::{Duration, Instant};

/// How the tracer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwaitBy {
    /// For the id of the running task, as the engine does.
    Pid,
    /// For any child, as most tracers do.
    Any,
}

/// Idle tracees of this thread, which exist while the stops of another one are timed. Dropping this ends them.
#[derive(Debug, Default)]
pub struct Tracees {
    idle: Vec<RealTid>,
}

/// The result of the timed tracee's call.
const ANSWER: u64 = 4242;

impl Tracees {
    /// Starts without idle tracees. This thread should stay on one CPU; tracees inherit that.
    #[must_use]
    pub fn new() -> Tracees {
        Tracees::default()
    }

    /// Creates idle tracees until there are `count`. Returns how many there are, which is fewer if a limit on processes is reached.
    ///
    /// # Errors
    /// A child can't be traced.
    pub fn grow_to(&mut self, count: usize) -> Result<usize, Error> {
        raise_process_limit();
        while self.idle.len() < count {
            match spawn(idle) {
                Ok(tid) => self.idle.push(tid),
                Err(Errno::EAGAIN | Errno::ENOMEM) => break,
                Err(errno) => return Err(Error::NoPtrace { errno }),
            }
        }
        Ok(self.idle.len())
    }

    /// The mean duration of one stop out of `stops`: `PTRACE_CONT`, wait, `PTRACE_GETREGS`, and `PTRACE_SETREGS` at a seccomp stop,
    /// which sets the call's result.
    ///
    /// # Errors
    /// The timed tracee can't be created, or behaves unexpectedly.
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
    pub fn time_stops(&self, stops: u32, by: AwaitBy) -> Result<Duration, Error> {
        let tid = spawn(|| calls(stops)).map_err(start("start the tracee that is timed"))?;
        let options = libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
        let timed = sys::ptrace(libc::PTRACE_SETOPTIONS, tid, 0, options as u64).and_then(|()| {
            // After the first stop, caches are warm and the filter is installed.
            next_stop(tid, by)?;
            let start = Instant::now();
            for _ in 1..stops {
                next_stop(tid, by)?;
            }
            Ok(start.elapsed() / stops.saturating_sub(1).max(1))
        });
        let _ = sys::kill(tid, libc::SIGKILL);
        reap(tid);
        timed.map_err(start("time the stops of a tracee"))
    }
}

impl Drop for Tracees {
    fn drop(&mut self) {
        for &tid in &self.idle {
            let _ = sys::kill(tid, libc::SIGKILL);
        }
        for &tid in &self.idle {
            reap(tid);
        }
    }
}

/// One iteration of the timed loop.
fn next_stop(tid: RealTid, by: AwaitBy) -> Os<()> {
    sys::cont(tid)?;
    let status = match by {
        AwaitBy::Pid => sys::wait_on(tid)?,
        AwaitBy::Any => sys::wait_on(-1)?,
    };
    if status >> 8 != SECCOMP_STOP {
        return Err(Errno::ECHILD);
    }
    let regs = sys::get_regs(tid)?;
    sys::set_regs(tid, &Regs { rax: ANSWER, orig_rax: u64::MAX, ..regs })
}

/// Forks a tracee that stops itself and then does `work`. `work` may only make system calls.
fn spawn(work: impl FnOnce()) -> Os<RealTid> {
    // SAFETY: the child makes system calls only, as a fork of a process with several threads has to.
    let tid = match unsafe { libc::fork() } {
        -1 => return Err(sys::last()),
        0 => {
            // SAFETY: plain system calls with plain values; `_exit` runs nothing of the parent's.
            unsafe {
                if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0 && libc::raise(libc::SIGSTOP) == 0 {
                    work();
                }
                libc::_exit(0)
            }
        }
        tid => tid,
    };
    match sys::wait_on(tid) {
        Ok(status) if libc::WIFSTOPPED(status) => Ok(tid),
        _ => Err(Errno::EPERM),
    }
}

/// The work of an idle tracee, which never runs.
fn idle() {}

/// Makes `stops` calls that stop.
fn calls(stops: u32) {
    let op = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_getppid as u32, 0, 1),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_TRACE, 0, 0),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: plain system calls; `program` outlives the one that reads it.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
        for _ in 0..stops {
            if libc::syscall(libc::SYS_getppid).cast_unsigned() != ANSWER {
                return;
            }
        }
    }
}

/// Raises the limit on processes to the hard limit.
fn raise_process_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are valid for the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::prlimit(0, libc::RLIMIT_NPROC, &raw const limit, ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_are_timed_beside_idle_tracees() {
        let mut tracees = Tracees::new();
        assert_eq!(tracees.grow_to(3).unwrap(), 3);
        assert!(tracees.time_stops(50, AwaitBy::Pid).unwrap() > Duration::ZERO);
        assert!(tracees.time_stops(50, AwaitBy::Any).unwrap() > Duration::ZERO);
    }
}
