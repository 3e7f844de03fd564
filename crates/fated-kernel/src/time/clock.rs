//! Clocks and what they read.
//!
//! All clocks are one: virtual time, counted from 1970 or from the host's boot. Those of CPU time count the cost of calls.

use crate::process::task::{Process, Task};
use crate::time::timers::Timers;
use alloc::rc::Weak;

/// A clock.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Nanoseconds since 1970.
    Real,
    /// Nanoseconds since the host's boot.
    Boot,
    /// CPU time of a process.
    Process(Weak<Process>),
    /// CPU time of a task.
    Thread(Weak<Task>),
}

impl Clock {
    /// What it reads now. The CPU time of an owner that has ended reads 0.
    #[must_use]
    pub fn now<E>(&self, timers: &Timers<E>) -> u64 {
        match self {
            Clock::Real => timers.now(),
            Clock::Boot => timers.uptime(),
            Clock::Process(process) => process.upgrade().map_or(0, |process| process.total_cpu_ns()),
            Clock::Thread(task) => task.upgrade().map_or(0, |task| task.cpu_ns.get()),
        }
    }

    /// Whether it counts CPU time.
    #[must_use]
    pub fn counts_cpu(&self) -> bool {
        matches!(self, Clock::Process(_) | Clock::Thread(_))
    }

    /// The moment since 1970 at which it reads `at`. Clocks of CPU time have none: it depends on what runs.
    #[must_use]
    pub fn moment<E>(&self, timers: &Timers<E>, at: u64) -> Option<u64> {
        match self {
            Clock::Real => Some(at),
            Clock::Boot => Some(timers.of_uptime(at)),
            Clock::Process(_) | Clock::Thread(_) => None,
        }
    }
}
