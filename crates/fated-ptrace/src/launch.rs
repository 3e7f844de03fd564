//! The first program: what it starts with, and its way from fork to the exec.
//!
//! The child prepares itself, waits until it is traced, installs the filter that all guests inherit, and stops at a call. The
//! engine replaces this call by the exec that the kernel has planned, as it does for the execs of guests. The strings of the exec
//! are in the child's memory, which is a copy of fated's. The child reports a step that fails through a pipe.
//!
//! Invariant: between fork and exec, the child makes system calls only.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use fated_engine::{Descriptor, Error, Launch, Stream, signals, start};
use fated_kernel::errno::Errno;
use fated_kernel::process::exec::plan::Request;
use fated_kernel::process::exec::planner::{First, SHELL};
use fated_kernel::process::limits::real_descriptors;

use crate::filter::{self, STOPPING_CALL};
use crate::process::reap;
use crate::sys::{self, RealTid};
use crate::tracee::SECCOMP_STOP;

/// The soft limit of the stack. Linux places mappings by it.
const STACK_LIMIT: u64 = 8 << 20;
const OPTIONS: i32 =
    libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;

/// The steps of the child that can fail, in order, each with a remedy for the user.
const STEPS: [(&str, &str); 8] = [
    ("start a session for the guest", ""),
    (
        "switch address space randomization off",
        "; a container's seccomp profile may forbid it: permit personality(ADDR_NO_RANDOMIZE)",
    ),
    (
        "limit the guest's stack, core file and descriptors",
        "; raise the hard limits of the stack to 8 MiB (ulimit -Hs) and of descriptors to 256 (ulimit -Hn)",
    ),
    ("set up the guest's descriptors", ""),
    ("enter the guest's working directory", ""),
    ("make rdtsc trap", ""),
    ("give up new privileges", ""),
    (
        "install the system call filter",
        "; it needs a kernel with CONFIG_SECCOMP_FILTER, and in a container a profile that permits seccomp",
    ),
];
const CHDIR: usize = 4;

/// Strings, and the vector of pointers to them that execve(2) takes.
struct Strings {
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Strings {
    fn new(strings: Vec<CString>) -> Strings {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Strings { _strings: strings, pointers }
    }
}

/// The strings of the exec, for each of the candidates that the kernel may choose.
pub(crate) struct Texts {
    /// The paths to try. Each has the arguments for a shell, in case the file is a script without `#!`.
    candidates: Vec<(CString, Strings)>,
    argv: Strings,
    env: Strings,
}

impl Texts {
    fn new(launch: &Launch) -> Texts {
        let args = || launch.args.iter().map(|arg| c_string(arg.as_bytes()));
        let candidate = |path: Vec<u8>| {
            let path = c_string(&path);
            let shell = [c_string(SHELL), path.clone()].into_iter().chain(args()).collect();
            (path, Strings::new(shell))
        };
        Texts {
            candidates: launch.candidates().into_iter().map(candidate).collect(),
            argv: Strings::new(launch.words().map(|word| c_string(word.as_bytes())).collect()),
            env: Strings::new(launch.variables().iter().map(|variable| c_string(variable)).collect()),
        }
    }

    /// The execve(2) of the program that the kernel has found. Its addresses are in the child's memory.
    pub(crate) fn request(&self, first: &First) -> Request {
        let (path, shell) = &self.candidates[first.path];
        let (path, argv) = if first.by_shell { (shell.pointers[0], shell) } else { (path.as_ptr(), &self.argv) };
        let address = |strings: &Strings| strings.pointers.as_ptr().addr() as u64;
        let (argv, envp) = (address(argv), address(&self.env));
        Request { dirfd: libc::AT_FDCWD, path: path.addr() as u64, argv, envp, flags: 0, stands_for_name: false }
    }
}

/// What the child needs. It is made before the fork, since the child must not allocate.
struct Preparation {
    texts: Texts,
    cwd: Option<CString>,
    descriptors: Vec<Descriptor>,
    filter: Vec<libc::sock_filter>,
    go: OwnedFd,
    report: OwnedFd,
}

/// Converts a string without a NUL, as [`Launch::check`] has made sure.
fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_default()
}

