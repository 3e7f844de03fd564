//! Futexes (futex(7)), as `kernel/futex` of Linux: what names one, who waits for which, and what the calls do.
//!
//! Files: [`key`] names a futex. [`state`] has the queues of waiters. [`wait_wake`] waits, wakes and requeues; [`pi`] passes locks
//! from owner to owner; [`robust`] is for the locks of tasks that end.

pub mod key;
pub mod pi;
pub mod robust;
pub mod state;
pub mod wait_wake;
