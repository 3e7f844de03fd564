//! Time: the clocks of a host, the queue of its timers, and what programs make of them. Linux has this in `kernel/time`.
//!
//! Time is virtual. It moves by a fixed cost with each call, by more for who polls the clock (`polling`), and to the next expiry when every
//! task waits; real time never enters.

pub mod clock;
pub mod clock_id;
pub mod cpu;
pub mod expiry;
pub mod interval;
pub(crate) mod polling;
pub mod posix;
pub mod timer;
pub mod timerfd;
pub mod timers;
