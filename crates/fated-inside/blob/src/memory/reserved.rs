//! The addresses that are the engine's in every guest.

use crate::protocol::layout::{WINDOW, WINDOW_SIZE};

/// The size of an area of stubs: what one table of pages reaches, as a fork copies each of them.
pub const AREA_SIZE: u64 = 2 << 20;
/// Where areas of stubs begin: above all mappings and below the stack; below programs that move; above those that don't.
pub const AREAS: [u64; 3] = [0x7fff_f800_0000, 0x5555_4000_0000, 0x6f00_0000];

fn overlaps(at: u64, len: u64, begin: u64, end: u64) -> bool {
    at < end && at.saturating_add(len.max(1)) > begin
}

/// Whether guests must not touch what stands there.
pub fn ours(at: u64, len: u64) -> bool {
    overlaps(at, len, WINDOW, WINDOW + WINDOW_SIZE)
        || AREAS.iter().any(|&area| overlaps(at, len, area, area + AREA_SIZE))
}

/// Where what is the engine's begins.
pub fn begins() -> impl Iterator<Item = u64> {
    [WINDOW].into_iter().chain(AREAS)
}
