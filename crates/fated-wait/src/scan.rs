//! Lookup as Linux did it before 2021: it walks every child and tracee of every thread of the caller, and every waiter to
//! find whom to wake. It is the oracle of the tests and the baseline of the benchmarks.

use crate::consider::{Answer, Side, consider};
use crate::lookup::Lookup;
use crate::request::{__WNOTHREAD, Selector, WaitRequest};
use crate::table::{Chain, NONE, Slot, Table};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// By process, in the order of blocking.
    waiters: BTreeMap<u32, Vec<(Slot, WaitRequest)>>,
}

impl Lookup for Scan {
    fn refresh(&mut self, _: &Table, _: Slot) {}

    fn find(&self, table: &Table, caller: Slot, request: &WaitRequest) -> Answer {
        let mut answer = Answer::Nothing;
        let mut thread = caller;
        loop {
            let task = table.task(thread);
            let children = table.walk(Chain::Sibling, task.children).map(|child| (Side::Child, child));
            let tracees = table.walk(Chain::Tracee, task.tracees).map(|tracee| (Side::Tracee, tracee));
            for (side, slot) in children.chain(tracees) {
                match consider(table, request, side, slot) {
                    Answer::Nothing => {}
                    Answer::Hope => answer = Answer::Hope,
                    found => return found,
                }
            }
            thread = match table.next(Chain::Thread, thread) {
                NONE => table.group(caller).threads.head,
                next => next,
            };
            if thread == caller || request.has(__WNOTHREAD) {
                return answer;
            }
        }
    }

    fn block(&mut self, table: &Table, caller: Slot, request: &WaitRequest) {
        self.waiters.entry(table.task(caller).group).or_default().push((caller, *request));
    }

    fn unblock(&mut self, table: &Table, caller: Slot) {
        let group = table.task(caller).group;
        if let Some(waiters) = self.waiters.get_mut(&group) {
            waiters.retain(|&(waiter, _)| waiter != caller);
            if waiters.is_empty() {
                self.waiters.remove(&group);
            }
        }
    }

    fn woken(&self, table: &Table, changed: Slot, parent: Slot, woken: &mut Vec<Slot>) {
        let Some(waiters) = self.waiters.get(&table.task(parent).group) else { return };
        for (waiter, request) in waiters.iter().rev() {
            let meant = match request.selector {
                Selector::Any => true,
                Selector::Task(tid) => table.task(changed).tid == tid,
                Selector::Group(pgid) => table.group(changed).pgid == pgid,
                Selector::Nothing => false,
            };
            if meant
                && (!request.has(__WNOTHREAD) || *waiter == table.reports_to(changed))
                && self.find(table, *waiter, request) != Answer::Hope
            {
                woken.push(*waiter);
            }
        }
    }
}
