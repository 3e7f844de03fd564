//! What one task shows through one list, independent of the waiter: the rules of [`consider`](crate::consider) inverted,
//! so that the result can be stored rather than computed for each wait.

use crate::consider::Side;
use crate::id::{Pgid, Signal};
use crate::request::{__WALL, __WCLONE, WCONTINUED, WEXITED, WSTOPPED, WaitRequest};
use crate::table::{Life, NONE, Run, Slot, Table};

/// Kinds of event, as bits.
pub(crate) mod kind {
    pub const EXITED: u8 = 1;
    pub const TRAPPED: u8 = 2;
    pub const STOPPED: u8 = 4;
    pub const CONTINUED: u8 = 8;
}

/// Which waits see a task: those without __WCLONE, those with it, or, if it is a tracee, all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Plain,
    Clone,
    Tracee,
}

/// Whether there is an event to wait for, now or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hope {
    Never,
    /// Only for waits with WEXITED or WCONTINUED.
    Late,
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Process and thread that may wait for it.
    pub group: u32,
    pub thread: u64,
    pub pgid: Pgid,
    pub class: Class,
    pub kinds: u8,
    pub hope: Hope,
    pub side: Side,
    /// Place in the list of the thread, ascending.
    pub place: u64,
}

impl View {
    /// The task as a child of its parent.
    pub fn child(table: &Table, slot: Slot) -> Option<Self> {
        let group = table.group(slot);
        if !table.leads(slot) || group.parent == NONE {
            return None;
        }
        let traced = table.task(slot).trace.is_some();
        let own = traced && !table.traced_by_other(slot);
        let class = if group.exit_signal == Some(Signal::SIGCHLD) { Class::Plain } else { Class::Clone };
        Self::new(table, slot, Side::Child, class, group.parent, group.child_seq, own, own || !traced)
    }

    /// The task as a tracee of its tracer. The most recently attached comes first.
    pub fn tracee(table: &Table, slot: Slot) -> Option<Self> {
        let task = table.task(slot);
        let tracer = task.trace?.tracer;
        Self::new(table, slot, Side::Tracee, Class::Tracee, tracer, !task.trace_seq, true, true)
    }

    #[expect(clippy::too_many_arguments, reason = "the two views differ in all of these")]
    fn new(
        table: &Table,
        slot: Slot,
        side: Side,
        class: Class,
        owner: Slot,
        place: u64,
        as_tracee: bool,
        reaps: bool,
    ) -> Option<Self> {
        let (task, group) = (table.task(slot), table.group(slot));
        let delayed = table.leads(slot) && !table.lone_leader(slot);
        let (kinds, hope) = match task.life {
            Life::Dead => return None,
            Life::Zombie if reaps && !delayed => (kind::EXITED, Hope::Never),
            Life::Zombie if as_tracee => (Self::kinds(table, slot, as_tracee), Hope::Late),
            _ => (Self::kinds(table, slot, as_tracee), Hope::Always),
        };
        let (thread, owner) = (table.task(owner).order, table.task(owner).group);
        Some(Self { group: owner, thread, pgid: group.pgid, class, kinds, hope, side, place })
    }

    fn kinds(table: &Table, slot: Slot, as_tracee: bool) -> u8 {
        let (task, group) = (table.task(slot), table.group(slot));
        let trapped = as_tracee && task.run == Run::Trapped && !task.job.listening && task.trap_code != 0;
        let stopped = !as_tracee && group.stopped && group.stop_signal.is_some();
        let bit = |holds: bool, kind: u8| if holds { kind } else { 0 };
        bit(trapped, kind::TRAPPED) | bit(stopped, kind::STOPPED) | bit(group.continued, kind::CONTINUED)
    }
}

/// The kinds of event that a request accepts.
pub(crate) fn kinds_for(request: &WaitRequest) -> u8 {
    let bit = |option: u32, kind: u8| if request.has(option) { kind } else { 0 };
    kind::TRAPPED | bit(WEXITED, kind::EXITED) | bit(WSTOPPED, kind::STOPPED) | bit(WCONTINUED, kind::CONTINUED)
}

/// The classes that a request sees.
pub(crate) fn classes_for(request: &WaitRequest) -> &'static [Class] {
    match (request.has(__WALL), request.has(__WCLONE)) {
        (true, _) => &[Class::Tracee, Class::Plain, Class::Clone],
        (false, false) => &[Class::Tracee, Class::Plain],
        (false, true) => &[Class::Tracee, Class::Clone],
    }
}
