//! Marks: constant words between the parts of the arena, which show that a guest has written to it.
//!
//! Invariant: nothing writes to a mark after the start. If one has changed, the arena can't be trusted and the run
//! ends.

use crate::protocol::layout::{ARENA, HEAP_AT, HOST_AT};

const MARKS: [u64; 3] = [ARENA + HOST_AT - 8, ARENA + (HOST_AT + HEAP_AT) / 2, ARENA + HEAP_AT - 8];

fn mark(at: u64) -> u64 {
    0x5afe_c0de_0fda_7a00 ^ at.rotate_left(17)
}

/// Writes the marks.
pub fn set() {
    for at in MARKS {
        // SAFETY: they lie in parts of the arena that nothing else uses.
        unsafe { (at as *mut u64).write_volatile(mark(at)) };
    }
}

/// Whether all marks are intact.
pub fn are_intact() -> bool {
    // SAFETY: as above.
    MARKS.iter().all(|&at| unsafe { (at as *const u64).read_volatile() } == mark(at))
}
