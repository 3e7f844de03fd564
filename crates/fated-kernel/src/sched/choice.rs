//! The names of what a run decides. A journal has them, too.

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

impl Choice {
    /// All of them.
    pub const ALL: [Choice; 6] =
        [Choice::Epoch, Choice::Priority, Choice::Slice, Choice::Place, Choice::Next, Choice::Change];

    /// Its name in a journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Choice::Epoch => "epoch",
            Choice::Priority => "priority",
            Choice::Slice => "slice",
            Choice::Place => "place",
            Choice::Next => "next",
            Choice::Change => "change",
        }
    }
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
    /// `rdrand` and `rdseed`.
    Instruction,
}

impl Entropy {
    /// All of them.
    pub const ALL: [Entropy; 6] =
        [Entropy::Auxv, Entropy::Getrandom, Entropy::Device, Entropy::Uuid, Entropy::BootId, Entropy::Instruction];

    /// Its name in a journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Entropy::Auxv => "auxv",
            Entropy::Getrandom => "getrandom",
            Entropy::Device => "urandom",
            Entropy::Uuid => "uuid",
            Entropy::BootId => "boot-id",
            Entropy::Instruction => "rdrand",
        }
    }
}
