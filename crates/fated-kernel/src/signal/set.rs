//! Signal numbers and sets of signals.

/// The numbers of the signals that the kernel itself uses (signal(7), x86).
#[expect(missing_docs, reason = "the names are Linux's own")]
pub mod nr {
    pub const HUP: i32 = 1;
    pub const INT: i32 = 2;
    pub const QUIT: i32 = 3;
    pub const ILL: i32 = 4;
    pub const TRAP: i32 = 5;
    pub const ABRT: i32 = 6;
    pub const BUS: i32 = 7;
    pub const FPE: i32 = 8;
    pub const KILL: i32 = 9;
    pub const SEGV: i32 = 11;
    pub const PIPE: i32 = 13;
    pub const ALRM: i32 = 14;
    pub const CHLD: i32 = 17;
    pub const CONT: i32 = 18;
    pub const STOP: i32 = 19;
    pub const TSTP: i32 = 20;
    pub const TTIN: i32 = 21;
    pub const TTOU: i32 = 22;
    pub const URG: i32 = 23;
    pub const XCPU: i32 = 24;
    pub const XFSZ: i32 = 25;
    pub const VTALRM: i32 = 26;
    pub const PROF: i32 = 27;
    pub const WINCH: i32 = 28;
    pub const SYS: i32 = 31;
}

/// A set of signals, bit `n - 1` for signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// Those that can't be blocked, caught or ignored.
    pub const UNBLOCKABLE: SigSet = SigSet::of(&[nr::KILL, nr::STOP]);
    /// Those that stop a process by default.
    pub const STOPS: SigSet = SigSet::of(&[nr::STOP, nr::TSTP, nr::TTIN, nr::TTOU]);
    /// Those that do nothing by default.
    pub(super) const IGNORED: SigSet = SigSet::of(&[nr::CHLD, nr::CONT, nr::URG, nr::WINCH]);
    /// Those that end a process by default and would leave a core.
    pub(super) const CORE: SigSet =
        SigSet::of(&[nr::QUIT, nr::ILL, nr::TRAP, nr::ABRT, nr::BUS, nr::FPE, nr::SEGV, nr::XCPU, nr::XFSZ, nr::SYS]);
    /// Those that an instruction raises: they are taken before all others.
    const SYNCHRONOUS: SigSet = SigSet::of(&[nr::SEGV, nr::BUS, nr::ILL, nr::TRAP, nr::FPE, nr::SYS]);

    /// The set of `signals`.
    #[must_use]
    pub const fn of(signals: &[i32]) -> SigSet {
        let mut bits = 0;
        let mut i = 0;
        while i < signals.len() {
            bits |= 1 << (signals[i] - 1);
            i += 1;
        }
        SigSet(bits)
    }

    /// Whether `signal` is in it.
    #[must_use]
    pub fn has(self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 >> (signal - 1) & 1 == 1
    }

    /// With all of `other`.
    #[must_use]
    pub fn with(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// Without any of `other`.
    #[must_use]
    pub fn without(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// What both have.
    #[must_use]
    pub fn and(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// Whether it has no signal.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signal that is taken first: synchronous ones, then the lowest number.
    #[must_use]
    pub fn first(self) -> Option<i32> {
        let urgent = self.and(SigSet::SYNCHRONOUS);
        let from = if urgent.is_empty() { self } else { urgent };
        (!from.is_empty()).then(|| from.0.trailing_zeros() as i32 + 1)
    }
}
