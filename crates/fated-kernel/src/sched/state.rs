//! What a task does, as the scheduler sees it, and why it wakes.

/// Why a task woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// What it waited for may have happened.
    Event,
    /// Its deadline has passed.
    Timeout,
    /// A signal interrupts it.
    Signal,
}

/// What a task does, as the scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// In the run queue, or running.
    Ready,
    /// Asleep.
    Asleep { interruptible: bool },
    /// Woken and in the run queue; the reason has not been taken yet.
    Waking(Woken),
    /// Ended.
    Gone,
}
