//! The extended state of tasks that don't run, in the format of Linux's signal frames, and the other contents of such
//! a frame.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;

use fated_engine::cpuid::Cpuid;
use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;

use crate::arena::{self, Part, part};
use crate::protocol::layout::XSTATE_ROOM as ROOM;

/// Offset of the words in which Linux describes the frame (`struct _fpx_sw_bytes`).
const SOFTWARE: usize = 464;
/// Among them: the mask of components that it has room for.
pub const FEATURES: usize = SOFTWARE + 8;
const LEGACY: usize = 512;
const HEADER_END: usize = 576;
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
/// x87, SSE, AVX.
const USUAL: u64 = 7;
const PKRU: u64 = 1 << 9;

/// Indices of words in `struct ucontext`.
mod at {
    pub const REGS: usize = 5;
    pub const RBX: usize = 16;
    pub const RDX: usize = 17;
    pub const RAX: usize = 18;
    pub const RCX: usize = 19;
    pub const RIP: usize = 21;
    pub const ERROR: usize = 24;
    pub const TRAP: usize = 25;
    pub const FPSTATE: usize = 28;
}
pub use at::{RAX, RBX, RCX, RDX, RIP};

/// Why a task has stopped.
#[derive(Clone, Copy, Default)]
pub struct Event {
    pub signal: i32,
    pub code: i32,
    /// `si_addr`; for `SIGSYS`, where the call was made.
    pub addr: u64,
    /// For `SIGSYS`: number of the call, and architecture.
    pub call: (u32, u32),
    pub trap: u64,
    pub error: u64,
}

/// The extended state of one task.
#[repr(C, align(64))]
#[derive(Clone)]
pub struct Frame {
    fp: [u8; ROOM],
}

/// A frame as Linux writes it, from which others are made; `None` until there is one.
#[derive(Default)]
pub struct Template(pub RefCell<Option<Box<Frame>>>);

// SAFETY: the place is its own.
unsafe impl Part for Template {
    const AT: u64 = arena::at::FRAME;
}

pub fn template() -> &'static RefCell<Option<Box<Frame>>> {
    &part::<Template>().0
}

/// The registers that a signal has interrupted. A frame doesn't have segments and the bases of fs and gs.
///
/// # Safety
/// `uc` is what a signal handler got.
pub unsafe fn regs(uc: *const u64) -> Regs {
    // SAFETY: the caller's promise.
    let [r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags] =
        core::array::from_fn(|i| unsafe { *uc.add(at::REGS + i) });
    let orig_rax = u64::MAX;
    let (cs, ss) = (0x33, 0x2b);
    Regs {
        r15,
        r14,
        r13,
        r12,
        rbp,
        rbx,
        r11,
        r10,
        r9,
        r8,
        rax,
        rcx,
        rdx,
        rsi,
        rdi,
        orig_rax,
        rip,
        cs,
        eflags,
        rsp,
        ss,
        ..Regs::default()
    }
}

/// Trap number and error code.
///
/// # Safety
/// As for [`regs`].
pub unsafe fn trap(uc: *const u64) -> (u64, u64) {
    // SAFETY: the caller's promise.
    unsafe { (*uc.add(at::TRAP), *uc.add(at::ERROR)) }
}

