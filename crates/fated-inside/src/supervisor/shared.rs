//! The memory that the supervisor shares with the blob: the first block of the arena.
//!
//! Invariant: the supervisor uses the buffer only while a request waits for its answer.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fated_kernel::errno::Errno;

use super::sys;
use crate::protocol::control::Control;
use crate::protocol::layout::{BLOCK_SIZE, BUFFER_AT, BUFFER_SIZE, CONTROL_AT};

/// The mapping of [`BLOCK_SIZE`] bytes.
pub(crate) struct Shared(NonNull<u8>);

const SIZE: usize = BLOCK_SIZE as usize;

impl Shared {
    /// Maps the beginning of the arena's file, which must have at least [`BLOCK_SIZE`] bytes.
    pub fn map(arena: &File) -> Result<Shared, Errno> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping.
        let at = unsafe { libc::mmap(ptr::null_mut(), SIZE, prot, libc::MAP_SHARED, arena.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(sys::last());
        }
        NonNull::new(at.cast()).map(Shared).ok_or(Errno::ENOMEM)
    }

    /// The control words.
    pub fn control(&self) -> &Control {
        // SAFETY: the mapping lives as long as `self`; all of the structure is atomic, and zeros are valid.
        unsafe { self.0.add(CONTROL_AT as usize).cast::<Control>().as_ref() }
    }

    /// A word of the arena, if it lies in the mapping.
    pub fn word(&self, offset: u64) -> Option<u64> {
        let fits = offset > 0 && offset.is_multiple_of(8) && offset <= BLOCK_SIZE - 8;
        // SAFETY: the word lies in the mapping and is aligned; whatever it holds is a number.
        fits.then(|| unsafe { self.0.add(offset as usize).cast::<AtomicU64>().as_ref() }.load(Relaxed))
    }

    fn buffer(&self) -> *mut u8 {
        // SAFETY: the buffer lies in the mapping.
        unsafe { self.0.add(BUFFER_AT as usize).as_ptr() }
    }

    /// Copies bytes out of the buffer.
    pub fn get(&self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len.min(BUFFER_SIZE) as usize];
        // SAFETY: the buffer lies in the mapping; while a request waits for its answer, no other side writes to it.
        unsafe { ptr::copy_nonoverlapping(self.buffer(), bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }

    /// Copies bytes into the buffer; `false` if they are too many.
    pub fn put(&self, bytes: &[u8]) -> bool {
        let fits = bytes.len() as u64 <= BUFFER_SIZE;
        if fits {
            // SAFETY: as in `get`.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.buffer(), bytes.len()) };
        }
        fits
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: `map` has mapped the range, and nothing refers to it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), SIZE) };
    }
}
