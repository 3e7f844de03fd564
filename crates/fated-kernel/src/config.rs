//! What decides a run.

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
    },
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
    /// How many calls a task makes before the next one gets its turn (the seed varies it by half).
    pub slice_calls: u32,
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
