//! The one source of randomness: SplitMix64 (Steele, Lea, Flood 2014) for the kernel's own decisions and for what guests ask for.
//! Separate streams keep them apart: what a guest draws doesn't change how it is scheduled.

use core::cell::Cell;

/// A stream of random numbers that a seed decides.
#[derive(Debug)]
pub struct Rng(Cell<u64>);

impl Rng {
    /// The stream number `stream` of `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Rng {
        let rng = Rng(Cell::new(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95)));
        rng.next();
        rng
    }

    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (0 if that is 0).
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Fills `buf`.
    pub fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}
