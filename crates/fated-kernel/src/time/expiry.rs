//! Time passes, and timers expire.

use crate::host::Kernel;
use alloc::rc::Rc;

/// The outcome of a jump in time.
pub(crate) enum Jump {
    /// The next timer has expired.
    Done,
    /// The next timer expires at this moment, beyond the horizon.
    BeyondHorizon(u64),
    /// No timer is pending.
    NoTimer,
}

impl Kernel {
    /// Lets `ns` of virtual time pass.
    #[inline]
    pub fn pass_time(self: &Rc<Self>, ns: u64) {
        if self.timers.advance_to(self.timers.now().saturating_add(ns)) {
            self.run_expired_timers();
        }
    }

    /// Lets time jump to the next expiry, if that is by the horizon.
    pub(crate) fn jump(self: &Rc<Self>) -> Jump {
        let Some(at) = self.timers.next_at() else { return Jump::NoTimer };
        if self.timers.horizon().is_some_and(|horizon| at > horizon) {
            return Jump::BeyondHorizon(at);
        }
        self.timers.advance_to(at);
        self.run_expired_timers();
        Jump::Done
    }

    #[cold]
    fn run_expired_timers(self: &Rc<Self>) {
        while let Some(expiry) = self.timers.pop_expired() {
            expiry.expire(self);
        }
        if self.timers.is_at_horizon() {
            // The end of the call has to see that.
            self.watch();
        }
    }
}
