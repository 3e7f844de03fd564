//! The allocator. Its state and its blocks lie in the arena.
//!
//! Invariant: the arena's file ends where the heap does. What lies behind is mapped but absent: a guest's stray
//! access faults there as it would natively, and hits nothing.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

use linux_raw_sys::general::{__NR_ftruncate, __NR_madvise};

use crate::arena::{self, Part, part};
use crate::process;
use crate::protocol::layout::{ARENA as ARENA_AT, BLOCK_SIZE};
use crate::sys;

/// Sizes are powers of two, so that a freed piece fits the next request of its class.
const CLASSES: usize = 40;
/// The smallest piece, with room for the link of the free list.
const SMALLEST: usize = 16;
const PAGE: usize = 4096;
/// A heap beyond this many of the arena's blocks keeps growing: from there on each block becomes a huge page.
const FEW: usize = 1;

/// The allocator's state.
#[repr(C)]
pub struct Heap {
    next: usize,
    /// The end of the file.
    top: usize,
    end: usize,
    /// All blocks of the arena are to be huge pages.
    huge: bool,
    free: [usize; CLASSES],
}

// SAFETY: the place is its own.
unsafe impl Part for UnsafeCell<Heap> {
    const AT: u64 = arena::at::HEAP;
}

/// The allocator's state.
pub fn heap() -> &'static mut Heap {
    // SAFETY: one process runs at a time, and the allocator doesn't call itself.
    unsafe { &mut *part::<UnsafeCell<Heap>>().get() }
}

impl Heap {
    /// An empty heap: its beginning, the end of the arena's file, and the limit of its growth.
    pub fn new([next, top, end]: [usize; 3]) -> Heap {
        Heap { next, top, end, huge: false, free: [0; CLASSES] }
    }

    /// Extends the arena's file at least to `needed`, by whole blocks.
    fn grow(&mut self, needed: usize) -> bool {
        let top = needed.next_multiple_of(BLOCK_SIZE as usize);
        let size = (top - ARENA_AT as usize) as u64;
        let [.., arena] = process::own_descriptors();
        if top > self.end || sys::call(__NR_ftruncate, [arena as u64, size, 0, 0, 0, 0]) != 0 {
            return false;
        }
        if self.huge || self.blocks() > FEW {
            Self::collapse(self.top, top);
        }
        self.top = top;
        true
    }

    /// Makes all present and future blocks huge pages.
    pub fn make_huge(&mut self) {
        self.huge = true;
        Self::collapse(ARENA_AT as usize, self.top);
    }

    fn collapse(begin: usize, end: usize) {
        for block in (begin..end).step_by(BLOCK_SIZE as usize) {
            // SAFETY: the arena's file contains the block. Its content stays. Linux collapses only blocks that have a
            // page.
            unsafe {
                let first = block as *mut u8;
                first.write_volatile(first.read_volatile());
            }
            collapse(block as u64);
        }
    }

    /// How many blocks the arena's file has.
    pub fn blocks(&self) -> usize {
        (self.top - ARENA_AT as usize) / BLOCK_SIZE as usize
    }

    fn take(&mut self, layout: Layout) -> usize {
        let size = block(layout);
        let class = size.trailing_zeros() as usize;
        let free = self.free[class];
        if free != 0 {
            // SAFETY: a free block holds the address of the next one.
            self.free[class] = unsafe { *(free as *const usize) };
            return free;
        }
        let align = size.min(PAGE).max(layout.align());
        let at = (self.next + align - 1) & !(align - 1);
        if at + size > self.top && !self.grow(at + size) {
            return 0;
        }
        self.next = at + size;
        at
    }

    fn give(&mut self, at: usize, layout: Layout) {
        let class = block(layout).trailing_zeros() as usize;
        // SAFETY: the block is at least as large as a link and no longer anyone's.
        unsafe { *(at as *mut usize) = self.free[class] };
        self.free[class] = at;
    }
}

/// Makes a block of a file one huge page, if Linux permits it. At least one of its pages must be present.
pub fn collapse(block: u64) {
    const MADV_COLLAPSE: u64 = 25;
    sys::call(__NR_madvise, [block, BLOCK_SIZE, MADV_COLLAPSE, 0, 0, 0]);
}

fn block(layout: Layout) -> usize {
    layout.size().max(layout.align()).max(SMALLEST).next_power_of_two()
}

struct Arena;

#[global_allocator]
static ARENA: Arena = Arena;

// SAFETY: pieces in use don't overlap: each comes from fresh addresses or from the free list of its class. One
// process of a host runs at a time.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        heap().take(layout) as *mut u8
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        heap().give(at as usize, layout);
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's size is not too large for a layout of this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if block(layout) == block(wanted) {
            return at;
        }
        let fresh = heap().take(wanted) as *mut u8;
        if !fresh.is_null() {
            // SAFETY: both blocks are at least that long and don't overlap.
            unsafe { fresh.copy_from_nonoverlapping(at, layout.size().min(size)) };
            heap().give(at as usize, layout);
        }
        fresh
    }
}
