//! The engine without the kernel: a substitute passes calls on to Linux.

mod faults;
mod harness;
mod instructions;
#[path = "../passthrough/mod.rs"]
mod passthrough;
mod programs;
