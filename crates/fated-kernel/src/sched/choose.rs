//! Every decision of a run that nothing but the seed makes.
//!
//! A decision has a name ([`Choice`]) and a number of possibilities; bytes that guests get as random have a kind ([`Entropy`]). The kernel
//! draws nowhere else, so that this is the one place to look at, to record and to change what a run decides.
//!
//! Invariants: the same seed makes the same choices in the same order. What guests draw comes from another stream than what the
//! scheduler draws: a guest that asks for more random bytes isn't scheduled differently for that.

use crate::sched::rng::Rng;
use core::cell::OnceCell;

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By how many nanoseconds the run begins after its epoch.
    Epoch,
    /// The priority of a new task under PCT.
    Priority,
    /// How many calls a slice has beyond the least.
    Slice,
    /// Where in the run queue a new task is put.
    Place,
    /// Under the random policy, which task of the run queue is next.
    Next,
    /// Under PCT, how many calls are made until the priorities change.
    Change,
}

/// Which random bytes a guest gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entropy {
    /// `AT_RANDOM`, at the start of a program.
    Auxv,
    /// getrandom(2).
    Getrandom,
    /// `/dev/random` and `/dev/urandom`.
    Device,
    /// `/proc/sys/kernel/random/uuid`.
    Uuid,
    /// `/proc/sys/kernel/random/boot_id`.
    BootId,
}

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
}

impl Chooser {
    /// Decides by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Chooser {
        Chooser {
            scheduler: Rng::new(seed, SCHEDULER),
            entropy: Rng::new(seed, ENTROPY),
            clock: Rng::new(seed, CLOCK),
            seed,
            boot_id: OnceCell::new(),
        }
    }

    fn stream(&self, what: Choice) -> &Rng {
        if what == Choice::Epoch { &self.clock } else { &self.scheduler }
    }

    /// Decides one of `among` possibilities, which have the numbers from 0 on.
    pub fn choose(&self, what: Choice, among: u64) -> u64 {
        self.stream(what).below(among)
    }

    /// What isn't decided in this run, though others draw it here: the stream goes on as it does there.
    pub fn pass_over(&self, what: Choice) -> u64 {
        self.stream(what).next();
        0
    }

    /// Fills `bytes` for a guest.
    pub fn fill(&self, _kind: Entropy, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
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
            bytes
        })
    }
}
