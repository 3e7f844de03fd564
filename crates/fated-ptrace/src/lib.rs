//! The ptrace engine.
//!
//! Guests are children and tracees of fated. A seccomp filter, generated from the kernel's table of calls, decides which calls stop. One
//! task runs at a time, and the engine waits for its stop by its id, never with `waitpid(-1)`. The simulated kernel reaches a stopped
//! task through [`fated_kernel::ports::RealTask`].
//!
//! [`Engine::launch`] creates an [`Engine`], and [`Engine::run`] drives it. It belongs to the thread that created it, as all tracing
//! does. That thread stays on one CPU with its guests. Dropping the engine ends all guests.
//!
//! Invariants: no real pid, descriptor or time of fated's own reaches the kernel. Each child is reaped by its id. No guest can make the
//! engine panic.

pub mod bench;
mod driver;
mod files;
mod filter;
mod ids;
mod launch;
mod memory;
mod process;
mod run;
mod shared;
mod sys;
mod tracee;
mod trap_state;
mod xstate;

pub use driver::Driver;
pub use run::Engine;
pub use shared::Stats;
