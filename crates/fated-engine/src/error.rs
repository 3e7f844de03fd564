//! Errors of a run on the engine's side.

use std::borrow::Cow;
use std::time::Duration;

use fated_kernel::errno::Errno;
use fated_kernel::id::Tid;
use fated_kernel::syscall::log::names;
use fated_kernel::time::timers::SECOND;

/// Why a run could not be started, or had to be given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program. A shell exits with 127.
    #[error("failed to run {program}: no such program; {hint}")]
    NotFound {
        /// The program as it was asked for.
        program: String,
        /// What to do.
        hint: String,
    },
    /// The program is there, but not what it names as its interpreter. A shell exits with 127, too.
    #[error("failed to run {program}: {why}")]
    NoInterpreter {
        /// The path of the program.
        program: String,
        /// What it names.
        why: String,
    },
    /// fated is a guest of fated.
    #[error("fated can't run inside of fated: run the program itself here, or start this fated outside")]
    Nested,
    /// The CPU that was asked for isn't fated's to use.
    #[error("failed to run on CPU {cpu}: {}; fated may use {allowed}: choose one of these with --cpu", in_words(*errno))]
    Cpu {
        /// Its number.
        cpu: usize,
        /// Linux's answer.
        errno: Errno,
        /// Those that it may use.
        allowed: String,
    },
    /// The program can't be executed. A shell exits with 126.
    #[error("failed to run {program}: {why}")]
    NotExecutable {
        /// The program as it was asked for, or the path where it was found.
        program: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Linux would kill the program while it loads it. A shell exits with 139.
    #[error(
        "failed to run {program}: its segments can't be loaded, and Linux kills such a program with SIGSEGV; the file is damaged"
    )]
    Lost {
        /// The program as it was asked for.
        program: String,
    },
    /// The working directory of the guest can't be entered.
    #[error("failed to enter {directory}: {}; choose another --cwd", in_words(*errno))]
    Directory {
        /// The directory as it was asked for.
        directory: String,
        /// Linux's answer.
        errno: Errno,
    },
    /// An argument or a variable contains a NUL.
    #[error("failed to pass {what} to the guest: it contains a NUL byte, which Linux can't pass")]
    Nul {
        /// The text that was to be passed.
        what: String,
    },
    /// A limit of fated's own process is too low for any run.
    #[error("failed to start a run: {why}; raise it where fated is started")]
    Limit {
        /// The limit.
        why: String,
    },
    /// Linux is too old.
    #[error("fated needs Linux 5.13 or newer, this is {major}.{minor}; run it on a newer kernel")]
    OldLinux {
        /// The version that was found.
        major: u32,
        /// The version that was found.
        minor: u32,
    },
    /// The engine isn't allowed to trace its own children.
    #[error(
        "failed to trace a child of fated: {}; ptrace is forbidden here. Look at /proc/sys/kernel/yama/ptrace_scope \
         (0 to 2 will do, 2 for root only), and start containers with --cap-add SYS_PTRACE or a seccomp profile that permits ptrace",
        in_words(*errno)
    )]
    NoPtrace {
        /// Linux's answer.
        errno: Errno,
    },
    /// A step of the start failed.
    #[error("failed to {step}: {}{remedy}", in_words(*errno))]
    Start {
        /// What the step does, in the infinitive.
        step: Cow<'static, str>,
        /// Linux's answer.
        errno: Errno,
        /// What the user can do, after a semicolon; may be empty.
        remedy: &'static str,
    },
    /// The engine inside the guest can't work on this machine.
    #[error("the engine inside the guest can't work here: {why}; run with --engine ptrace")]
    Unsuited {
        /// What the machine lacks.
        why: String,
    },
    /// A task uses processor time without a call, up to the limit.
    #[error(
        "{program} (pid {tid}) has run for {} s at {address:#x} without a system call; virtual time stands still meanwhile. \
         Give it longer with --spin-limit, or let its loop call sched_yield or nanosleep",
        limit.as_secs()
    )]
    Spins {
        /// The kernel's id of the task.
        tid: Tid,
        /// The path of the task's program.
        program: String,
        /// The address of its next instruction.
        address: u64,
        /// The limit.
        limit: Duration,
    },
    /// The run has taken too long.
    #[error("the run has taken longer than {:?} of real time (--timeout)", limit)]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The run has come to the end of its virtual time.
    #[error("the run has taken longer than {:?} of virtual time (--max-virtual-time)", limit)]
    Overran {
        /// The limit.
        limit: Duration,
    },
    /// The user ended the run.
    #[error("ended by signal {signal}")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// The kernel runs a task that the engine doesn't have.
    #[error("the kernel runs task {tid}, which the engine doesn't have; please report this")]
    NoTask {
        /// The kernel's id of the task, which is no task of the engine's.
        tid: Tid,
    },
}

impl Error {
    /// The reason why an engine can't work on this machine, where the other one may.
    #[must_use]
    pub fn of_machine(&self) -> Option<String> {
        match self {
            Error::Unsuited { why } => Some(why.clone()),
            Error::Start { step, errno, .. } => Some(format!("failed to {step}: {}", in_words(*errno))),
            _ => None,
        }
    }

    /// Whether the error ends a run that has begun.
    #[must_use]
    pub fn ends_a_run(&self) -> bool {
        matches!(
            self,
            Error::Spins { .. }
                | Error::Interrupted { .. }
                | Error::TimedOut { .. }
                | Error::Overran { .. }
                | Error::NoTask { .. }
        )
    }

    /// The exit status that a shell would return.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NotFound { .. } | Error::NoInterpreter { .. } => 127,
            Error::NotExecutable { .. } => 126,
            Error::Lost { .. } => 128 + 11,
            Error::Interrupted { signal } => 128_u8.saturating_add(u8::try_from(*signal).unwrap_or(0)),
            _ => 125,
        }
    }
}

/// The line for a task that computes, since a moment of virtual time as the log has it.
#[must_use]
pub fn computes(tid: impl std::fmt::Display, program: &str, since_ns: Option<u64>) -> String {
    let since =
        since_ns.map_or(String::new(), |ns| format!(", since {}.{:09} s of virtual time", ns / SECOND, ns % SECOND));
    format!(
        "{program} (pid {tid}) has run for {} s without a system call{since}; virtual time stands still meanwhile, and no timer expires",
        COMPUTES_AFTER.as_secs()
    )
}

/// After how much real time the user gets this line.
pub const COMPUTES_AFTER: Duration = Duration::from_secs(5);

/// An error number and what it means: `EINVAL (Invalid argument)`.
#[must_use]
pub fn in_words(errno: Errno) -> String {
    format!("{errno} ({})", names::error(errno.number()))
}

/// The error of a step of the start for which no remedy is known.
pub fn start(step: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Start { step: step.into(), errno, remedy: "" }
}
