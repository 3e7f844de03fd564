//! Where the engine is in every guest: addresses, sizes and descriptors.

use fated_kernel::process::limits::{DESCRIPTORS, OF_ENGINE, REAL_DESCRIPTORS};

/// The address of the engine in every process of a host, but for stubs: the blob first, then the arena. It is near
/// position-independent programs, so that their page tables cover it, but too far below them for a jump. It is above
/// the 46 bits in which V8 wants its random addresses, in what sanitizers (address, thread, memory) leave to
/// programs, and nowhere that Linux maps anything by itself.
pub const WINDOW: u64 = 0x5550_0000_0000;
/// The size of all that. `WINDOW` is a multiple of it.
pub const WINDOW_SIZE: u64 = 16 << 30;
/// The address of the arena.
pub const ARENA: u64 = WINDOW + 2 * BLOCK_SIZE;
/// The size of its mapping. The file behind it grows with the heap.
pub const ARENA_SIZE: u64 = WINDOW_SIZE - 2 * BLOCK_SIZE;
/// Where a process has its own memory if a key protects the arena: its signal stack, and a page for `crossing`.
/// Otherwise nothing is mapped between blob and arena.
pub const PRIVATE: u64 = WINDOW + BLOCK_SIZE;
/// The size of the kernel's stack, which begins the arena. Below it nothing is mapped: a stack overflow faults.
pub const STACK_SIZE: u64 = 512 << 10;
/// The offset of the signal stack in the arena: one for all processes, since one runs at a time.
pub const SIGNALS_AT: u64 = STACK_SIZE;
/// Its size.
pub const SIGNALS_SIZE: u64 = 32 << 10;
/// The offset of the buffer in the arena.
pub const BUFFER_AT: u64 = SIGNALS_AT + SIGNALS_SIZE;
/// The size of the buffer.
pub const BUFFER_SIZE: u64 = 1 << 20;
/// The offset of the control words, which have a page of their own.
pub const CONTROL_AT: u64 = BUFFER_AT + BUFFER_SIZE;
/// The offset of the engine's state. The heap follows.
pub const HOST_AT: u64 = CONTROL_AT + 4096;
/// See [`HOST_AT`].
pub const HEAP_AT: u64 = HOST_AT + (64 << 10);
/// The size of what the supervisor maps, and of the arena's file at first: all of the above and the beginning of the
/// heap.
pub const BLOCK_SIZE: u64 = 2 << 20;
/// The descriptors that every guest holds for the engine, at first: the last ones for which Linux has room without
/// allocating. This one is the program that contains the blob, from which its text is mapped.
pub const TEXT_FD: i32 = 61;
/// See [`TEXT_FD`]: the blob's own file.
pub const BLOB_FD: i32 = 62;
/// See [`TEXT_FD`]: the arena's file.
pub const ARENA_FD: i32 = 63;
/// Where the three may be: the first number of each place. Low; above each of [`REAL_DESCRIPTORS`], the limits of real processes; above
/// the hard limit with which guests start; as high as Linux permits.
pub const BASES: [i32; 6] = {
    let [low, middle, high] = REAL_DESCRIPTORS;
    [TEXT_FD, low as i32, middle as i32, high as i32, DESCRIPTORS.hard as i32, (1 << 20) - COUNT]
};
/// From here on a guest's numbers are near the low place: so far below it that no call returns as many at once.
pub const NEAR: u64 = TEXT_FD as u64 - 14;
/// How many there are.
pub const COUNT: i32 = ARENA_FD - TEXT_FD + 1;
const _: () = assert!(COUNT as u64 == OF_ENGINE);
/// Room for the extended state of a task: all of AVX-512 and protection keys.
pub const XSTATE_ROOM: usize = 4096;
/// The exit status of a process that ends on the engine's request.
pub const REQUESTED_EXIT: i32 = 77;

/// The file of the text for a new image: the first words of the gate in the blob's file.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// [`TEXT_FD`] or [`BLOB_FD`].
    pub fd: u64,
    /// The offset of the blob in that file.
    pub offset: u64,
}

/// The first place that is out of reach for a guest with this soft limit.
#[must_use]
pub fn place_above(soft: u64) -> Option<usize> {
    (1..BASES.len()).find(|&place| BASES[place] as u64 >= soft)
}
