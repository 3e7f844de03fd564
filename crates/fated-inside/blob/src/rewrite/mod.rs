//! What the engine changes in guests' text: call sites, and sensitive instructions.
//!
//! Invariant: changes go to a process's private copy. Every instruction that a guest can jump to still does what it
//! did, or traps.

pub mod call_sites;
pub mod prepared;
pub mod sensitive;
pub mod sites;
pub mod stubs;
pub mod text;
