//! Where programs execute `cpuid`.
//!
//! Under a virtual machine each one that traps costs an exit, and a program that glibc starts executes dozens. So those that
//! have trapped are remembered by file and offset, for all processes of the host. When one of them is executed again, or such a file
//! is loaded again as a program or as an interpreter, a trap takes the place of the instruction's first byte, in the private copy
//! of the process; that costs no exit. A guest that reads its own text sees it.
//!
//! Invariant: only what has trapped at that place of that very file is changed, and only if it still looks like it.

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
/// More than any program executes; what comes later goes on to trap.
const MOST_FILES: usize = 64;
const MOST_SITES: usize = 64;

/// What is known of a file: offsets of the instruction.
struct Known {
    file: Identity,
    offsets: Vec<u64>,
}

/// The files that are known.
#[derive(Default)]
pub struct Files(RefCell<Vec<Known>>);

// SAFETY: the place is its own.
unsafe impl Part for Files {
    const AT: u64 = arena::at::CPUID;
}

fn known_files() -> &'static RefCell<Vec<Known>> {
    &part::<Files>().0
}

/// Where in its file an address stands.
fn place(at: u64) -> Option<(Identity, u64)> {
    let image = process::current()?.image.borrow();
    let texts = image.texts.borrow();
    let text = texts.iter().find(|text| (text.begin..text.end).contains(&at))?;
    Some((text.file, at - text.begin + text.offset))
}

/// Whether text of this file, that many bytes from `offset`, has sites.
pub fn are_in(file: Identity, offset: u64, size: u64) -> bool {
    let known = known_files().borrow();
    known.iter().any(|it| it.file == file && it.offsets.iter().any(|at| (offset..offset + size).contains(at)))
}

/// Text has been mapped, and may be written to if [`are_in`] has said that there are sites.
pub fn loaded(file: Identity, begin: u64, offset: u64, size: u64) {
    if let Some(process) = process::current() {
        process.image.borrow().texts.borrow_mut().push(Text { begin, end: begin + size, offset, file });
    }
    let known = known_files().borrow();
    let offsets = known.iter().filter(|it| it.file == file).flat_map(|it| &it.offsets);
    for at in offsets.filter(|at| (offset..offset + size - 1).contains(at)) {
        let at = (at - offset + begin) as *mut u8;
        // SAFETY: it lies in the text, which may be written to.
        unsafe {
            if at.cast::<[u8; 2]>().read_unaligned() == CPUID {
                at.write(TRAP);
            }
        }
    }
}

/// Whether a task stands behind the trap of a site.
pub fn has_trapped(rip: u64) -> bool {
    let at = rip.wrapping_sub(1);
    code(at) == [TRAP, CPUID[1]]
        && place(at).is_some_and(|(file, offset)| {
            known_files().borrow().iter().any(|it| it.file == file && it.offsets.contains(&offset))
        })
}

/// Whether a task stands at a `cpuid`, at which it has been stopped. It is remembered.
pub fn has_stopped(rip: u64) -> bool {
    if code(rip) != CPUID {
        return false;
    }
    if settings().rewrite.get()
        && let Some((file, offset)) = place(rip)
        && is_known(file, offset)
    {
        // If it can't be written, it goes on to stop.
        let _ = text::write(&[(rip, &[TRAP])]);
    }
    true
}

/// Whether this site is remembered already. If not, it is from now on, as far as there is room.
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
    // SAFETY: the buffer can be written; a fault at the other address is mended.
    unsafe { gate::copy_guest(code.as_mut_ptr() as u64, at, 2) };
    code
}
