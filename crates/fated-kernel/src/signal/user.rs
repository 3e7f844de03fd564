//! Signals from the user of fated, such as Ctrl-C: when they come, and to whom.
//!
//! Invariant: such a signal comes at a moment of virtual time, as the expiry of a timer does. So a journal can say when it came, and it comes again at
//! the same point of the run.

use crate::host::Kernel;
use crate::signal::{SI_KERNEL, SigInfo};
use crate::time::timers::Expire;
use alloc::rc::Rc;

/// A signal on its way.
#[derive(Debug)]
struct UserSignal {
    signal: i32,
    /// When it comes, in nanoseconds since the epoch.
    at: u64,
}

impl Expire<Kernel> for UserSignal {
    fn expire(self: Rc<Self>, kernel: &Rc<Kernel>) {
        kernel.user_signals.set(kernel.user_signals.get() - 1);
        kernel.journal.signal(self.signal, self.at);
        kernel.send_to_foreground(self.signal);
        kernel.set_journal_signal();
    }
}

impl Kernel {
    /// A signal for the foreground process group, from the terminal or the user of fated. It comes with the next call of any task,
    /// or at once if all wait. Has no effect while a journal is obeyed, which says what signals come.
    pub fn interrupt(self: &Rc<Self>, signal: i32) {
        if !self.journal.goes_on() {
            // A moment that virtual time has not reached yet, if calls make it pass.
            self.set_user_signal(signal, self.since_epoch().saturating_add(self.config.call_cost_ns.min(1)));
        }
    }

    fn set_user_signal(&self, signal: i32, at: u64) {
        self.user_signals.set(self.user_signals.get() + 1);
        let moment = self.config.epoch_ns.saturating_add(at);
        self.timers.set_last(moment, Rc::new(UserSignal { signal, at }));
    }

    /// Sets the signal that the journal has next, if it has one next.
    #[inline]
    pub(crate) fn set_journal_signal(&self) {
        if self.journal.obeys() {
            self.set_next_journal_signal();
        }
    }

    #[cold]
    fn set_next_journal_signal(&self) {
        if let Some((signal, at)) = self.journal.next_signal() {
            self.set_user_signal(signal, at);
        }
    }

    /// Nanoseconds of virtual time since the epoch.
    #[must_use]
    pub fn since_epoch(&self) -> u64 {
        self.timers.now().saturating_sub(self.config.epoch_ns)
    }

    fn send_to_foreground(self: &Rc<Self>, signal: i32) {
        let info = SigInfo::new(signal, SI_KERNEL);
        match self.terminal.foreground() {
            Some(group) => self.send_to_group(group, info),
            None => {
                if let Some(process) = self.first_process() {
                    self.send_to_process(&process, info);
                }
            }
        }
    }
}
