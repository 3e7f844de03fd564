//! How a program gets into a process: opened, the image replaced, loaded.
//!
//! Invariant: after an exec a process has the mappings, stack and auxiliary vector that Linux would have made.

pub mod load;
pub mod new_image;
pub mod program_file;
pub mod replace;
pub mod vdso;
