#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod consider;
mod effects;
mod exit;
mod family;
mod group;
mod id;
mod index;
mod job;
mod lookup;
mod notify;
mod ptrace;
mod query;
mod report;
mod request;
mod scan;
mod table;
mod usage;
mod view;
mod wait;
mod waiters;

pub use effects::{Effects, Owner, Reparented, SignalSent, Target};
pub use family::{Family, ForkFlags, LookupKind};
pub use id::{Errno, PID_MAX, Pgid, Pid, Sid, Signal, Tid};
pub use ptrace::TraceStop;
pub use query::{TaskState, TraceInfo};
pub use report::{
    CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, CLD_TRAPPED, Event, ExitCode, Report, SigInfo,
    WaitOutcome,
};
pub use request::{
    __WALL, __WCLONE, __WNOTHREAD, P_ALL, P_PGID, P_PID, P_PIDFD, Pidfd, Selector, WCONTINUED, WEXITED, WNOHANG,
    WNOWAIT, WSTOPPED, WUNTRACED, WaitRequest,
};
pub use table::SigchldAction;
pub use usage::Usage;
