//! The one way in and out of system calls. A call is counted and charged its virtual time, its handler begins it, and it ends at once or
//! becomes a future that the task keeps (`go_on`).
//!
//! Invariants: a task is in at most one call. A call is in the log before what it does, and its result follows when it returns.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::{Outcome, Step, SysResult, Waiting};
use crate::record::{Ended, What};
use crate::syscall::handlers::handler;
use crate::syscall::log;
use crate::time::cpu;
use core::task::{Context, Poll, Waker};

impl Cx {
    /// The fast path of a call by the running task. `Some` is the result for `rax`: no other register has changed, and the task runs
    /// on without asking [`Kernel::run_until`].
    ///
    /// `None`: the call was handled as by [`Kernel::stopped`], and `next` decides how the run goes on.
    ///
    /// [`Kernel::run_until`]: crate::host::Kernel::run_until
    /// [`Kernel::stopped`]: crate::host::Kernel::stopped
    #[must_use]
    pub fn answer(&self, call: Call) -> Option<u64> {
        let (kernel, task) = (&self.kernel, &self.task);
        let step = begin(self, &call);
        // Most calls end here.
        if let Step::Value(value) = step
            && !kernel.is_watched()
            && task.is_undisturbed()
            && kernel.scheduler.stays_in_slice(task)
        {
            return Some(value);
        }
        self.answer_at_length(&call, step)
    }

    #[cold]
    fn answer_at_length(&self, call: &Call, step: Step) -> Option<u64> {
        let value = end(self, call, step)?;
        self.conclude(value)
    }

    fn conclude(&self, value: u64) -> Option<u64> {
        if self.task.passing.take() || self.kernel.runs_on(&self.task) {
            return Some(value);
        }
        self.task.guest.set_result(value);
        None
    }
}

/// Handles a call that a task has made. `Some`: it has ended and returns this value.
pub(crate) fn enter(cx: &Cx, call: &Call) -> Option<u64> {
    let step = begin(cx, call);
    end(cx, call, step)
}

/// Counts a call, charges its virtual time, and lets its handler begin it.
#[inline(always)]
fn begin(cx: &Cx, call: &Call) -> Step {
    let (kernel, task) = (&cx.kernel, &cx.task);
    let cost = kernel.config.call_cost_ns;
    kernel.stats.count(call.number);
    task.cpu_ns.set(task.cpu_ns.get() + cost);
    if kernel.is_watched() {
        begin_watched(cx, call);
    }
    kernel.pass_time(cost);
    if task.is_gone() {
        return killed();
    }
    handler(call.number as u32)(cx, call)
}

/// The end of a call whose process a timer has just killed.
#[cold]
fn killed() -> Step {
    Step::Away
}

#[cold]
fn begin_watched(cx: &Cx, call: &Call) {
    if cx.kernel.config.log {
        note_arguments(cx, call);
    }
    cpu::time_spent(cx);
}

/// Ends a call that its handler has begun, or starts to wait for it. `Some`: it returns this value.
fn end(cx: &Cx, call: &Call, step: Step) -> Option<u64> {
    let result = match step {
        Step::Value(value) if !cx.kernel.config.log && !cx.task.is_gone() => return Some(value),
        Step::Pass => return pass(cx, call),
        Step::Open { cloexec } => return pass_open(cx, call, cloexec),
        Step::Value(value) => Ok(Outcome::Value(value)),
        Step::Failed(error) => Err(error),
        Step::Resume => Ok(Outcome::Resume),
        Step::Away => Ok(Outcome::Away),
        Step::Later => {
            cx.task.call.set(*call);
            return go_on(cx, cx.task.work.take()?);
        }
    };
    cx.task.call.set(*call);
    finish(cx, result)
}

/// Polls a call that waits. `Some`: it has ended and returns this value.
pub(crate) fn go_on(cx: &Cx, mut work: Waiting) -> Option<u64> {
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => {
            drop(work);
            finish(cx, result)
        }
        Poll::Pending => {
            if !cx.task.is_gone() {
                *cx.task.work.borrow_mut() = Some(work);
            }
            None
        }
    }
}

/// Lets the real Linux carry out a call as it stands. If the task runs straight on, an engine may do so when it resumes the task.
fn pass(cx: &Cx, call: &Call) -> Option<u64> {
    let task = &cx.task;
    task.passing.set(cx.kernel.runs_on(task));
    if task.passing.get() && !cx.kernel.config.log {
        cx.kernel.stats.native();
        return task.guest.pass(*call).map(|result| result as u64);
    }
    task.call.set(*call);
    finish(cx, Ok(Outcome::Pass))
}

/// The same for a call that makes a descriptor, which is entered. If an engine doesn't report the result, its number is settled later.
fn pass_open(cx: &Cx, call: &Call, cloexec: bool) -> Option<u64> {
    let result = pass(cx, call);
    match result {
        Some(value) if Errno::of_return(value as i64).is_none() => cx.enter_host(value as i32, cloexec),
        Some(_) => {}
        None => cx.enter_passed(cloexec),
    }
    result
}

/// Ends a call with its result. `Some`: it returns this value.
fn finish(cx: &Cx, result: SysResult) -> Option<u64> {
    let task = &cx.task;
    let result = match result {
        _ if task.is_gone() => Ok(Outcome::Away),
        Ok(Outcome::Pass | Outcome::Open { .. }) => {
            let call = task.call.get();
            cx.native(call.number, call.args).map(Outcome::Value)
        }
        result => result,
    };
    if cx.kernel.config.log {
        tell_log(cx, result);
    }
    match result {
        Ok(Outcome::Value(value)) => Some(value),
        Ok(Outcome::Pass | Outcome::Open { .. } | Outcome::Resume | Outcome::Away) => None,
        Err(
            error @ (Errno::ERESTARTSYS | Errno::ERESTARTNOINTR | Errno::ERESTARTNOHAND | Errno::ERESTART_RESTARTBLOCK),
        ) => {
            task.interrupted.set(Some(error));
            Some(-i64::from(Errno::EINTR.number()) as u64)
        }
        Err(error) => Some(-i64::from(error.number()) as u64),
    }
}

#[cold]
fn note_arguments(cx: &Cx, call: &Call) {
    *cx.task.logged.borrow_mut() = Some((*call, log::arguments(cx, *call)));
}

/// Writes the call that the task is in to the log, unless that was done before.
#[cold]
pub(crate) fn tell_log(cx: &Cx, result: SysResult) {
    let Some((call, mut args)) = cx.task.logged.take() else { return };
    let ended = match result {
        Ok(Outcome::Value(value)) => {
            log::add_results(cx, call, value, &mut args);
            Ended::Value(value)
        }
        Ok(_) => Ended::Away,
        Err(error) => Ended::Failed(error),
    };
    cx.kernel.record(&cx.task, What::Call { call, args, ended });
}
