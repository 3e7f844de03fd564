//! Protection keys: where the processor has them, guest code can read the arena but not write to it (pkeys(7)).
//!
//! Write access is a bit of a register (`PKRU`), so a crossing costs two writes to that register and no call. The
//! arena has the first key that Linux hands out in each image; guests get none. For a signal handler Linux loads the
//! register's initial value, but it writes the frame under the guest's. So with keys, a process has a signal stack of
//! its own, and a page for `crossing`.

use linux_raw_sys::general::*;

use crate::protocol::layout::{ARENA, ARENA_SIZE, PRIVATE, SIGNALS_AT, SIGNALS_SIZE};
use crate::sys;

/// The key of the arena.
const KEY: u64 = 1;
/// Two bits for each of the sixteen keys: the lower one denies all access, the upper one writing. Linux starts with
/// access by key 0 alone.
const INITIAL: u32 = 0x5555_5554;
/// The register's value in the kernel.
pub const OPEN: u32 = INITIAL & !(3 << (2 * KEY));
/// The register's value in guest code.
pub const CLOSED: u32 = OPEN | 2 << (2 * KEY);
/// Where `crossing` may write with the access rights of guest code.
pub const SCRATCH: u64 = PRIVATE + SIGNALS_SIZE;

/// Assigns the arena of a new image its key; `false` if there are no keys.
pub fn protect() -> bool {
    let (prot, flags) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);
    sys::call(__NR_pkey_alloc, [0; 6]) == KEY as i64
        && sys::mmap(PRIVATE, SIGNALS_SIZE + 4096, prot, flags, -1, 0).is_ok()
        && sys::call(__NR_pkey_mprotect, [ARENA, ARENA_SIZE, u64::from(prot), KEY, 0, 0]) == 0
}

/// The stack for signal handlers; `keyed` says whether the arena has a key.
pub fn signal_stack(keyed: bool) -> u64 {
    if keyed { PRIVATE } else { ARENA + SIGNALS_AT }
}
