//! The one place that takes system calls in: counts them, lets their handler begin, goes on with those that waited, and ends them.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::{Outcome, Step, SysResult, Waiting};
use crate::record::{Ended, What};
use crate::syscall::handlers::handler;
use crate::syscall::{log, table, timer};
use core::task::{Context, Poll, Waker};

impl Cx {
    /// A call of the task whose turn it is, which returns straight to guest code if it can: `Some` is what the guest then finds in
    /// `rax`. Nothing else of its registers has changed, and there was nothing for [`Kernel::next`] to decide.
    ///
    /// `None`: the call has been taken in as by [`Kernel::stopped`], and `next` says how the run goes on.
    ///
    /// [`Kernel::next`]: crate::host::Kernel::next
    /// [`Kernel::stopped`]: crate::host::Kernel::stopped
    #[must_use]
    pub fn answer(&self, call: Call) -> Option<u64> {
        let (kernel, task) = (&self.kernel, &self.task);
        if table::is_free(call.number) {
            return self.answer_free(&call);
        }
        let step = begin(self, &call);
        // Of most calls nothing more is to be said.
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
    fn answer_free(&self, call: &Call) -> Option<u64> {
        let value = free(self, call)?;
        self.conclude(value)
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

/// A task has made a call. `Some`: it is over, and returns this value.
pub(crate) fn enter(cx: &Cx, call: &Call) -> Option<u64> {
    if table::is_free(call.number) {
        return free(cx, call);
    }
    let step = begin(cx, call);
    end(cx, call, step)
}

/// Counts a call and its time, and takes the first look at it.
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

/// A timer has just killed the process of the task.
#[cold]
fn killed() -> Step {
    Step::Away
}

#[cold]
fn begin_watched(cx: &Cx, call: &Call) {
    if cx.kernel.config.log {
        note_arguments(cx, call);
    }
    timer::cpu_spent(cx);
}

/// What has become of a call at its first look.
fn end(cx: &Cx, call: &Call, step: Step) -> Option<u64> {
    let result = match step {
        Step::Value(value) if !cx.kernel.config.log && !cx.task.is_gone() => return Some(value),
        Step::Pass => return pass(cx, call),
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

/// A call that only a log tells of: nothing else of the run may depend on it.
fn free(cx: &Cx, call: &Call) -> Option<u64> {
    cx.task.passing.set(true);
    if !cx.kernel.config.log {
        return Some(cx.task.guest.native(*call) as u64);
    }
    cx.kernel.stats.count(call.number);
    note_arguments(cx, call);
    cx.task.call.set(*call);
    finish(cx, Ok(Outcome::Pass))
}

/// Goes on with a call as far as it goes now. `Some`: it is over, and returns this value.
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

/// The real Linux carries out a call as it stands. If the task runs straight on, that may be when it does.
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

/// What has become of a call. `Some`: it returns this value.
fn finish(cx: &Cx, result: SysResult) -> Option<u64> {
    let task = &cx.task;
    let result = match result {
        _ if task.is_gone() => Ok(Outcome::Away),
        Ok(Outcome::Pass) => {
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
        Ok(Outcome::Pass | Outcome::Resume | Outcome::Away) => None,
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

/// Tells the log of the call that the task is in, if that hasn't been done.
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
