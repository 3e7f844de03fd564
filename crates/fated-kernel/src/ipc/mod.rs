//! What processes talk by: pipes, futexes, event counters.

pub mod eventfd;
pub mod fifo;
pub mod futex;
pub mod pipe;
