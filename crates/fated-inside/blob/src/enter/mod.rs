//! The way from guest code into the kernel and back, and what guests can't do past the kernel.

pub mod clock;
pub mod cpuid;
pub mod crossing;
pub mod entry;
pub mod filter;
pub mod frame;
pub mod gate;
pub mod guard;
pub mod turn;
