//! How a wait finds the task that answers it, and how a change finds the waiters that it answers: one contract, two
//! implementations.

use crate::consider::Answer;
use crate::request::WaitRequest;
use crate::table::{Slot, Table};
use alloc::vec::Vec;
use core::fmt;

/// An implementation of lookup. Both give the same answers for the same family.
pub(crate) trait Lookup: fmt::Debug {
    /// The events that the task shows to its parent or its tracer may have changed. A released task shows none: the last
    /// refresh precedes the release of its slot.
    fn refresh(&mut self, table: &Table, task: Slot);

    /// The first child or tracee that answers, in Linux's order: own children, own tracees, then those of
    /// the following threads of the process.
    fn find(&self, table: &Table, caller: Slot, request: &WaitRequest) -> Answer;

    /// The caller blocks.
    fn block(&mut self, table: &Table, caller: Slot, request: &WaitRequest);

    /// The caller does not block any more.
    fn unblock(&mut self, table: &Table, caller: Slot);

    /// Blocked threads in the process of `parent` that ask for `changed`, as a child or tracee of `parent`, and
    /// whose wait has a result now; the one that blocked last first. A waiter with `__WNOTHREAD` is included only if
    /// `changed` reports to that thread. A parent with that option therefore sleeps through a group stop of a child that
    /// another process traces, as on Linux.
    fn woken(&self, table: &Table, changed: Slot, parent: Slot, woken: &mut Vec<Slot>);
}
