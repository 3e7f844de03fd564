//! Where the engine stands in every guest: addresses, sizes, descriptors.

use fated_kernel::process::limits::DESCRIPTORS;

/// Where the engine stands in every process of a host, but for stubs: the blob first, and then the arena. Near programs that move, so
/// that their page tables reach it, too; but farther below them than a jump goes. It is above the 46 bits in which V8 wants
/// its random places, in what sanitizers (address, thread, memory) leave to programs, and nowhere that Linux puts anything by itself.
pub const WINDOW: u64 = 0x5550_0000_0000;
/// The size of all that; `WINDOW` is a multiple of it.
pub const WINDOW_SIZE: u64 = 16 << 30;
/// Where the arena stands.
pub const ARENA: u64 = WINDOW + 2 * BLOCK_SIZE;
/// The size of its mapping. The file behind it grows with the heap.
pub const ARENA_SIZE: u64 = WINDOW_SIZE - 2 * BLOCK_SIZE;
/// Where a process has memory of its own if the arena is protected by a key: the stack that it takes signals on, and a page
/// behind that for `crossing`. Otherwise nothing is mapped between blob and arena.
pub const PRIVATE: u64 = WINDOW + BLOCK_SIZE;
/// The size of the kernel's stack, with which the arena begins. Below it nothing is mapped: too deep a call faults.
pub const STACK_SIZE: u64 = 512 << 10;
/// Where the stack for signals stands in the arena: one for all, as one process runs at a time.
pub const SIGNALS_AT: u64 = STACK_SIZE;
/// The size of that.
pub const SIGNALS_SIZE: u64 = 32 << 10;
/// Where the buffer stands in the arena.
pub const BUFFER_AT: u64 = SIGNALS_AT + SIGNALS_SIZE;
/// The size of the buffer.
pub const BUFFER_SIZE: u64 = 1 << 20;
/// Where the control words stand, a page of their own.
pub const CONTROL_AT: u64 = BUFFER_AT + BUFFER_SIZE;
/// Where the host stands, and then the heap.
pub const HOST_AT: u64 = CONTROL_AT + 4096;
/// See [`HOST_AT`].
pub const HEAP_AT: u64 = HOST_AT + (64 << 10);
/// What the supervisor maps, and the size of the arena's file at the beginning: all of the above and the begin of the heap.
pub const BLOCK_SIZE: u64 = 2 << 20;
/// Descriptors that every guest holds for the engine, at first: the last for which Linux has room without asking for memory.
/// This one is the program that has the blob in it, from which its text is mapped.
pub const TEXT_FD: i32 = 61;
/// See [`TEXT_FD`]: the blob's own file.
pub const BLOB_FD: i32 = 62;
/// See [`TEXT_FD`]: the arena's file.
pub const ARENA_FD: i32 = 63;
/// Where they may be: the first number of the three. Low; above the limits that guests begin with; and as high as Linux allows.
pub const BASES: [i32; 4] = [TEXT_FD, DESCRIPTORS.soft as i32, DESCRIPTORS.hard as i32, (1 << 20) - COUNT];
/// How many there are.
pub const COUNT: i32 = ARENA_FD - TEXT_FD + 1;
/// Room for the extended state of a task: all of AVX-512 and protection keys.
pub const XSTATE_ROOM: usize = 4096;
/// The status with which a process ends that the engine has told to.
pub const TOLD_TO: i32 = 77;

/// Where the text of a new image comes from: the first words of the gate in the blob's file.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// [`TEXT_FD`] or [`BLOB_FD`].
    pub fd: u64,
    /// Where in its file the blob begins.
    pub offset: u64,
}
