//! When what all processes use most is put into huge pages: the blob's text and the arena.
//!
//! From a huge page a process gets two megabytes with one fault, where it otherwise has dozens after each fork and each exec. To
//! make one costs as much as dozens of forks gain by it; so it is done when there have been some, and a short run never pays.
//! Nothing depends on it: where Linux makes none, small pages do as well.

use core::cell::Cell;

use linux_raw_sys::general::__NR_madvise;

use crate::wire::BLOCK_SIZE;
use crate::{host, sys};

/// How many forks and execs show that there will be more.
const AFTER: u32 = 24;

/// How many there have been.
#[derive(Default)]
pub struct Huge(Cell<u32>);

impl Huge {
    /// A process has been forked, or is about to begin a new image.
    pub fn count(&self) {
        let count = self.0.get() + 1;
        self.0.set(count);
        if count == AFTER {
            unsafe extern "C" {
                static __executable_start: u8;
            }
            collapse(&raw const __executable_start as usize);
            host::heap().make_huge();
        }
    }
}

/// Makes a block of a file one huge page, if Linux does that. Not all of it may be empty.
pub fn collapse(block: usize) {
    const MADV_COLLAPSE: u64 = 25;
    sys::call(__NR_madvise, [block as u64, BLOCK_SIZE, MADV_COLLAPSE, 0, 0, 0]);
}
