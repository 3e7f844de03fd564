//! The simulated machine, the same for every run: what uname(2), sysinfo(2) and `/proc` say of it.

/// The version of Linux that guests see.
pub const RELEASE: &str = "6.12.0-fated";
/// What `uname -v` prints.
pub const VERSION: &str = "#1 SMP PREEMPT_DYNAMIC fated";
/// The memory that guests see, in bytes.
pub const MEMORY_BYTES: u64 = 8 << 30;
/// How much of it is free.
pub const FREE_BYTES: u64 = 6 << 30;
