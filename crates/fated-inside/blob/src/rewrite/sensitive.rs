//! Puts breakpoints in the place of sensitive instructions when text is mapped, so that the engine emulates them.
//!
//! The instructions are found when a file is seen for the first time. One that can't be found so (in generated code) is emulated where
//! the processor makes it fault; then its site is recorded, as a breakpoint is cheaper: in a virtual machine, a `cpuid` that faults costs
//! an exit. A guest that reads its own text sees the breakpoints.

use alloc::vec::Vec;
use core::cell::RefCell;

use fated_engine::sensitive::{BREAKPOINT, File, Identity, LONGEST, Sensitive, Site, Sites, Text};
use linux_raw_sys::general::*;

use crate::arena::{self, Part, part};
use crate::enter::gate;
use crate::process::{self, files};
use crate::rewrite::text;
use crate::settings::settings;
use crate::sys;

const PAGE: u64 = 4096;

/// The sites of all files.
#[derive(Default)]
pub struct Known(RefCell<Sites>);

// SAFETY: the place is its own.
unsafe impl Part for Known {
    const AT: u64 = arena::at::SENSITIVE;
}

fn sites() -> &'static RefCell<Sites> {
    &part::<Known>().0
}

/// An open file of the process that runs.
struct Open(i32);

impl File for Open {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let mut done = 0;
        while let Ok(len @ 1..) = sys::read_at(self.0, &mut buf[done..], offset + done as u64) {
            done += len;
        }
        done
    }
}

/// Whether text of this file has sites, so that it has to be writable for a moment: `size` bytes from `offset` on.
pub fn are_in(identity: Identity, fd: i32, offset: u64, size: u64) -> bool {
    settings().rewrite.get() && !sites().borrow_mut().within(identity, &Open(fd), offset, size).is_empty()
}

/// Records text that has been mapped at `begin`. It is writable if [`are_in`] has found sites; these get their breakpoints.
pub fn add_text(identity: Identity, fd: i32, begin: u64, offset: u64, size: u64) {
    record(identity, begin, offset, size);
    if settings().rewrite.get() {
        for site in sites().borrow_mut().within(identity, &Open(fd), offset, size) {
            // SAFETY: it lies in the text, which is writable.
            unsafe { ((site.offset - offset + begin) as *mut u8).write(BREAKPOINT) };
        }
    }
}

fn record(file: Identity, begin: u64, offset: u64, size: u64) {
    if let Some(process) = process::current() {
        process.image.borrow().texts.borrow_mut().add(Text { begin, end: begin + size, offset, file });
    }
}

/// A guest has mapped a file with mmap(2), by these arguments, at `begin`.
pub fn mapped([_, size, prot, flags, fd, offset]: [u64; 6], begin: u64) {
    let is_text = prot as u32 & PROT_EXEC != 0 && flags as u32 & (MAP_ANONYMOUS | MAP_TYPE) == MAP_PRIVATE;
    if !is_text || !settings().rewrite.get() {
        return;
    }
    let fd = fd as i32;
    let Ok(stat) = files::stat(fd, b"", 0) else { return };
    let identity = Identity::of(&stat);
    let size = size.next_multiple_of(PAGE);
    record(identity, begin, offset, size);
    let mut sites = sites().borrow_mut();
    let sites = sites.within(identity, &Open(fd), offset, size).iter();
    let pieces: Vec<_> = sites.map(|site| (site.offset - offset + begin, &[BREAKPOINT][..])).collect();
    if !pieces.is_empty() {
        // A write that fails leaves the instructions as they are.
        let _ = text::write(&pieces);
    }
}

/// The instruction whose breakpoint stands before `rip`, its address and its length.
pub fn behind_breakpoint(rip: u64) -> Option<(Sensitive, u64, usize)> {
    let at = rip.wrapping_sub(1);
    let image = process::current()?.image.borrow();
    let (instruction, len) = image.texts.borrow().replaced(&sites().borrow(), at, read)?;
    Some((instruction, at, len))
}

/// The instruction at `rip` that has faulted, and its length. If it is text of a file, its site is recorded, and gets a breakpoint when it
/// faults again.
pub fn that_faults(rip: u64) -> Option<(Sensitive, usize)> {
    let mut code = [0; LONGEST];
    let len = read(rip, &mut code);
    let (instruction, len) = Sensitive::decode(code.get(..len)?)?;
    if instruction == Sensitive::Cpuid
        && settings().rewrite.get()
        && let Some((file, offset)) = process::current().and_then(|process| {
            let image = process.image.borrow();
            image.texts.borrow().places(rip).next()
        })
        && sites().borrow_mut().learn(file, Site { offset, first: code[0] })
    {
        // If the write fails, it keeps faulting.
        let _ = text::write(&[(rip, &[BREAKPOINT])]);
    }
    Some((instruction, len))
}

fn read(at: u64, buf: &mut [u8]) -> usize {
    // SAFETY: the buffer is writable; `copy_guest` survives a fault at the other address.
    buf.len() - unsafe { gate::copy_guest(buf.as_mut_ptr() as u64, at, buf.len() as u64) } as usize
}
