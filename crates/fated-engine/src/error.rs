//! What can go wrong with a run on the engine's side.

use std::borrow::Cow;
use std::time::Duration;

use fated_kernel::errno::Errno;
use fated_kernel::id::Tid;

/// Why a run could not be started, or had to be given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A shell ends with 127 here.
    #[error("failed to run {program}: no such program; name one that exists, or set PATH with --env")]
    NotFound {
        /// The program as it was asked for.
        program: String,
    },
    /// A shell ends with 126 here.
    #[error("failed to run {program}: {why}")]
    NotExecutable {
        /// The program as it was asked for, or the path where it was found.
        program: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The guest would run in a directory that can't be entered.
    #[error("failed to enter {directory}: {errno}; choose another --cwd")]
    Directory {
        /// The directory as it was asked for.
        directory: String,
        /// Linux's answer.
        errno: Errno,
    },
    /// An argument or a variable holds a NUL.
    #[error("failed to pass {what} to the guest: it holds a NUL byte; Linux has no way to pass that")]
    Nul {
        /// What was to be passed.
        what: String,
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
        "failed to trace a child of fated: {errno}; ptrace is forbidden here. Look at /proc/sys/kernel/yama/ptrace_scope \
         (0 to 2 will do, 2 for root only), and start containers with --cap-add SYS_PTRACE or a seccomp profile that permits ptrace"
    )]
    NoPtrace {
        /// Linux's answer.
        errno: Errno,
    },
    /// A step of the start failed.
    #[error("failed to {step}: {errno}{remedy}")]
    Start {
        /// What the step was to do.
        step: Cow<'static, str>,
        /// Linux's answer.
        errno: Errno,
        /// What to do about it, behind a semicolon; may be empty.
        remedy: &'static str,
    },
    /// The engine inside the guest can't work on this machine.
    #[error("the engine inside the guest can't work here: {why}; run with --engine ptrace")]
    Unsuited {
        /// What it lacks.
        why: String,
    },
    /// A task burns time without a call.
    #[error(
        "{program} (pid {tid}) has run for {} s at {address:#x} without a system call; its time can't pass meanwhile. \
         Give it longer with --spin-limit, or let its loop call sched_yield or nanosleep",
        limit.as_secs()
    )]
    Spins {
        /// The id that the kernel gave the task.
        tid: Tid,
        /// The path of its program.
        program: String,
        /// Where it is.
        address: u64,
        /// The limit that it has reached.
        limit: Duration,
    },
    /// The user ended the run.
    #[error("ended by signal {signal}")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// The kernel asked for something that isn't there.
    #[error("the kernel runs task {tid}, which the engine doesn't have; please report this")]
    NoTask {
        /// The id that the kernel gave.
        tid: Tid,
    },
}

impl Error {
    /// Why an engine can't work on this machine, where another one may.
    #[must_use]
    pub fn of_machine(&self) -> Option<String> {
        match self {
            Error::Unsuited { why } => Some(why.clone()),
            Error::Start { step, errno, .. } => Some(format!("failed to {step}: {errno}")),
            _ => None,
        }
    }

    /// Whether it ends a run that had begun.
    #[must_use]
    pub fn ends_a_run(&self) -> bool {
        matches!(self, Error::Spins { .. } | Error::Interrupted { .. } | Error::NoTask { .. })
    }

    /// The exit status that a shell would give.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NotFound { .. } => 127,
            Error::NotExecutable { .. } => 126,
            Error::Interrupted { signal } => 128_u8.saturating_add(u8::try_from(*signal).unwrap_or(0)),
            _ => 125,
        }
    }
}

/// The error of a step of the start that has no remedy of its own.
pub fn start(step: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Start { step: step.into(), errno, remedy: "" }
}
