//! One line of the log of calls.

use crate::arch::Call;
use crate::errno::Errno;
use crate::id::{Pid, Tid};
use alloc::{string::String, vec::Vec};

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned a value.
    Value(u64),
    /// It failed.
    Failed(Errno),
    /// It doesn't return: exit, exit_group, a successful exec or sigreturn, or the task died in it.
    Away,
}

/// A call that has ended, or an event between calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A system call with its decoded arguments, as strace(1) would print them.
    Call {
        /// The raw call.
        call: Call,
        /// Each argument decoded.
        args: Vec<String>,
        /// Its result.
        ended: Ended,
    },
    /// A signal was delivered.
    Signal {
        /// Its number.
        signal: i32,
        /// `si_code`.
        code: i32,
    },
    /// The task ended with this wait status.
    Exit {
        /// As wait(2) encodes it.
        status: i32,
    },
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Virtual time when it ended, in nanoseconds since 1970.
    pub time_ns: u64,
    /// The process.
    pub pid: Pid,
    /// The task.
    pub tid: Tid,
    /// What happened.
    pub what: What,
}
