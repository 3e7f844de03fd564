//! The ptrace engine.
//!
//! Guests are real children and tracees of fated. A seccomp filter, made from the kernel's table, decides which calls stop;
//! one task runs at a time, and its stop is awaited by its id, never with `waitpid(-1)`. The simulated kernel reaches a
//! stopped task through [`fated_kernel::ports::RealTask`].
//!
//! An [`Engine`] is made by [`Engine::launch`] and driven by [`Engine::run`]. It belongs to the thread that made it, as all
//! tracing does, and that thread stays on one CPU with its guests. Dropping it ends every guest.
//!
//! Invariants: no real pid, descriptor or time of fated's own reaches the kernel; every child is reaped by its id; nothing
//! that a guest does panics.

pub mod bench;
mod driver;
mod fault;
mod files;
mod filter;
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
