//! Protection keys: where the processor has them, guest code can read the arena but not write to it (pkeys(7)).
//!
//! What may be written is a register's business (`PKRU`), so that a crossing costs two writes to it and no call. The arena
//! has the first key that Linux gives in each image; guests get none. Linux itself puts the register's initial value in
//! force for a signal's handler.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use linux_raw_sys::general::*;

use crate::sys;
use crate::wire::{ARENA, ARENA_SIZE};

/// The key of the arena.
const KEY: u64 = 1;
/// Two bits for each of the sixteen keys, the lower one denies all access and the upper one writing. Linux denies all
/// access but by key 0.
const INITIAL: u32 = 0x5555_5554;
/// The register's value in the kernel.
pub const OPEN: u32 = INITIAL & !(3 << (2 * KEY));
/// The register's value in guest code.
pub const CLOSED: u32 = OPEN | 2 << (2 * KEY);

/// Not 0 if the arena has a key; in the process's own memory, for `crossing`.
#[unsafe(no_mangle)]
static ARENA_IS_KEYED: AtomicU8 = AtomicU8::new(0);

/// Gives the arena of a new image its key, if there are any.
pub fn protect() {
    if sys::call(__NR_pkey_alloc, [0; 6]) != KEY as i64 {
        return;
    }
    let prot = u64::from(PROT_READ | PROT_WRITE);
    if sys::call(__NR_pkey_mprotect, [ARENA, ARENA_SIZE, prot, KEY, 0, 0]) == 0 {
        ARENA_IS_KEYED.store(1, Relaxed);
    }
}

/// Whether the arena has a key.
pub fn in_use() -> bool {
    ARENA_IS_KEYED.load(Relaxed) != 0
}
