//! What the engine knows about call sites: for each address space, its stubs; for each program, how often each site has
//! called.
//!
//! Invariant: what is known about an address space is copied by a fork and shared by `CLONE_VM`, like the address
//! space.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::rewrite::stubs::Stubs;

/// The count of a site that has had its attempt.
pub const NEVER: u8 = u8::MAX;
/// How many bytes in front of a site are decoded.
pub const BEFORE: usize = 48;
/// What is known about one address space.
#[derive(Clone, Default)]
pub struct Known {
    pub stubs: RefCell<Stubs>,
    /// How many of [`Sites::worthy`] have been tried here.
    pub seen_to: Cell<usize>,
    /// Sites that still called by signal after they had been recorded as worthy, and were tried again.
    pub tried: RefCell<Vec<u64>>,
}

/// What a program and its forks know about their call sites.
#[derive(Default)]
pub struct Sites {
    /// A cache of counts by site. A new site evicts the entry of its row with the fewest calls, so that a few busy
    /// sites don't evict each other.
    calls: [[(u64, u8); 4]; 16],
    /// The sites worth rewriting, each with the number of its call and the code around it.
    pub worthy: Vec<(u64, u64, Code)>,
}

impl Sites {
    /// The counter of a site.
    pub fn entry(&mut self, site: u64) -> &mut (u64, u8) {
        let row = &mut self.calls[(site >> 1 ^ site >> 7) as usize % 16];
        let place = row.iter().position(|entry| entry.0 == site).unwrap_or_else(|| {
            // A site that has had its attempt mostly makes no more calls by signal.
            let least = (0..row.len()).min_by_key(|&at| if row[at].1 == NEVER { 0 } else { row[at].1 }).unwrap_or(0);
            let worthy = self.worthy.iter().any(|it| it.0 == site);
            row[least] = (site, if worthy { NEVER } else { 0 });
            least
        });
        &mut row[place]
    }
}

/// The code around a site, which is at offset [`BEFORE`].
pub type Code = [u8; BEFORE + 32];
/// More than any process has.
pub const MOST_TRIED: usize = 64;
/// More than any program has. Sites beyond that keep coming by signal.
pub const MOST_SITES: usize = 4096;
