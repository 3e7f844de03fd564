//! Guest memory.

pub mod iov_iter;
