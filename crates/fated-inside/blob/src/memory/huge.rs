//! Moves what all processes use most, the blob's text and the arena, into huge pages.
//!
//! A process gets two megabytes of a huge page with one fault. With small pages it takes dozens of faults after each
//! fork and exec. Making a huge page costs as much as dozens of forks gain by it. So it happens after some forks and
//! execs, and a short run never pays for it. If Linux makes no huge pages, small ones do.
//!
//! Until then the text is mapped from fated's own program file, which contains the blob, so that nothing is copied.
//! Afterwards it is mapped from the blob's own file.

use core::cell::Cell;

use linux_raw_sys::general::*;

use crate::arena::{self, Part, part};
use crate::enter::gate;
use crate::memory::heap::{collapse, heap};
use crate::process;
use crate::protocol::layout::{BLOB_FD, BLOCK_SIZE, TextFile};
use crate::sys;

/// After how many forks and execs more are expected.
const AFTER: u32 = 32;
/// Where new images find the text from then on.
static OWN: TextFile = TextFile { fd: BLOB_FD as u64, offset: 0 };

/// How many forks and execs there were.
#[derive(Default)]
pub struct Huge(Cell<u32>);

// SAFETY: the place is its own.
unsafe impl Part for Huge {
    const AT: u64 = arena::at::HUGE;
}

/// Counts a fork or an exec that is about to happen.
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
        // SAFETY: the gate begins with it. In fated's own program file it is all zeros.
        if unsafe { (gate::begin() as *const TextFile).read() } != OWN {
            map();
        }
    }
}

/// Copies the text into the blob's own file, for this image and all later ones.
fn fill() {
    let [_, blob, _] = process::own_descriptors();
    let write =
        |at: u64, len: u64, offset: u64| sys::call(__NR_pwrite64, [blob as u64, at, len, offset, 0, 0]) == len as i64;
    // The gate is there already. Its words that name the file come last.
    let (begin, gate) = (gate::image_begin(), gate::begin());
    let filled =
        write(begin, gate - begin, 0) && write(&raw const OWN as u64, size_of::<TextFile>() as u64, gate - begin);
    if filled && map() {
        collapse(begin);
    }
}

/// Maps the text of this process from the blob's own file. All addresses stay the same.
fn map() -> bool {
    let [_, blob, _] = process::own_descriptors();
    let flags = MAP_PRIVATE | MAP_FIXED;
    sys::mmap(gate::image_begin(), BLOCK_SIZE, PROT_READ | PROT_EXEC, flags, blob, 0).is_ok()
}
