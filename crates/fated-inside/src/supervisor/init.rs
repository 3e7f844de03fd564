//! The first process of the blob, as the supervisor's child: it is started without a copy of fated's memory, and
//! waited for.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;

use fated_kernel::errno::Errno;

use super::sys::{self, Os};
use crate::protocol::layout::BASES;

/// A child of this process.
#[derive(Debug)]
pub(crate) struct Init {
    pid: libc::pid_t,
    status: Option<ExitStatus>,
}

/// What the child gets.
struct Begin<'a> {
    /// Descriptors, and the numbers that they get.
    moves: &'a mut [(RawFd, RawFd)],
    /// Its arguments. Their number says where it finds the descriptors.
    argv: &'a [*const libc::c_char],
    /// Why it can't start.
    errno: i32,
}

impl Init {
    /// Executes the first of these files. The program has all of them, under the given numbers, which are those of this place.
    pub fn start<const N: usize>(files: [(&File, RawFd); N], place: usize) -> Os<Init> {
        const STACK: usize = 64 << 10;
        let mut moves = files.map(|(file, to)| (file.as_raw_fd(), to));
        let mut argv = [ptr::null(); BASES.len() + 1];
        argv[..=place].fill(c"fated-inside".as_ptr());
        let mut begin = Begin { moves: &mut moves, argv: &argv, errno: 0 };
        let mut stack = vec![0_u128; STACK / size_of::<u128>()];
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: this thread is suspended until the child has its own image or is gone, so stack and argument live
        // on.
        let pid = unsafe {
            let top = stack.as_mut_ptr().add(stack.len());
            libc::clone(child, top.cast(), flags, (&raw mut begin).cast())
        };
        if pid < 0 {
            return Err(sys::last());
        }
        let mut first = Init { pid, status: None };
        // SAFETY: as above; the child has written it.
        match unsafe { (&raw const begin.errno).read_volatile() } {
            0 => Ok(first),
            errno => {
                first.wait(0);
                Err(Errno::from_number(errno))
            }
        }
    }

    /// Its status, if it has exited.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.wait(libc::WNOHANG)
    }

    /// Waits until it exits.
    pub fn end(&mut self) {
        while self.wait(0).is_none() {}
    }

    fn wait(&mut self, flags: i32) -> Option<ExitStatus> {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: `status` is what the call fills.
            let pid = unsafe { libc::waitpid(self.pid, &raw mut status, flags) };
            // Nobody else reaps it; if someone does nevertheless, it is gone.
            let gone = pid == self.pid || pid < 0 && sys::last() == Errno::ECHILD;
            self.status = gone.then(|| ExitStatus::from_raw(status));
        }
        self.status
    }
}

/// Runs in the memory of its suspended parent, so it makes nothing but system calls.
extern "C" fn child(begin: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` passes it.
    let begin = unsafe { &mut *begin.cast::<Begin<'_>>() };
    let env: [*const libc::c_char; 1] = [ptr::null()];
    // SAFETY: all pointers are valid for the calls.
    unsafe {
        // Only fated gets the user's Ctrl-C.
        libc::setsid();
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        // The limits of guests and the engine's descriptors need the room.
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        // None may have a number that another one gets, nor its own number already: the exec would close it.
        let lowest = begin.moves.iter().map(|&(_, to)| to).min().unwrap_or(0);
        for (from, _) in begin.moves.iter_mut().filter(|(from, _)| *from >= lowest) {
            *from = libc::fcntl(*from, libc::F_DUPFD_CLOEXEC, lowest + 64);
        }
        let moved = begin.moves.iter().all(|&(from, to)| libc::dup2(from, to) == to);
        if let (true, Some(&(_, program))) = (moved, begin.moves.first()) {
            let path = c"".as_ptr();
            libc::syscall(libc::SYS_execveat, program, path, begin.argv.as_ptr(), env.as_ptr(), libc::AT_EMPTY_PATH);
        }
        (&raw mut begin.errno).write_volatile(*libc::__errno_location());
        libc::_exit(1)
    }
}
