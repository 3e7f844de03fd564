//! The first two megabytes of the arena, mapped by the supervisor.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use fated_kernel::errno::Errno;

use crate::sys;
use crate::wire::BLOCK_SIZE;

/// The mapping: [`BLOCK_SIZE`] bytes, shared.
pub(crate) struct Block(NonNull<u8>);

const SIZE: usize = BLOCK_SIZE as usize;

impl Block {
    /// Maps the beginning of the file, which must be as long as that.
    pub fn map(file: &File) -> Result<Block, Errno> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping.
        let at = unsafe { libc::mmap(ptr::null_mut(), SIZE, prot, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(sys::last());
        }
        NonNull::new(at.cast()).map(Block).ok_or(Errno::ENOMEM)
    }

    /// Its first byte.
    pub fn begin(&self) -> NonNull<u8> {
        self.0
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the range that `map` has mapped; nothing refers to it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), SIZE) };
    }
}
