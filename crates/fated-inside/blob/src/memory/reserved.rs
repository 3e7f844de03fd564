//! The addresses that belong to the engine in every guest: the window with blob and arena, and the areas for stubs.

use crate::protocol::layout::{WINDOW, WINDOW_SIZE};

/// The size of an area: what one page table covers, since a fork copies each table.
pub const AREA_SIZE: u64 = 2 << 20;
/// Where areas begin: above all mappings and below the stack; below position-independent programs; above those at
/// fixed addresses.
pub const AREAS: [u64; 3] = [0x7fff_f800_0000, 0x5555_4000_0000, 0x6f00_0000];

fn overlaps(at: u64, len: u64, begin: u64, end: u64) -> bool {
    at < end && at.saturating_add(len.max(1)) > begin
}

/// Whether a range overlaps with what belongs to the engine.
pub fn is_reserved(at: u64, len: u64) -> bool {
    overlaps(at, len, WINDOW, WINDOW + WINDOW_SIZE)
        || AREAS.iter().any(|&area| overlaps(at, len, area, area + AREA_SIZE))
}

/// The pieces of a range that don't belong to the engine, in order.
pub fn around(at: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut own: [(u64, u64); 1 + AREAS.len()] = [(WINDOW, WINDOW + WINDOW_SIZE); 1 + AREAS.len()];
    for (range, &area) in own.iter_mut().skip(1).zip(&AREAS) {
        *range = (area, area + AREA_SIZE);
    }
    own.sort_unstable();
    let begins = core::iter::once(at).chain(own.map(|(_, end)| end));
    let ends = own.map(|(begin, _)| begin).into_iter().chain([end]);
    begins.zip(ends).map(move |(from, to)| (from.max(at), to.min(end))).filter(|(from, to)| from < to)
}

/// The beginnings of the engine's ranges.
pub fn range_starts() -> impl Iterator<Item = u64> {
    [WINDOW].into_iter().chain(AREAS)
}
