//! How system calls end, and what a call is while it waits. Subsystems return these; only the dispatcher acts on them.

use crate::errno::Errno;
use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;

/// How a successful call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this value.
    Value(u64),
    /// The real Linux carries it out as it stands. It must be a call that doesn't block, and whose result is the same in every run.
    Pass,
    /// The same, of a call that makes a descriptor, with its close-on-exec flag: the kernel enters that.
    Open {
        /// Closed by exec.
        cloexec: bool,
    },
    /// The registers are set already: sigreturn, exec.
    Resume,
    /// The task has ended.
    Away,
}

impl From<u64> for Outcome {
    fn from(value: u64) -> Outcome {
        Outcome::Value(value)
    }
}

/// The result of a call.
pub type SysResult = Result<Outcome, Errno>;

/// A call that waits: polled again when the task wakes.
pub type Waiting = Pin<Box<dyn Future<Output = SysResult>>>;

/// What a handler returns. Flat, so that it fits into two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// See [`Outcome::Value`].
    Value(u64),
    /// It has failed.
    Failed(Errno),
    /// See [`Outcome::Pass`].
    Pass,
    /// See [`Outcome::Open`].
    Open {
        /// Closed by exec.
        cloexec: bool,
    },
    /// See [`Outcome::Resume`].
    Resume,
    /// See [`Outcome::Away`].
    Away,
    /// The call may wait: its future is in [`Task::work`](crate::process::task::Task) and has not been polled yet.
    Later,
}

impl<T: Into<Outcome>> From<Result<T, Errno>> for Step {
    #[inline]
    fn from(result: Result<T, Errno>) -> Step {
        match result.map(Into::into) {
            Ok(Outcome::Value(value)) => Step::Value(value),
            Ok(Outcome::Pass) => Step::Pass,
            Ok(Outcome::Open { cloexec }) => Step::Open { cloexec },
            Ok(Outcome::Resume) => Step::Resume,
            Ok(Outcome::Away) => Step::Away,
            Err(error) => Step::Failed(error),
        }
    }
}
