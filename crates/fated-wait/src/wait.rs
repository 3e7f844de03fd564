//! The wait itself, and the registration of blocked threads.

use crate::Family;
use crate::consider::Answer;
use crate::effects::Effects;
use crate::id::{Errno, Tid};
use crate::report::{Event, Report, WaitOutcome};
use crate::request::{WNOWAIT, WaitRequest};
use crate::table::{Life, NONE, Slot};

impl Family {
    /// Waits without blocking: finds an event that `request` selects and, unless WNOWAIT, consumes it. On
    /// [`WaitOutcome::WouldBlock`] the owner asks [`WaitRequest::unready`] whether to block.
    ///
    /// # Errors
    /// ESRCH if the caller is not alive.
    pub fn wait(&mut self, caller: Tid, request: &WaitRequest, fx: &mut Effects) -> Result<WaitOutcome, Errno> {
        let caller = self.table.alive(caller)?;
        Ok(match self.lookup.find(&self.table, caller, request) {
            Answer::Nothing => WaitOutcome::NoChild,
            Answer::Hope => WaitOutcome::WouldBlock,
            Answer::Found(slot, event) => {
                let task = self.table.task(slot);
                let mut usage = self.table.own_usage(slot);
                usage.add(&self.table.group(slot).children_usage);
                let report = Report { tid: task.tid, uid: task.uid, event, usage };
                if !request.has(WNOWAIT) {
                    self.consume(slot, event, fx);
                }
                WaitOutcome::Found(report)
            }
        })
    }

    fn consume(&mut self, slot: Slot, event: Event, fx: &mut Effects) {
        match event {
            Event::Exited(_) => self.reap(slot, fx),
            Event::Trapped(_) => {
                self.table.task_mut(slot).trap_code = 0;
                self.refresh(slot);
            }
            Event::Stopped(_) => {
                self.table.group_mut(slot).stop_signal = None;
                self.refresh(self.table.leader(slot));
            }
            Event::Continued => {
                self.table.group_mut(slot).continued = false;
                self.refresh_group(slot);
            }
        }
    }

    /// Reaps a zombie (`wait_task_zombie`).
    fn reap(&mut self, slot: Slot, fx: &mut Effects) {
        let leads = self.table.leads(slot);
        if leads && self.table.traced_by_other(slot) {
            // The tracer has seen the death; now it is reported to the parent.
            self.table.untrace(slot);
            self.refresh(slot);
            let exit_signal = self.table.group(slot).exit_signal;
            if !self.notify_exit(slot, exit_signal, fx) {
                return;
            }
        } else if leads {
            let mut usage = self.table.own_usage(slot);
            usage.add(&self.table.group(slot).children_usage);
            let parent = self.table.group(slot).parent;
            if parent != NONE {
                self.table.group_mut(parent).children_usage.add(&usage);
            }
        }
        self.table.task_mut(slot).life = Life::Dead;
        self.refresh(slot);
        self.release(slot, fx);
    }

    /// Registers the caller as blocked. When [`Effects::wake`] names it, it waits again, and then blocks on or is unblocked.
    /// A second call replaces the first.
    ///
    /// # Errors
    /// ESRCH if the caller is not alive.
    pub fn block(&mut self, caller: Tid, request: &WaitRequest) -> Result<(), Errno> {
        let caller = self.table.alive(caller)?;
        self.unblock_slot(caller);
        self.lookup.block(&self.table, caller, request);
        self.table.task_mut(caller).waiting = true;
        Ok(())
    }

    /// Ends the registration: the caller has its result or was interrupted. Without effect if it was not blocked.
    pub fn unblock(&mut self, caller: Tid) {
        if let Some(slot) = self.table.find(caller) {
            self.unblock_slot(slot);
        }
    }

    pub(crate) fn unblock_slot(&mut self, slot: Slot) {
        if core::mem::take(&mut self.table.task_mut(slot).waiting) {
            self.lookup.unblock(&self.table, slot);
        }
    }
}
