//! The arena's memory: allocator, huge pages, protection, and how bytes are copied.

pub mod bytes;
pub mod heap;
pub mod huge;
pub mod keys;
pub mod marks;
pub mod reserved;
