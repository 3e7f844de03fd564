//! Notification of parents and tracers: SIGCHLD with its siginfo, and which waiters to wake (kernel/signal.c).

use crate::Family;
use crate::effects::{Effects, SignalSent, Target};
use crate::exit::ignores_children;
use crate::id::Signal;
use crate::report::{CLD_CONTINUED, CLD_STOPPED, SigInfo};
use crate::table::{NONE, Slot};
use alloc::vec::Vec;

const SI_USER: i32 = 0;
const SI_KERNEL: i32 = 0x80;

impl Family {
    /// Reports a death to the tracer or parent (`do_notify_parent`). True if the child reaps itself, as nobody will wait.
    pub(crate) fn notify_exit(&mut self, slot: Slot, signal: Option<Signal>, fx: &mut Effects) -> bool {
        let parent = self.table.reports_to(slot);
        if parent == NONE {
            return false;
        }
        let (task, group) = (self.table.task(slot), self.table.group(slot));
        let mut signal = signal;
        // A parent that has called exec since then does not expect the signal that its old program chose.
        if group.parent_execs != self.table.group(parent).execs {
            signal = Some(Signal::SIGCHLD);
        }
        let action = self.table.group(parent).sigchld;
        let reaped = task.trace.is_none() && signal == Some(Signal::SIGCHLD) && ignores_children(action);
        if reaped && action.ignore {
            signal = None;
        }
        if let Some(signal) = signal {
            let mut usage = task.usage;
            usage.add(&group.dead_usage);
            let (utime, stime) = usage.ticks();
            let (code, status) = task.exit_code.cause();
            let info = SigInfo { signo: signal.get(), code, pid: task.tid.get(), uid: task.uid, status, utime, stime };
            fx.signals.push(SignalSent { to: Target::Process(self.table.pid(parent)), info });
        }
        if reaped {
            // Waiters must already see that it is gone.
            self.table.task_mut(slot).life = crate::table::Life::Dead;
            self.refresh(slot);
        }
        self.wake_parent(slot, parent, fx);
        reaped
    }

    /// Reports a stop or continue (`do_notify_parent_cldstop`): to the tracer about the thread, or to the parent
    /// about the process.
    pub(crate) fn notify_stop(&mut self, slot: Slot, for_tracer: bool, code: i32, fx: &mut Effects) {
        let (slot, parent) = match for_tracer {
            true => (slot, self.table.reports_to(slot)),
            false => (self.table.leader(slot), self.table.group(slot).parent),
        };
        if parent == NONE {
            return;
        }
        let (task, group) = (self.table.task(slot), self.table.group(slot));
        let status = match code {
            CLD_CONTINUED => Signal::SIGCONT.get(),
            CLD_STOPPED => group.stop_signal.map_or(0, Signal::get),
            _ => task.trap_code & 0x7f,
        } as i32;
        let action = self.table.group(parent).sigchld;
        if !action.ignore && !action.no_stop {
            let (utime, stime) = task.usage.ticks();
            let signo = Signal::SIGCHLD.get();
            let info = SigInfo { signo, code, pid: task.tid.get(), uid: task.uid, status, utime, stime };
            fx.signals.push(SignalSent { to: Target::Process(self.table.pid(parent)), info });
        }
        self.wake_parent(slot, parent, fx);
    }

    /// Wakes the threads in the process of `parent` that wait for `changed` and now get a result.
    pub(crate) fn wake_parent(&mut self, changed: Slot, parent: Slot, fx: &mut Effects) {
        let mut woken = Vec::new();
        self.lookup.woken(&self.table, changed, parent, &mut woken);
        fx.wake.extend(woken.into_iter().map(|slot| self.table.task(slot).tid));
    }

    /// A signal from the kernel to a thread.
    pub(crate) fn kernel_signal(&self, slot: Slot, signal: Signal, fx: &mut Effects) {
        let info = SigInfo { signo: signal.get(), code: SI_KERNEL, ..SigInfo::default() };
        fx.signals.push(SignalSent { to: Target::Thread(self.table.task(slot).tid), info });
    }

    pub(crate) fn kernel_signal_process(&self, slot: Slot, signal: Signal, fx: &mut Effects) {
        let info = SigInfo { signo: signal.get(), code: SI_KERNEL, ..SigInfo::default() };
        fx.signals.push(SignalSent { to: Target::Process(self.table.pid(slot)), info });
    }

    /// A signal to the process of `slot`, as if `sender` had sent it.
    pub(crate) fn user_signal(&self, sender: Slot, slot: Slot, signal: Signal, fx: &mut Effects) {
        let info = self.sent_by(sender, signal);
        fx.signals.push(SignalSent { to: Target::Process(self.table.pid(slot)), info });
    }

    pub(crate) fn user_signal_thread(&self, sender: Slot, slot: Slot, signal: Signal, fx: &mut Effects) {
        let info = self.sent_by(sender, signal);
        fx.signals.push(SignalSent { to: Target::Thread(self.table.task(slot).tid), info });
    }

    fn sent_by(&self, sender: Slot, signal: Signal) -> SigInfo {
        let uid = self.table.task(sender).uid;
        SigInfo { signo: signal.get(), code: SI_USER, pid: self.table.pid(sender).get(), uid, ..SigInfo::default() }
    }
}
