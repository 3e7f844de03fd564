//! Whether one task answers a wait: Linux's rules (kernel/exit.c, `wait_consider_task` and what it calls), shared
//! by every way of looking tasks up.

use crate::id::{Signal, Tid};
use crate::report::Event;
use crate::request::{__WALL, __WCLONE, Selector, WCONTINUED, WEXITED, WSTOPPED, WaitRequest};
use crate::table::{Life, Run, Slot, Table};

/// The list of the caller through which a task is considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Child,
    Tracee,
}

/// The result of considering one task, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Something to report.
    Found(Slot, Event),
    /// Nothing to report now, but there may be later.
    Hope,
    /// Nothing to report, now or later.
    Nothing,
}

pub(crate) fn consider(table: &Table, request: &WaitRequest, side: Side, slot: Slot) -> Answer {
    let (task, group) = (table.task(slot), table.group(slot));
    if task.life == Life::Dead || !selects(table, request.selector, slot) {
        return Answer::Nothing;
    }
    let clone = group.exit_signal != Some(Signal::SIGCHLD);
    if side == Side::Child && !request.has(__WALL) && clone != request.has(__WCLONE) {
        return Answer::Nothing;
    }
    // A child that its own parent traces is considered as a tracee only, so that no stop is reported twice.
    let as_tracee = side == Side::Tracee || (task.trace.is_some() && !table.traced_by_other(slot));
    let mut hope = true;
    if task.life == Life::Zombie {
        let delayed = table.leads(slot) && !table.lone_leader(slot);
        if !delayed && (as_tracee || task.trace.is_none()) {
            return match request.has(WEXITED) {
                true => Answer::Found(slot, Event::Exited(group.exit.unwrap_or(task.exit_code))),
                false => Answer::Nothing,
            };
        }
        // A dead tracee doesn't stop again, but its process may still continue or be reaped.
        hope = !as_tracee || request.options & (WEXITED | WCONTINUED) != 0;
    }
    let trapped = task.run == Run::Trapped && !task.job.listening && task.trap_code != 0;
    if as_tracee && trapped {
        return Answer::Found(slot, Event::Trapped(task.trap_code));
    }
    if !as_tracee
        && request.has(WSTOPPED)
        && group.stopped
        && let Some(signal) = group.stop_signal
    {
        return Answer::Found(slot, Event::Stopped(signal));
    }
    if request.has(WCONTINUED) && group.continued {
        return Answer::Found(slot, Event::Continued);
    }
    match hope {
        true => Answer::Hope,
        false => Answer::Nothing,
    }
}

fn selects(table: &Table, selector: Selector, slot: Slot) -> bool {
    match selector {
        Selector::Any => true,
        Selector::Task(tid) => table.task(slot).tid == tid,
        Selector::Group(pgid) => table.group(slot).pgid == pgid,
        Selector::Nothing => false,
    }
}

/// Considers one pid: as a child if it leads a process, then as a tracee.
pub(crate) fn consider_pid(table: &Table, request: &WaitRequest, tid: Tid, is_mine: impl Fn(Slot) -> bool) -> Answer {
    let Some(slot) = table.find(tid) else { return Answer::Nothing };
    let mut answer = Answer::Nothing;
    if table.leads(slot) && is_mine(table.group(slot).parent) {
        answer = consider(table, request, Side::Child, slot);
    }
    match (answer, table.task(slot).trace) {
        (Answer::Hope | Answer::Nothing, Some(trace)) if is_mine(trace.tracer) => {
            match consider(table, request, Side::Tracee, slot) {
                Answer::Nothing => answer,
                better => better,
            }
        }
        _ => answer,
    }
}
