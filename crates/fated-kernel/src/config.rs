//! What decides a run.

use crate::fs::own_tmp::OwnTmp;
use alloc::string::String;

/// The order in which tasks that are ready get their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// First come, first served; the seed says where a new task comes in, and varies the length of slices.
    #[default]
    RoundRobin,
    /// Any ready task, drawn from the seed.
    Random,
    /// Probabilistic concurrency testing: seeded priorities, `changes` seeded points at which the running task drops to the
    /// lowest one (Burckhardt et al., ASPLOS 2010). So does one that makes very many calls, as it may wait for others by that.
    Pct {
        /// How many such points there are.
        changes: u32,
        /// Among how many calls they are: those of the whole run, if that is known. 0: the distance of each from the one before has any
        /// order of magnitude with the same chance, so that short and long runs are both looked into.
        span: u32,
    },
}

/// How standard input comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// A read gets as many bytes as it asks for, up to [`crate::tty::input::BLOCK`], or what is left before the end. So a run depends on
    /// the bytes alone, not on when and in which pieces they arrive.
    #[default]
    Blocks,
    /// A read gets what there is.
    Live,
}

/// Everything that a run depends on besides the program and its files.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides randomness, scheduling and ids.
    pub seed: u64,
    /// Virtual time at the start, in nanoseconds since 1970.
    pub epoch_ns: u64,
    /// What a system call costs in virtual time.
    pub call_cost_ns: u64,
    /// The order of ready tasks.
    pub policy: Policy,
    /// How many calls a task makes before the next one gets its turn. The seed varies it: by half, or, under the random policy, from one
    /// call to twice as many.
    pub slice_calls: u32,
    /// How standard input comes in.
    pub input: Input,
    /// The name of the host (uname(2)).
    pub hostname: String,
    /// How many processors guests see.
    pub cpus: u32,
    /// How many tasks may live at once; a fork beyond that gets `EAGAIN`.
    pub max_tasks: u32,
    /// Which wait implementation is used.
    pub wait_by_scan: bool,
    /// Real start of the run, in nanoseconds since 1970: files that are newer were made by the run. The guest
    /// never sees it.
    pub real_start_ns: i64,
    /// The directories for temporary files that are the run's own; `None`: those of the host.
    pub tmp: Option<OwnTmp>,
    /// Report every call to [`crate::ports::Trace::record`].
    pub log: bool,
}

/// A descriptor that the first process has from outside, besides its standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// Its number.
    pub fd: i32,
    /// The flags of its open file description (`F_GETFL`).
    pub flags: u32,
}
