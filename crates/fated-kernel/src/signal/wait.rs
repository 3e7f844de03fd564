//! What a task does about its own signals: actions, and waiting for signals.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::sched::Woken;
use crate::signal::{Action, SA_NOCLDSTOP, SA_NOCLDWAIT, SigInfo, SigSet, nr};
use fated_wait::SigchldAction;

/// Sets the action for a signal; returns the one before. A signal that is ignored from now on is no longer pending, and what happens
/// to children depends on the action for SIGCHLD.
pub fn set_action(cx: &Cx, signal: i32, action: Action) -> Action {
    let process = cx.process();
    let actions = cx.task.actions.borrow().clone();
    let old = actions.borrow_mut().set(signal, action);
    if actions.borrow().ignores(signal) {
        let one = SigSet::of(&[signal]);
        process.pending.remove(one);
        process.tasks.borrow().iter().for_each(|task| task.pending.remove(one));
    }
    if signal == nr::CHLD {
        let sigchld = SigchldAction {
            ignore: action.handler == 1,
            no_wait: action.flags & SA_NOCLDWAIT != 0,
            no_stop: action.flags & SA_NOCLDSTOP != 0,
        };
        // The caller's process exists.
        let _ = cx.kernel.family.borrow_mut().set_sigchld(process.pid, sigchld);
    }
    old
}

/// Sleeps until a handler has run or the process ends.
pub async fn pause(cx: &Cx) -> Errno {
    while cx.sleep(&[], None).await != Woken::Signal {}
    Errno::ERESTARTNOHAND
}

/// Sleeps with another mask, which lasts until a handler runs.
pub async fn suspend(cx: &Cx, mask: SigSet) -> Errno {
    cx.task.saved_mask.set(Some(cx.task.mask.get()));
    cx.task.set_mask(mask);
    pause(cx).await
}

/// Takes one of the signals in `wanted`, blocked ones included; waits for one until the deadline.
pub async fn take(cx: &Cx, wanted: SigSet, deadline: Option<u64>) -> Result<SigInfo, Errno> {
    loop {
        if let Some(info) = cx.take_signal(wanted) {
            return Ok(info);
        }
        cx.task.sigwait.set(wanted);
        let woken = cx.sleep(&[], deadline).await;
        cx.task.sigwait.set(SigSet::EMPTY);
        match woken {
            Woken::Timeout => return cx.take_signal(wanted).ok_or(Errno::EAGAIN),
            // One of those waited for, or another one that has a handler.
            Woken::Signal => return cx.take_signal(wanted).ok_or(Errno::EINTR),
            Woken::Event => {}
        }
    }
}
