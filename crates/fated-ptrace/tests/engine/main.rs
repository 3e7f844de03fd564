//! The engine without the kernel: a stand-in passes calls on to Linux.

mod faults;
mod harness;
mod instructions;
#[path = "../passthrough/mod.rs"]
mod passthrough;
mod programs;
