//! System calls: decode, act, encode. [`dispatch`] takes them in, `handlers` says who carries them out, and there is a file for each group
//! of calls. A call's file decodes arguments and encodes results; what the call does stands in the subsystem that it is about.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::{Outcome, Step, SysResult};
use core::future::Future;

pub mod change;
pub mod clone;
mod cmsg;
pub mod copy;
pub mod directory;
pub mod dispatch;
pub mod epoll;
pub mod eventfd;
pub mod exec;
pub mod exit;
pub mod fd;
pub mod futex;
mod handlers;
pub mod id;
pub mod info;
pub mod ioprio;
pub mod lock;
pub mod log;
pub mod mm;
pub mod open;
pub mod path;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod resource;
pub mod rw;
pub mod sched;
pub mod signal;
pub mod signalfd;
pub mod socket;
pub mod sockopt;
pub mod stat;
pub mod table;
pub mod time;
pub mod timer;
pub mod timerfd;
pub mod wait;

/// The six arguments.
pub type Args = [u64; 6];

/// A call that is over.
#[inline]
fn now(result: Result<impl Into<Outcome>, Errno>) -> Step {
    result.into()
}

/// A call that may wait.
fn later(cx: &Cx, future: impl Future<Output = SysResult> + 'static) -> Step {
    cx.later(future)
}
