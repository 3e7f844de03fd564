//! How a program comes into a process.

pub mod load;
pub mod program;
pub mod vdso;
