//! When what all processes use most is put into huge pages: the blob's text and the arena.
//!
//! From a huge page a process gets two megabytes with one fault, where it otherwise has dozens after each fork and each exec. To
//! make one costs as much as dozens of forks gain by it; so it is done when there have been some, and a short run never pays.
//! Nothing depends on it: where Linux makes none, small pages do as well.
//!
//! Until then the text is mapped from the program that has the blob in it, of which nothing need be copied; then from the
//! blob's own file.

use core::cell::Cell;

use linux_raw_sys::general::*;

use crate::arena::{self, Part, part};
use crate::enter::gate;
use crate::memory::heap::{collapse, heap};
use crate::process;
use crate::protocol::layout::{BLOB_FD, BLOCK_SIZE, TextFile};
use crate::sys;

/// How many forks and execs show that there will be more.
const AFTER: u32 = 32;
/// Where a new image finds its text from then on.
static OWN: TextFile = TextFile { fd: BLOB_FD as u64, offset: 0 };

/// How many there have been.
#[derive(Default)]
pub struct Huge(Cell<u32>);

// SAFETY: the place is its own.
unsafe impl Part for Huge {
    const AT: u64 = arena::at::HUGE;
}

/// A process is about to be forked, or to begin a new image.
pub fn count() {
    part::<Huge>().count();
}

impl Huge {
    fn count(&self) {
        let count = self.0.get();
        if count < AFTER {
            self.0.set(count + 1);
            if count + 1 == AFTER {
                fill();
                heap().make_huge();
            }
            return;
        }
        // SAFETY: the gate begins with it. In the program that has the blob in it, zeros stand there.
        if unsafe { (gate::begin() as *const TextFile).read() } != OWN {
            map();
        }
    }
}

/// Puts the text into the blob's own file, for this image and all that come.
fn fill() {
    let [_, blob, _] = process::own_descriptors();
    let write =
        |at: u64, len: u64, offset: u64| sys::call(__NR_pwrite64, [blob as u64, at, len, offset, 0, 0]) == len as i64;
    // The gate is there already. Which file it is, is said last.
    let (begin, gate) = (gate::image_begin(), gate::begin());
    let filled =
        write(begin, gate - begin, 0) && write(&raw const OWN as u64, size_of::<TextFile>() as u64, gate - begin);
    if filled && map() {
        collapse(begin);
    }
}

/// Maps the text of this process from the blob's own file. What stands where stays the same.
fn map() -> bool {
    let [_, blob, _] = process::own_descriptors();
    let flags = MAP_PRIVATE | MAP_FIXED;
    sys::mmap(gate::image_begin(), BLOCK_SIZE, PROT_READ | PROT_EXEC, flags, blob, 0).is_ok()
}
