//! Memory of the engine: the allocator and its huge pages, the protection of the arena, and copying.

pub mod bytes;
pub mod heap;
pub mod huge;
pub mod keys;
pub mod marks;
pub mod reserved;
