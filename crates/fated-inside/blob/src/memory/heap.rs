//! The allocator, whose state and blocks lie in the arena.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

use linux_raw_sys::general::{__NR_ftruncate, __NR_madvise};

use crate::arena::{self, Part, part};
use crate::process;
use crate::protocol::layout::{ARENA as ARENA_AT, BLOCK_SIZE};
use crate::sys;

/// Blocks are powers of two, so that a freed one fits whatever asks for its class next.
const CLASSES: usize = 40;
/// The smallest block has room for the link of the free list.
const SMALLEST: usize = 16;
const PAGE: usize = 4096;
/// A heap that outgrows so many of the arena's blocks is one that grows: then they are made huge pages, one by one.
const FEW: usize = 1;

/// The allocator's state, in the arena.
///
/// The arena's file ends where the heap does. What lies behind is mapped but isn't there, so that a guest's stray access
/// faults as it would natively, and hits nothing.
#[repr(C)]
pub struct Heap {
    next: usize,
    /// The end of the file.
    top: usize,
    end: usize,
    /// The arena's blocks are huge pages.
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
    /// An empty heap: where it begins, where the arena's file ends now, and up to where it may grow.
    pub fn new([next, top, end]: [usize; 3]) -> Heap {
        Heap { next, top, end, huge: false, free: [0; CLASSES] }
    }

    /// Makes the arena's file reach at least to `needed`, by whole blocks.
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

    /// Makes huge pages of all blocks that there are and that come.
    pub fn make_huge(&mut self) {
        self.huge = true;
        Self::collapse(ARENA_AT as usize, self.top);
    }

    fn collapse(begin: usize, end: usize) {
        for block in (begin..end).step_by(BLOCK_SIZE as usize) {
            // SAFETY: the arena's file holds the block. What is there stays; Linux collapses what is not all empty.
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

/// Makes a block of a file one huge page, if Linux does that. Not all of it may be empty.
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

// SAFETY: blocks don't overlap while they are in use: each comes from fresh addresses or from the list of its class. One
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
