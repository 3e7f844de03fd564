//! What a text that an exec loads is rewritten to at once, so that the start of a program costs few signals: the sites of
//! `cpuid`, and of calls that came by signal when the same file was loaded before.
//!
//! The pieces are made once for a file at an address, since most programs of a run have their dynamic linker at the same
//! one. They are written while the text is writable, as it is if it holds sensitive instructions.
//!
//! Invariant: the pieces fit the text of that version of that file, and the stubs of a new address space.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;

use fated_engine::sensitive::{BREAKPOINT, Identity, Text, Texts};
use linux_raw_sys::general::*;

use crate::arena::{self, Part, part};
use crate::process;
use crate::rewrite::call_sites;
use crate::rewrite::sites::{BEFORE, Code};
use crate::rewrite::stubs::{Piece, Stubs};

/// After how many calls by signal a site is rewritten when its file is loaded.
const CALLS: u8 = 4;
/// How many sites of a file are counted: more than a dynamic linker has.
const MOST_CALLS: usize = 64;

/// A site of calls in a file.
struct Call {
    offset: u64,
    number: u64,
    /// How many came by signal.
    count: u8,
}

/// What an address space has got by loading a file.
struct Made {
    begin: u64,
    before: Stubs,
    after: Stubs,
    pieces: Vec<Piece>,
    /// What got no stub.
    breakpoints: Vec<u64>,
}

#[derive(Default)]
struct File {
    calls: Vec<Call>,
    made: Option<Made>,
}

/// The files that have been loaded, and have sensitive instructions.
#[derive(Default)]
pub struct Prepared(RefCell<BTreeMap<Identity, File>>);

// SAFETY: the place is its own.
unsafe impl Part for Prepared {
    const AT: u64 = arena::at::PREPARED;
}

fn files() -> &'static RefCell<BTreeMap<Identity, File>> {
    &part::<Prepared>().0
}

/// Counts a call that came by signal from the `syscall` in front of `rip`.
pub fn count_call(texts: &Texts, rip: u64, number: u64) {
    let site = rip.wrapping_sub(call_sites::SYSCALL.len() as u64);
    let mut files = files().borrow_mut();
    let Some((file, offset)) =
        texts.places(site).next().and_then(|(file, offset)| Some((files.get_mut(&file)?, offset)))
    else {
        return;
    };
    let full = file.calls.len() == MOST_CALLS;
    if let Some(call) = file.calls.iter_mut().find(|call| call.offset == offset) {
        call.count = call.count.saturating_add(1);
        if call.count == CALLS {
            // It is rewritten from the next time on.
            file.made = None;
        }
    } else if !full {
        file.calls.push(Call { offset, number, count: 1 });
    }
}

/// Rewrites a text that has just been loaded and is writable. `sites` are the addresses of its sensitive instructions.
pub fn write(text: Text, sites: &[u64]) {
    let Some(known) = process::current().map(|process| process.known()) else { return };
    let mut stubs = known.stubs.borrow_mut();
    let mut files = files().borrow_mut();
    let file = files.entry(text.file).or_default();
    let fits = |made: &&Made| made.begin == text.begin && made.before == *stubs;
    if file.made.as_ref().filter(fits).is_none() {
        file.made = Some(Made::new(text, sites, &file.calls, &stubs));
    }
    let Some(made) = &file.made else { return };
    let mut with_stubs = made.after.clone();
    // Pieces that can't get their stubs are as if there were none: then every site has a breakpoint.
    let mapped = stubs.protect(PROT_READ | PROT_WRITE).and_then(|()| with_stubs.map(PROT_READ | PROT_WRITE)).is_ok();
    let breakpoints = if mapped { &*made.breakpoints } else { sites };
    if mapped {
        for piece in &made.pieces {
            // SAFETY: the areas are writable, and stubs lie in them; nothing else does.
            unsafe { put(piece.stub, &piece.code) };
            // SAFETY: the site lies in the text.
            unsafe { put(piece.at, &piece.jump) };
        }
        // If that fails for lack of memory, the program faults at its first site.
        let _ = with_stubs.protect(PROT_READ | PROT_EXEC);
        *stubs = with_stubs;
    }
    for &at in breakpoints {
        // SAFETY: the site lies in the text.
        unsafe { put(at, &[BREAKPOINT]) };
    }
}

/// # Safety
/// The range is writable.
unsafe fn put(at: u64, bytes: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(at as *mut u8, bytes.len()) }.copy_from_slice(bytes);
}

impl Made {
    fn new(text: Text, sites: &[u64], calls: &[Call], before: &Stubs) -> Made {
        // SAFETY: the text has just been mapped, and the file has all of what it was found in.
        let bytes = |from: u64, len: usize| unsafe { core::slice::from_raw_parts(from as *const u8, len) };
        let mut after = before.clone();
        let mut pieces = Vec::new();
        let mut breakpoints = Vec::new();
        for &site in sites {
            let code = bytes(site, (text.end - site).min(32) as usize);
            match call_sites::over_cpuid(&mut after, site, code) {
                Some(piece) => pieces.push(piece),
                None => breakpoints.push(site),
            }
        }
        for call in calls.iter().filter(|call| call.count >= CALLS) {
            let site = text.begin + call.offset.wrapping_sub(text.offset);
            let begin = site.wrapping_sub(BEFORE as u64);
            if begin < text.begin || begin.saturating_add(size_of::<Code>() as u64) > text.end {
                continue;
            }
            let mut code = [0; size_of::<Code>()];
            code.copy_from_slice(bytes(begin, size_of::<Code>()));
            pieces.extend(call_sites::plan(&mut after, site, call.number, &code));
        }
        Made { begin: text.begin, before: before.clone(), after, pieces, breakpoints }
    }
}
