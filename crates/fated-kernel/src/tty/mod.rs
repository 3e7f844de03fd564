//! The standard streams and the terminal.

pub mod input;
pub mod stream;
