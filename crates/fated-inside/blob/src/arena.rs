//! The layout of the engine's state in the arena, and how a module reaches its part.
//!
//! All processes of a host share this state. It has fixed addresses, so that reaching it costs nothing and no
//! reference has to be passed down. [`crate::host`] puts all parts there before anything else happens.
//!
//! Invariant: each module owns one part, and no other module changes its private fields.

use core::sync::atomic::Ordering::SeqCst;

use crate::protocol::control::Control;
use crate::protocol::layout::{ARENA, BUFFER_AT, BUFFER_SIZE, CONTROL_AT, HOST_AT, STACK_SIZE};

/// The end of the kernel's stack.
pub const STACK_TOP: u64 = ARENA + STACK_SIZE;
/// Where the parts begin.
pub const HOST: u64 = ARENA + HOST_AT;

/// The offset of each part from [`HOST`]. `host` checks that each of them fits.
pub mod at {
    pub const CROSSING: u64 = 0;
    pub const CLOCK: u64 = 0x20;
    pub const TURN: u64 = 0x80;
    pub const PROCESSES: u64 = 0x100;
    pub const SUPERVISOR: u64 = 0x180;
    pub const FRAME: u64 = 0x200;
    pub const SENSITIVE: u64 = 0x220;
    pub const AUXV: u64 = 0x260;
    pub const VDSO: u64 = 0x2a0;
    pub const HUGE: u64 = 0x320;
    pub const HEAP: u64 = 0x340;
    pub const SETTINGS: u64 = 0x800;
    pub const PREPARED: u64 = 0xe00;
    pub const ANSWERS: u64 = 0xe40;
}

/// A part of the engine's state, at a fixed place.
///
/// # Safety
/// No other part has this place. `host` puts a value there and checks that it fits.
pub unsafe trait Part: Sized + 'static {
    /// Its offset from [`HOST`].
    const AT: u64;
}

/// The part of this type. Valid once the arena is mapped and the host has been created in one process.
#[inline]
pub fn part<P: Part>() -> &'static P {
    // SAFETY: it is put there before anything else happens, and never moved or dropped.
    unsafe { &*((HOST + P::AT) as *const P) }
}

/// The words that the supervisor shares.
pub fn control() -> &'static Control {
    // SAFETY: the page is mapped as long as the process has an arena; all of it is atomic.
    unsafe { &*((ARENA + CONTROL_AT) as *const Control) }
}

/// Whether the host has been created.
pub fn exists() -> bool {
    control().op.load(SeqCst) != 0
}

/// The first bytes of the buffer that the supervisor shares.
pub fn buffer(len: usize) -> &'static mut [u8] {
    // SAFETY: the buffer is mapped. Between request and answer only the supervisor uses it, otherwise only the
    // process that runs.
    unsafe { core::slice::from_raw_parts_mut((ARENA + BUFFER_AT) as *mut u8, len.min(BUFFER_SIZE as usize)) }
}
