//! What the run queue knows of a task.

use core::cell::Cell;

/// A task as the scheduler sees it (Linux: `struct sched_entity`).
#[derive(Debug, Default)]
pub struct Entity {
    used: Cell<u32>,
    length: Cell<u32>,
    /// Under PCT, the highest priority runs.
    pub(super) priority: Cell<u64>,
}

/// Who can stand in a run queue.
pub trait Scheduled {
    /// What the run queue knows of it.
    fn entity(&self) -> &Entity;
}

impl Entity {
    /// Begins a slice of `length` calls.
    pub(super) fn begin_slice(&self, length: u32) {
        self.used.set(0);
        self.length.set(length);
    }

    /// Begins the same slice once more.
    pub(super) fn begin_again(&self) {
        self.used.set(0);
    }

    /// The next call ends the slice.
    pub(super) fn spend_slice(&self) {
        self.used.set(self.length.get());
    }

    /// Counts a call, unless it is the last one of the slice.
    #[inline]
    pub(super) fn count_unless_last(&self) -> bool {
        let used = self.used.get() + 1;
        let stays = used < self.length.get();
        if stays {
            self.used.set(used);
        }
        stays
    }

    /// Counts calls; returns how many there were before in this slice.
    pub(crate) fn count(&self, calls: u32) -> u32 {
        self.used.replace(self.used.get() + calls)
    }

    /// How many calls can be made before the one that ends the slice.
    pub(crate) fn left(&self) -> u64 {
        u64::from(self.length.get()).saturating_sub(u64::from(self.used.get()) + 1)
    }
}
