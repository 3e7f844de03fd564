//! exit(2) and exit_group(2). What they do is in [`crate::process::exit`].

use crate::cx::Cx;
use crate::outcome::{Outcome, SysResult};
use crate::process::family::ExitCode;
use crate::syscall::Args;
use crate::syscall::dispatch::tell_log;

pub fn exit(cx: &Cx, a: Args) -> SysResult {
    // In the log, the call stands before its consequences.
    tell_log(cx, Ok(Outcome::Away));
    cx.kernel.exit_task(&cx.task, ExitCode::exited(a[0] as i32));
    Ok(Outcome::Away)
}

pub fn exit_group(cx: &Cx, a: Args) -> SysResult {
    tell_log(cx, Ok(Outcome::Away));
    cx.kernel.exit_group(cx.process(), ExitCode::exited(a[0] as i32));
    Ok(Outcome::Away)
}
