//! Virtual time.

pub mod timerfd;
pub mod timers;
