//! How processes communicate: pipes, named pipes, futexes, event counters.

pub mod eventfd;
pub mod fifo;
pub mod futex;
pub mod pipe;
