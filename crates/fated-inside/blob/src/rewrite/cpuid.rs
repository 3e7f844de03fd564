//! Where programs execute `cpuid`.
//!
//! In a virtual machine each `cpuid` that faults costs an exit, and glibc's start executes dozens. So sites that have
//! faulted are recorded by file and offset, for all processes of the host. When one is executed again, or when such a
//! file is loaded again as a program or an interpreter, a trap replaces the first byte of the instruction in the
//! private copy of the process. A trap costs no exit. A guest that reads its own text sees it.
//!
//! Invariant: only a site that has faulted in that version of that file is changed, and only if it still is a
//! `cpuid`.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::arena::{self, Part, part};
use crate::enter::gate;
use crate::process;
use crate::process::image::{Identity, Text};
use crate::rewrite::text;
use crate::settings::settings;

const CPUID: [u8; 2] = [0x0f, 0xa2];
/// `int3`.
const TRAP: u8 = 0xcc;
/// More than any program has. Sites beyond that keep faulting.
const MOST_FILES: usize = 64;
const MOST_SITES: usize = 64;

/// The known sites of a file: offsets of the instruction.
struct Known {
    file: Identity,
    offsets: Vec<u64>,
}

/// The files with known sites.
#[derive(Default)]
pub struct Files(RefCell<Vec<Known>>);

// SAFETY: the place is its own.
unsafe impl Part for Files {
    const AT: u64 = arena::at::CPUID;
}

fn known_files() -> &'static RefCell<Vec<Known>> {
    &part::<Files>().0
}

/// The file that an address is mapped from, and the offset in it.
fn place(at: u64) -> Option<(Identity, u64)> {
    let image = process::current()?.image.borrow();
    let texts = image.texts.borrow();
    let text = texts.iter().find(|text| (text.begin..text.end).contains(&at))?;
    Some((text.file, at - text.begin + text.offset))
}

/// Whether `size` bytes of this file's text from `offset` on have known sites.
pub fn has_sites(file: Identity, offset: u64, size: u64) -> bool {
    let known = known_files().borrow();
    known.iter().any(|it| it.file == file && it.offsets.iter().any(|at| (offset..offset + size).contains(at)))
}

/// Records a segment that has been mapped, and puts traps at its known sites. It must be writable if [`has_sites`] has
/// found sites.
pub fn add_text(file: Identity, begin: u64, offset: u64, size: u64) {
    if let Some(process) = process::current() {
        process.image.borrow().texts.borrow_mut().push(Text { begin, end: begin + size, offset, file });
    }
    let known = known_files().borrow();
    let offsets = known.iter().filter(|it| it.file == file).flat_map(|it| &it.offsets);
    for at in offsets.filter(|at| (offset..offset + size - 1).contains(at)) {
        let at = (at - offset + begin) as *mut u8;
        // SAFETY: it lies in the text, which is writable.
        unsafe {
            if at.cast::<[u8; 2]>().read_unaligned() == CPUID {
                at.write(TRAP);
            }
        }
    }
}

/// Whether a task has stopped at the trap of a site.
pub fn has_trapped(rip: u64) -> bool {
    let at = rip.wrapping_sub(1);
    code(at) == [TRAP, CPUID[1]]
        && place(at).is_some_and(|(file, offset)| {
            known_files().borrow().iter().any(|it| it.file == file && it.offsets.contains(&offset))
        })
}

/// Whether a task has stopped at a `cpuid` that faults. Records the site, and puts a trap there if it is known.
pub fn has_stopped(rip: u64) -> bool {
    if code(rip) != CPUID {
        return false;
    }
    if settings().rewrite.get()
        && let Some((file, offset)) = place(rip)
        && is_known(file, offset)
    {
        // If the write fails, it keeps faulting.
        let _ = text::write(&[(rip, &[TRAP])]);
    }
    true
}

/// Whether this site is known. If not, records it if there is room.
fn is_known(file: Identity, offset: u64) -> bool {
    let mut known = known_files().borrow_mut();
    if let Some(it) = known.iter_mut().find(|it| it.file == file) {
        if it.offsets.contains(&offset) {
            return true;
        }
        if it.offsets.len() < MOST_SITES {
            it.offsets.push(offset);
        }
    } else if known.len() < MOST_FILES {
        known.push(Known { file, offsets: [offset].into() });
    }
    false
}

fn code(at: u64) -> [u8; 2] {
    let mut code = [0; 2];
    // SAFETY: the buffer is writable; `copy_guest` survives a fault at the other address.
    unsafe { gate::copy_guest(code.as_mut_ptr() as u64, at, 2) };
    code
}
