//! How a wait finds the task that answers it, and a change the waiters it answers: one contract, two ways.

use crate::consider::Answer;
use crate::request::WaitRequest;
use crate::table::{Slot, Table};
use alloc::vec::Vec;
use core::fmt;

/// A way of looking up. Both ways give the same answer for the same family.
pub(crate) trait Lookup: fmt::Debug {
    /// What the task shows to its parent or its tracer may have changed. A dead one shows nothing: the last refresh
    /// comes before its slot is given back.
    fn refresh(&mut self, table: &Table, task: Slot);

    /// The first child or tracee that answers, in Linux's order: own children, own tracees, then those of
    /// the following threads of the process.
    fn find(&self, table: &Table, caller: Slot, request: &WaitRequest) -> Answer;

    /// The caller blocks.
    fn block(&mut self, table: &Table, caller: Slot, request: &WaitRequest);

    /// The caller does not block any more.
    fn unblock(&mut self, table: &Table, caller: Slot);

    /// Blocked threads in the process of `parent` that ask for `changed`, as a child or tracee of `parent`, and
    /// whose wait has a result now; the one that blocked last first. A waiter with `__WNOTHREAD` is meant only if it is
    /// whom `changed` reports to: so a parent with that option sleeps through a group stop of a child that somebody
    /// else traces, as on Linux.
    fn woken(&self, table: &Table, changed: Slot, parent: Slot, woken: &mut Vec<Slot>);
}
