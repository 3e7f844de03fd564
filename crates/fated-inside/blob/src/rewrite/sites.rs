//! What is known of call sites: by address space, where stubs have room; by program, how often each site has made a call.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general::*;

use crate::memory::reserved::AREAS;
use crate::sys;

/// A site that is left alone.
pub const NEVER: u8 = u8::MAX;
/// How much code in front of a site is looked at.
pub const BEFORE: usize = 48;
/// How much of it is for calls from before, and how much is mapped at once: a fork looks through all that is.
pub const PART_SIZE: u64 = 64 << 10;

/// The rest of an area: stubs for calls from before come from its beginning, those with a trap in their distance from its second
/// part.
#[derive(Clone, Copy)]
pub struct Room {
    pub begin: u64,
    pub low: u64,
    pub high: u64,
    /// Up to where it is mapped.
    pub mapped: u64,
}

/// Maps an area at least up to `end`.
pub fn map(room: &Cell<Room>, end: u64) -> Option<()> {
    let known = room.get();
    let mapped = end.next_multiple_of(PART_SIZE);
    if mapped > known.mapped {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
        sys::mmap(known.mapped, mapped - known.mapped, PROT_READ | PROT_EXEC, flags, -1, 0).ok()?;
        room.set(Room { mapped, ..known });
    }
    Some(())
}

/// What is known of this address space.
#[derive(Clone)]
pub struct Known {
    pub rooms: [Cell<Room>; AREAS.len()],
    /// How many of [`Sites::worthy`] have been seen to here.
    pub seen_to: Cell<usize>,
    /// Sites that calls have come from by signal after they had been found worth it: they aren't tried again.
    pub tried: RefCell<Vec<u64>>,
}

impl Default for Known {
    fn default() -> Known {
        let room = |begin| Cell::new(Room { begin, low: begin, high: begin + PART_SIZE, mapped: begin });
        Known { rooms: AREAS.map(room), seen_to: Cell::default(), tried: RefCell::default() }
    }
}

/// What a program and its forks know of their call sites.
#[derive(Default)]
pub struct Sites {
    /// Calls by site. Each has a place in one row; a newcomer takes that of whichever there needs it least, so that a few sites
    /// that are busy at a time don't chase each other away.
    calls: [[(u64, u8); 4]; 16],
    /// Those that are worth it, each with the number of its call and the code around it.
    pub worthy: Vec<(u64, u64, Code)>,
}

impl Sites {
    /// Where the calls of a site are counted.
    pub fn entry(&mut self, site: u64) -> &mut (u64, u8) {
        let row = &mut self.calls[(site >> 1 ^ site >> 7) as usize % 16];
        let place = row.iter().position(|entry| entry.0 == site).unwrap_or_else(|| {
            // One that is dealt with mostly makes no more calls by signal.
            let least = (0..row.len()).min_by_key(|&at| if row[at].1 == NEVER { 0 } else { row[at].1 }).unwrap_or(0);
            let worthy = self.worthy.iter().any(|it| it.0 == site);
            row[least] = (site, if worthy { NEVER } else { 0 });
            least
        });
        &mut row[place]
    }
}

/// The code around a site, which stands behind [`BEFORE`] bytes.
pub type Code = [u8; BEFORE + 32];
/// More than any process has.
pub const MOST_TRIED: usize = 64;
/// More than any program has; what comes later goes on to be a signal.
pub const MOST_SITES: usize = 4096;
