//! How system calls end, and how those go on that wait.

use crate::errno::Errno;
use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;

/// How a call ends that doesn't fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this value.
    Value(u64),
    /// The real Linux carries it out as it stands; it doesn't block and its result needs no mending.
    Pass,
    /// The registers are what they shall be: sigreturn, exec.
    Resume,
    /// The task has ended.
    Away,
}

impl From<u64> for Outcome {
    fn from(value: u64) -> Outcome {
        Outcome::Value(value)
    }
}

/// What a call comes to.
pub type SysResult = Result<Outcome, Errno>;

/// A call that may wait.
pub type Waiting = Pin<Box<dyn Future<Output = SysResult>>>;

/// A call after its first look. Flat, so that it comes back in two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is over, as [`Outcome::Value`].
    Value(u64),
    /// It has failed.
    Failed(Errno),
    /// See [`Outcome::Pass`].
    Pass,
    /// See [`Outcome::Resume`].
    Resume,
    /// See [`Outcome::Away`].
    Away,
    /// It may wait: [`Task::work`](crate::process::task::Task) says how it goes on, and hasn't been asked yet.
    Later,
}
