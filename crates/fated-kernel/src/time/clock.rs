//! Clocks and what they read.
//!
//! All clocks are one: virtual time, counted from 1970 or from the host's boot. Those of CPU time count the cost of calls.

use crate::time::timers::Timers;
use alloc::rc::Weak;
use core::fmt::Debug;

/// A clock.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Nanoseconds since 1970.
    Real,
    /// Nanoseconds since the host's boot.
    Boot,
    /// CPU time of a process or a task.
    Cpu(Weak<dyn CpuTime>),
}

/// What uses CPU time.
pub trait CpuTime: Debug {
    /// How much it has used, in nanoseconds.
    fn cpu_ns(&self) -> u64;
}

impl Clock {
    /// What it reads now. The CPU time of an owner that has ended reads 0.
    #[must_use]
    #[inline]
    pub fn now<E>(&self, timers: &Timers<E>) -> u64 {
        match self {
            Clock::Real => timers.now(),
            Clock::Boot => timers.uptime(),
            Clock::Cpu(owner) => owner.upgrade().map_or(0, |owner| owner.cpu_ns()),
        }
    }

    /// Whether it counts CPU time.
    #[must_use]
    pub fn counts_cpu(&self) -> bool {
        matches!(self, Clock::Cpu(_))
    }

    /// The moment since 1970 at which it reads `at`. Clocks of CPU time have none: it depends on what runs.
    #[must_use]
    pub fn moment<E>(&self, timers: &Timers<E>, at: u64) -> Option<u64> {
        match self {
            Clock::Real => Some(at),
            Clock::Boot => Some(timers.of_uptime(at)),
            Clock::Cpu(_) => None,
        }
    }
}
