//! Guest memory.

pub mod account;
pub mod iov_iter;
pub mod limits;
pub mod map_line;
pub mod sizes;

/// An address space. Tasks with the same one share their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MmId(pub u64);
