//! Signals (signal(7)), as `kernel/signal.c` of Linux: what they are, who may send them, and what becomes of them.
//!
//! A signal is sent ([`send`]; [`kill`] checks who may), becomes pending ([`Pending`]), and is taken before the task runs guest code
//! again ([`deliver`]), by a call that waits for it ([`wait`]) or through a [`signalfd`]. A handler runs on a frame ([`frame`]).

pub mod action;
pub mod altstack;
pub mod deliver;
pub mod frame;
pub mod info;
pub mod kill;
pub mod pending;
pub mod send;
pub mod set;
pub mod signalfd;
pub mod user;
pub mod wait;

pub use action::{
    Action, Actions, Disposition, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTART,
    SA_SIGINFO, default_action,
};
pub use info::{SI_KERNEL, SI_TIMER, SI_TKILL, SI_USER, SigInfo};
pub use pending::Pending;
pub use set::{SigSet, nr};
