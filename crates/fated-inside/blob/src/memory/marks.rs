//! Words that nobody ever changes, between the parts of the arena.
//!
//! Invariant: if a guest has written over one of them, the engine trusts nothing in the arena any more, and the run ends.

use crate::protocol::layout::{ARENA, HEAP_AT, HOST_AT};

const MARKS: [u64; 3] = [ARENA + HOST_AT - 8, ARENA + (HOST_AT + HEAP_AT) / 2, ARENA + HEAP_AT - 8];

fn mark(at: u64) -> u64 {
    0x5afe_c0de_0fda_7a00 ^ at.rotate_left(17)
}

/// Writes the marks.
pub fn set() {
    for at in MARKS {
        // SAFETY: they lie in the arena, where nothing else is.
        unsafe { (at as *mut u64).write_volatile(mark(at)) };
    }
}

/// Whether no guest has written over the marks.
pub fn sound() -> bool {
    // SAFETY: as above.
    MARKS.iter().all(|&at| unsafe { (at as *const u64).read_volatile() } == mark(at))
}