fn word(image: &[u8], at: usize) -> u64 {
    image.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn half(image: &[u8], at: usize) -> u32 {
    image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

impl Frame {
    /// An empty frame, for a task that has no image yet.
    pub fn empty() -> Box<Frame> {
        Box::new(Frame { fp: [0; ROOM] })
    }

    /// A frame with the initial state.
    pub fn fresh() -> Option<Box<Frame>> {
        let mut frame = template().borrow().clone()?;
        frame.reset();
        Some(frame)
    }

    /// A copy of the frame that Linux has pushed; `None` if it doesn't fit.
    ///
    /// # Safety
    /// `uc` is what a signal handler got.
    pub unsafe fn of(uc: *const u64) -> Option<Box<Frame>> {
        let mut frame = Frame::empty();
        // SAFETY: the caller's promise.
        unsafe { frame.load(uc) }.then_some(frame)
    }

    /// Copies the frame that Linux has pushed; `false` if it doesn't fit.
    ///
    /// # Safety
    /// `uc` is what a signal handler got.
    pub unsafe fn load(&mut self, uc: *const u64) -> bool {
        // SAFETY: the state itself says how long it is.
        unsafe {
            let fp = *uc.add(at::FPSTATE) as *const u8;
            let head = core::slice::from_raw_parts(fp, LEGACY);
            let size = if half(head, SOFTWARE) == MAGIC1 { half(head, SOFTWARE + 4) as usize } else { LEGACY };
            if size > ROOM {
                return false;
            }
            self.fp[..size].copy_from_slice(core::slice::from_raw_parts(fp, size));
        }
        // Write access to memory isn't a task's state.
        let features = word(&self.fp, FEATURES) & !PKRU;
        self.fp[FEATURES..FEATURES + 8].copy_from_slice(&features.to_le_bytes());
        true
    }

    /// Sets the initial extended state, as after an exec.
    fn reset(&mut self) {
        const CONTROL_WORD: u16 = 0x37f;
        const MXCSR: u32 = 0x1f80;
        let end = (half(&self.fp, SOFTWARE + 16) as usize).clamp(HEADER_END, ROOM);
        self.fp[..SOFTWARE].fill(0);
        self.fp[LEGACY..end].fill(0);
        self.fp[..2].copy_from_slice(&CONTROL_WORD.to_le_bytes());
        self.fp[24..28].copy_from_slice(&MXCSR.to_le_bytes());
    }

    fn components(cpuid: &Cpuid, features: u64) -> impl Iterator<Item = core::ops::Range<usize>> + use<'_> {
        (2..63).filter(move |number| features >> number & 1 != 0).map(|number| {
            let it = cpuid.ask(0xd, number);
            it.ebx as usize..(it.ebx + it.eax) as usize
        })
    }

    /// The state for a guest's signal frame: x87, SSE and AVX, and further components only if used, so that frames
    /// are the same on machines with and without more.
    pub fn xstate(&self, cpuid: &Cpuid) -> Vec<u8> {
        let (supported, used) = (word(&self.fp, FEATURES), word(&self.fp, LEGACY));
        let features = supported & (USUAL | used);
        let size = Self::components(cpuid, features).map(|range| range.end).max().unwrap_or(HEADER_END).min(ROOM - 4);
        let mut image = self.fp[..size].to_vec();
        image[LEGACY..LEGACY + 8].copy_from_slice(&(used & features).to_le_bytes());
        image[SOFTWARE..LEGACY].fill(0);
        image[SOFTWARE..SOFTWARE + 4].copy_from_slice(&MAGIC1.to_le_bytes());
        image[SOFTWARE + 4..SOFTWARE + 8].copy_from_slice(&(size as u32 + 4).to_le_bytes());
        image[FEATURES..FEATURES + 8].copy_from_slice(&features.to_le_bytes());
        image[SOFTWARE + 16..SOFTWARE + 20].copy_from_slice(&(size as u32).to_le_bytes());
        image.extend(MAGIC2.to_le_bytes());
        image
    }

    /// Restores the state from a guest's frame. A frame without magic numbers holds x87 and SSE only.
    pub fn set_xstate(&mut self, cpuid: &Cpuid, frame: &[u8]) -> Result<(), Errno> {
        if frame.len() < LEGACY {
            return Err(Errno::EINVAL);
        }
        let size = half(frame, SOFTWARE + 16) as usize;
        let whole = half(frame, SOFTWARE) == MAGIC1
            && (HEADER_END..=ROOM).contains(&size)
            && frame.len() >= size + 4
            && half(frame, size) == MAGIC2;
        let supported = word(&self.fp, FEATURES);
        let (held, used) =
            if whole { (word(frame, FEATURES) & supported, word(frame, LEGACY)) } else { (supported, 3) };
        // Linux would kill the real process for reserved bits in mxcsr or in the header.
        const MXCSR: u32 = 0xffff;
        if whole && used & !held != 0 || half(frame, 24) & !MXCSR != 0 {
            return Err(Errno::EINVAL);
        }
        self.fp[..SOFTWARE].copy_from_slice(&frame[..SOFTWARE]);
        for range in Self::components(cpuid, held & used) {
            let (Some(to), Some(from)) = (self.fp.get_mut(range.clone()), frame.get(range)) else {
                return Err(Errno::EINVAL);
            };
            to.copy_from_slice(from);
        }
        let now_used = word(&self.fp, LEGACY) & !held | used & held;
        self.fp[LEGACY..LEGACY + 8].copy_from_slice(&now_used.to_le_bytes());
        self.fp[LEGACY + 8..HEADER_END].fill(0);
        Ok(())
    }
}
