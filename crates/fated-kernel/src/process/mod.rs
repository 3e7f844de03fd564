//! Processes and their tasks.

pub mod family;
pub mod pidfd;
pub mod task;
