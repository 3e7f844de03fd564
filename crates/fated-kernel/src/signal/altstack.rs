//! The alternate signal stack of a task (sigaltstack(2)).

use crate::errno::Errno;
use crate::process::task::AltStack;

/// The task is on it.
pub const SS_ONSTACK: u32 = 1;
/// There is none.
pub const SS_DISABLE: u32 = 2;
/// It is removed while a handler runs on it.
pub const SS_AUTODISARM: u32 = 1 << 31;
/// The smallest stack that is accepted (`MINSIGSTKSZ`).
const MINSIGSTKSZ: u64 = 2048;

impl AltStack {
    /// Whether `sp` is on it (Linux: `on_sig_stack`). One that is removed while it is in use isn't in use.
    #[must_use]
    pub fn holds(&self, sp: u64) -> bool {
        self.flags & SS_AUTODISARM == 0 && self.spans(sp)
    }

    /// Whether `sp` is among its addresses (Linux: `__on_sig_stack`).
    #[must_use]
    pub fn spans(&self, sp: u64) -> bool {
        sp > self.base && sp - self.base <= self.size
    }

    /// The state that sigaltstack(2) returns to a task whose stack pointer is `sp`.
    #[must_use]
    pub fn status(&self, sp: u64) -> u32 {
        if self.size == 0 {
            SS_DISABLE
        } else if self.holds(sp) {
            SS_ONSTACK
        } else {
            self.flags & SS_AUTODISARM
        }
    }

    /// Sets it to what a `stack_t` says, for a task whose stack pointer is `sp`.
    pub fn replace(&mut self, new: AltStack, sp: u64) -> Result<(), Errno> {
        if self.size > 0 && self.holds(sp) {
            return Err(Errno::EPERM);
        }
        let disable = match new.flags & !SS_AUTODISARM {
            SS_DISABLE => true,
            0 | SS_ONSTACK => false,
            _ => return Err(Errno::EINVAL),
        };
        if !disable && new.size < MINSIGSTKSZ {
            return Err(Errno::ENOMEM);
        }
        *self = if disable { AltStack::default() } else { AltStack { flags: new.flags & SS_AUTODISARM, ..new } };
        Ok(())
    }
}
