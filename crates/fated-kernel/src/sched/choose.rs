//! Every decision of a run that nothing but the seed makes.
//!
//! A decision has a name ([`Choice`]) and a number of possibilities; bytes that guests get as random have a kind ([`Entropy`]). The kernel
//! draws nowhere else. So a [`Journal`] can record all that a run decides, and say what a run decides that obeys it.
//!
//! Invariants: the same seed makes the same choices in the same order. What guests draw comes from another stream than what the
//! scheduler draws: a guest that asks for more random bytes isn't scheduled differently for that.
//! Each decision is drawn even if the journal makes it: a run that obeys a part of its own journal goes on as it did.

use crate::journal::Journal;
use crate::sched::choice::{Choice, Entropy};
use crate::sched::rng::Rng;
use alloc::rc::Rc;
use core::cell::OnceCell;

/// The streams of the seed.
const SCHEDULER: u64 = 1;
const ENTROPY: u64 = 2;
const CLOCK: u64 = 3;
const BOOT_ID: u64 = 0xb007;

/// Makes the decisions of one host.
#[derive(Debug)]
pub struct Chooser {
    scheduler: Rng,
    entropy: Rng,
    clock: Rng,
    seed: u64,
    boot_id: OnceCell<[u8; 16]>,
    journal: Rc<Journal>,
}

impl Chooser {
    /// Decides by `seed`, or as the journal says.
    #[must_use]
    pub fn new(seed: u64, journal: Rc<Journal>) -> Chooser {
        Chooser {
            scheduler: Rng::new(seed, SCHEDULER),
            entropy: Rng::new(seed, ENTROPY),
            clock: Rng::new(seed, CLOCK),
            seed,
            boot_id: OnceCell::new(),
            journal,
        }
    }

    fn stream(&self, what: Choice) -> &Rng {
        if what == Choice::Epoch { &self.clock } else { &self.scheduler }
    }

    /// Decides one of `among` possibilities, which have the numbers from 0 on.
    pub fn choose(&self, what: Choice, among: u64) -> u64 {
        self.decide(what, self.stream(what).below(among), among)
    }

    /// Decides as drawn, or as the journal says. What has no alternative isn't a decision.
    fn decide(&self, what: Choice, drawn: u64, among: u64) -> u64 {
        if among > 1 { self.journal.choice(what, drawn, among) } else { drawn }
    }

    /// Decides one of `among` possibilities such that each order of magnitude has the same chance: 0, 1, 2 to 3, 4 to 7 and so on.
    pub fn choose_magnitude(&self, what: Choice, among: u64) -> u64 {
        let word = self.stream(what).next();
        let magnitudes = u64::from(among.saturating_sub(1).checked_ilog2().map_or(0, |log| log + 1)) + 1;
        let (high, low) = (word >> 32, word & 0xffff_ffff);
        let drawn = match (high * magnitudes) >> 32 {
            0 => 0,
            magnitude => {
                let least = 1 << (magnitude - 1);
                least + ((u128::from(low) * u128::from(least)) >> 32) as u64
            }
        };
        self.decide(what, drawn.min(among.saturating_sub(1)), among)
    }

    /// What isn't decided in this run, though others draw it here: the stream goes on as it does there.
    pub fn pass_over(&self, what: Choice) -> u64 {
        self.stream(what).next();
        0
    }

    /// Fills `bytes` for a guest.
    pub fn fill(&self, kind: Entropy, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
        self.journal.entropy(kind, bytes);
    }

    /// Sixteen bytes for a guest.
    pub fn sixteen(&self, kind: Entropy) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(kind, &mut bytes);
        bytes
    }

    /// The id of the host's boot: the same for the whole run.
    pub fn boot_id(&self) -> [u8; 16] {
        *self.boot_id.get_or_init(|| {
            let mut bytes = [0; 16];
            Rng::new(self.seed, BOOT_ID).fill(&mut bytes);
            self.journal.entropy(Entropy::BootId, &mut bytes);
            bytes
        })
    }
}