impl Preparation {
    fn new(launch: &Launch, go: OwnedFd, report: OwnedFd) -> Preparation {
        Preparation {
            texts: Texts::new(launch),
            cwd: launch.cwd.as_ref().map(|cwd| c_string(cwd.as_os_str().as_bytes())),
            descriptors: launch.descriptors(),
            filter: filter::program(),
            go,
            report,
        }
    }

    /// Runs in the child. Makes system calls only.
    fn child(&self, parents_ends: [RawFd; 2]) -> ! {
        match self.prepare(parents_ends) {
            // SAFETY: Linux doesn't have this call; the engine replaces it by an execve(2).
            Ok(()) => unsafe {
                libc::syscall(STOPPING_CALL as i64);
            },
            Err((step, errno)) => {
                let bytes = [step as i32, errno].map(i32::to_le_bytes);
                let _ = sys::write(self.report.as_raw_fd(), bytes.as_flattened());
            }
        }
        // SAFETY: ends this process without running anything of the parent's.
        unsafe { libc::_exit(127) }
    }

    /// Brings the process into the state in which a guest starts. The error holds the number of the step.
    fn prepare(&self, parents_ends: [RawFd; 2]) -> Result<(), (usize, i32)> {
        let mut step = 0;
        let mut check = |result: i64| {
            let done = if result < 0 { Err((step, sys::last().number())) } else { Ok(()) };
            step += 1;
            done
        };
        // SAFETY: all of these are plain system calls on our own process with valid pointers; none of them allocates.
        unsafe {
            for fd in parents_ends {
                libc::close(fd);
            }
            default_signals();
            check(i64::from(libc::setsid()))?;
            check(i64::from(libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong)))?;
            check(limits())?;
            check(self.streams())?;
            check(self.cwd.as_ref().map_or(0, |cwd| i64::from(libc::chdir(cwd.as_ptr()))))?;
            let mut go = [0];
            if !self.keep_inherited() || sys::read(self.go.as_raw_fd(), &mut go) != Ok(1) {
                // The parent is gone or may not trace this process.
                libc::_exit(1);
            }
            check(i64::from(libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV, 0, 0, 0)))?;
            check(i64::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))?;
            let program = libc::sock_fprog { len: self.filter.len() as u16, filter: self.filter.as_ptr().cast_mut() };
            check(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program))
        }
    }

    /// Sets up the descriptors. A standard stream that is closed becomes `/dev/null`.
    fn streams(&self) -> i64 {
        for &Descriptor { fd, file, .. } in &self.descriptors {
            // SAFETY: plain system calls on descriptors of this process.
            let result = unsafe {
                if file == Stream::Inherited && (fd > 2 || libc::fcntl(fd, libc::F_GETFD) >= 0) {
                    continue;
                }
                let file = if file == Stream::Pipe {
                    let mut ends = [-1; 2];
                    libc::pipe(ends.as_mut_ptr());
                    let [read, write] = ends;
                    let (own, other) = if fd == 0 { (read, write) } else { (write, read) };
                    libc::close(other);
                    own
                } else {
                    libc::open(c"/dev/null".as_ptr(), libc::O_RDWR)
                };
                // The lowest free descriptor may already be the right one.
                if file == fd || file < 0 { file } else { libc::dup2(file, fd) }
            };
            if result < 0 {
                return -1;
            }
        }
        0
    }

    /// Lets the exec close all but the guest's descriptors.
    fn keep_inherited(&self) -> bool {
        let mut first = 3;
        let inherited = self.descriptors.iter().map(|it| it.fd.cast_unsigned()).filter(|&fd| fd > 2);
        for end in inherited.chain([libc::c_uint::MAX]) {
            // SAFETY: takes numbers.
            let done =
                first >= end || unsafe { libc::close_range(first, end - 1, libc::CLOSE_RANGE_CLOEXEC as i32) } == 0;
            if !done {
                return false;
            }
            first = end.saturating_add(1);
        }
        true
    }
}

