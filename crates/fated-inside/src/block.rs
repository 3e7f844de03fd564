//! The first two megabytes of a file in memory, mapped, and in one huge page where Linux makes one.
//!
//! What all processes of a host use most stands there: the kernel's code in one file, its state in the other. From a huge page each
//! process gets it with one fault. Without one all is the same, and costs a fault for each page.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use fated_kernel::errno::Errno;

use crate::sys;
use crate::wire::BLOCK_SIZE;

/// The mapping: [`BLOCK_SIZE`] bytes, shared.
pub(crate) struct Block {
    reserved: NonNull<u8>,
    at: NonNull<u8>,
}

const SIZE: usize = BLOCK_SIZE as usize;
/// Enough to hold an aligned block, wherever Linux puts it.
const RESERVED: usize = 2 * SIZE;

impl Block {
    /// Maps the beginning of the file, which must be as long as that.
    pub fn map(file: &File) -> Result<Block, Errno> {
        const MADV_COLLAPSE: i32 = 25;
        let map = |at, size, prot, flags, fd| {
            // SAFETY: a fresh mapping, or one in place of what has just been reserved.
            let at = unsafe { libc::mmap(at, size, prot, flags, fd, 0) };
            if at == libc::MAP_FAILED { Err(sys::last()) } else { NonNull::new(at).ok_or(Errno::ENOMEM) }
        };
        let aside = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let reserved = map(ptr::null_mut(), RESERVED, libc::PROT_NONE, aside, -1)?.cast::<u8>();
        // SAFETY: the reserved range holds an aligned block.
        let at = unsafe { reserved.add(reserved.as_ptr().align_offset(SIZE)) };
        let block = Block { reserved, at };
        let shared = libc::MAP_SHARED | libc::MAP_FIXED;
        map(at.as_ptr().cast(), SIZE, libc::PROT_READ | libc::PROT_WRITE, shared, file.as_raw_fd())?;
        // SAFETY: the range is this mapping. Linux collapses what is not all empty; if it doesn't, small pages do as well.
        unsafe {
            at.write_volatile(0);
            libc::madvise(at.as_ptr().cast(), SIZE, MADV_COLLAPSE);
        }
        Ok(block)
    }

    /// Its first byte.
    pub fn begin(&self) -> NonNull<u8> {
        self.at
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the range that `map` has reserved; nothing refers to it any more.
        unsafe { libc::munmap(self.reserved.as_ptr().cast(), RESERVED) };
    }
}
