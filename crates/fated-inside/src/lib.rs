//! The engine inside the guest: the simulated kernel, mapped with its state at one address into every guest of a
//! host.
//!
//! The kernel runs in the *blob*, a freestanding program (`blob/`) that this crate builds and carries. Every guest's
//! process is an image of it. A guest's system calls trap there and are answered in its own process. A switch between
//! processes is one hand-over by futex, and threads are contexts on one real thread.
//!
//! This library is the supervisor: it starts the run, serves the kernel's requests and reports how the run ended. It
//! has no state of the run. When it dies, all guests die.
//!
//! Invariants: one process of a host runs at a time. A guest can make real system calls only through the blob's gate.

extern crate alloc;

#[expect(dead_code, reason = "the blob writes what is read here, and the other way round")]
mod protocol;
mod supervisor;

pub use protocol::layout::{ARENA, ARENA_SIZE};
pub use supervisor::engine::{Engine, Stats};
