//! Puts breakpoints in the place of sensitive instructions when text is mapped, so that the engine emulates them, or jumps
//! ([`prepared`]).
//!
//! The instructions are found when a file is seen for the first time. One that can't be found so (in generated code) is emulated where
//! the processor makes it fault; then its site is recorded, as a breakpoint is cheaper: in a virtual machine, a `cpuid` that faults costs
//! an exit. A guest that reads its own text sees the breakpoints.

use alloc::vec::Vec;
use core::cell::RefCell;

use fated_engine::sensitive::{BREAKPOINT, Identity, LONGEST, Sensitive, Site, Sites, Text, maps_text};

use crate::arena::{self, Part, part};
use crate::enter::gate;
use crate::process::{self, files};
use crate::rewrite::{prepared, text};
use crate::settings::settings;
use crate::sys;

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

/// Takes over what earlier runs have found.
pub fn remember(found: &[u8]) {
    sites().replace(Sites::remembering(found));
}

/// What this run has found.
pub fn found() -> Vec<u8> {
    // A panic while a file is searched ends the run, too.
    sites().try_borrow().map(|sites| sites.found()).unwrap_or_default()
}

/// The addresses of the sites in a text that is mapped from the file `fd`.
fn addresses(text: Text, fd: i32) -> Vec<u64> {
    let read_at = |buf: &mut [u8], offset: u64| sys::read_at(fd, buf, offset);
    let mut sites = sites().borrow_mut();
    let sites = sites.within(text.file, &read_at, text.offset, text.end - text.begin);
    sites.iter().map(|site| site.offset - text.offset + text.begin).collect()
}

/// The sites in a text that is about to be mapped, by address. It has to be writable if there are any.
pub fn in_text(text: Text, fd: i32) -> Vec<u64> {
    if settings().rewrite.get() { addresses(text, fd) } else { Vec::new() }
}

/// Records a text that has been mapped, and changes these sites in it. It is writable if there are any.
pub fn add_text(text: Text, sites: &[u64]) {
    record(text);
    if !sites.is_empty() {
        prepared::write(text, sites);
    }
}

fn record(text: Text) {
    if let Some(process) = process::current() {
        process.image.borrow().texts.borrow_mut().add(text);
    }
}

/// Handles text that a guest has mapped at `begin` by mmap(2) with these arguments.
pub fn mapped(args: [u64; 6], begin: u64) {
    if !settings().rewrite.get() || !maps_text(args) {
        return;
    }
    let fd = args[4] as i32;
    let Ok(stat) = files::stat(fd, b"", 0) else { return };
    let text = Text::of_mapping(args, begin, Identity::of(&stat));
    record(text);
    let addresses = addresses(text, fd);
    if !addresses.is_empty() {
        let pieces: Vec<_> = addresses.into_iter().map(|at| (at, &[BREAKPOINT][..])).collect();
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
    let (instruction, len) = Sensitive::that_faults(code.get(..len)?)?;
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
