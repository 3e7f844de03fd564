//! How a program comes into a process.

pub mod load;
pub mod new_image;
pub mod program_file;
pub mod replace;
pub mod vdso;