/// Unblocks all signals and gives them their default actions.
fn default_signals() {
    // SAFETY: all bytes zero are a valid action (the default one) and a valid, empty mask. SIGKILL and SIGSTOP can't be changed and
    // have their default actions.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        for signal in 1..=64 {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let none: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

fn limits() -> i64 {
    let mut stack = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are valid for the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_STACK, &raw mut stack) < 0 {
            return -1;
        }
        stack.rlim_cur = STACK_LIMIT.min(stack.rlim_max);
        if libc::setrlimit(libc::RLIMIT_STACK, &raw const stack) < 0 {
            return -1;
        }
        // Linux assigns the numbers of the guest's descriptors, so it needs the guest's limit.
        let mut descriptors = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut descriptors) < 0 {
            return -1;
        }
        descriptors.rlim_cur = real_descriptors(descriptors.rlim_max);
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const descriptors) < 0 {
            return -1;
        }
        i64::from(libc::setrlimit(libc::RLIMIT_CORE, &raw const none))
    }
}

/// Starts the child. Returns when it is stopped at the call that the exec replaces.
pub(crate) fn start_child(launch: &Launch) -> Result<(RealTid, Texts), Error> {
    launch.check()?;
    let pipe = || sys::pipe().map_err(start("make a pipe to the first guest"));
    let ((go_read, go_write), (report_read, report_write)) = (pipe()?, pipe()?);
    let highest = launch.inherited.iter().map(|it| it.fd).max();
    let above = |own: OwnedFd| match highest {
        // The child puts other files at the numbers that the guest has.
        Some(highest) => sys::move_above(own, highest).map_err(start("make a pipe to the first guest")),
        None => Ok(own),
    };
    let (go_read, report_write) = (above(go_read)?, above(report_write)?);
    let preparation = Preparation::new(launch, go_read, report_write);
    // SAFETY: the child makes system calls only, as a fork of a process with several threads has to.
    let tid = match unsafe { libc::fork() } {
        -1 => {
            let remedy = "; if it is EAGAIN, raise the limit on processes (ulimit -u)";
            return Err(Error::Start { step: "fork the first guest".into(), errno: sys::last(), remedy });
        }
        0 => preparation.child([go_write.as_raw_fd(), report_read.as_raw_fd()]),
        tid => tid,
    };
    let Preparation { texts, .. } = preparation;
    let given_up = |error| {
        let _ = sys::kill(tid, libc::SIGKILL);
        reap(tid);
        error
    };
    if let Err(errno) = sys::ptrace(libc::PTRACE_SEIZE, tid, 0, OPTIONS as u64) {
        let refused = given_up(Error::NoPtrace { errno });
        // A child that failed early has exited, so that it can't be traced.
        return Err(reported(launch, &report_read).unwrap_or(refused));
    }
    sys::write(go_write.as_raw_fd(), &[1]).map_err(start("release the first guest")).map_err(given_up)?;
    loop {
        let status = wait_for_child(tid).map_err(start("wait for the first guest"))?;
        if !libc::WIFSTOPPED(status) {
            let killed = || start("start the first guest (it was killed)")(Errno::ESRCH);
            return Err(reported(launch, &report_read).unwrap_or_else(killed));
        }
        if status >> 8 == SECCOMP_STOP {
            return Ok((tid, texts));
        }
        sys::cont(tid).map_err(start("run the first guest")).map_err(given_up)?;
    }
}

/// Waits for a change of the child. Kills it if the user ends the run.
fn wait_for_child(tid: RealTid) -> sys::Os<i32> {
    loop {
        match sys::wait(tid) {
            Err(Errno::EINTR) if signals::fatal().is_some() => {
                // It fails if the child has exited.
                let _ = sys::kill(tid, libc::SIGKILL);
            }
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Reads the child's report.
fn reported(launch: &Launch, report: &OwnedFd) -> Option<Error> {
    let mut bytes = [0; 8];
    if sys::read(report.as_raw_fd(), &mut bytes) != Ok(8) {
        return None;
    }
    let [at, errno] = [0, 4].map(|at| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let errno = Errno::from_number(errno);
    Some(match at as usize {
        CHDIR => launch.not_entered(errno),
        at => match STEPS.get(at) {
            Some(&(step, remedy)) => Error::Start { step: step.into(), errno, remedy },
            None => start("start the first guest")(errno),
        },
    })
}
