//! Text of programs and libraries: where it is, how it is written to, and what a fork copies of it.
//!
//! Linux omits a mapping of a file from a fork, and the child faults in what it uses. But if a page of it has been
//! written to, as by rewriting, each fork copies the entries of all its present pages, and each exit tears them down.
//! So a process that forks a lot returns the pages that are still the file's. Those that it uses later come back by a
//! fault for some pages each; those that only its start has used don't.
//!
//! Invariant: a page that is the process's own stays, so the content of the text never changes.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use linux_raw_sys::general::*;

use crate::exec::vdso;
use crate::memory::reserved::is_reserved;
use crate::sys;

const PAGE: u64 = 4096;
/// After how many forks more are expected. Pages are returned again whenever the number has doubled.
const AFTER: u32 = 32;

/// Counts a fork that the running process is about to make. `forks` is the number of forks of its image.
pub fn count_fork(forks: &Cell<u32>) {
    let count = forks.get().saturating_add(1);
    forks.set(count);
    if count >= AFTER && count.is_power_of_two() {
        give_back();
    }
}

/// The mappings of files' text: private, executable and not writable.
pub fn mappings() -> Vec<(u64, u64)> {
    let maps = sys::read_all(b"/proc/self/maps").unwrap_or_default();
    let mapping = |line: &[u8]| {
        let mut words = core::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let text = words.next()? == "r-xp" && words.nth(2)? != "0" && vdso::line(line).is_none();
        text.then_some((number(from)?, number(to)?))
    };
    maps.split(|&byte| byte == b'\n').filter_map(mapping).collect()
}

/// Returns the file's pages of each mapping that has written ones.
fn give_back() {
    let Ok(pagemap) = sys::open(AT_FDCWD, b"/proc/self/pagemap", O_RDONLY | O_CLOEXEC) else { return };
    for (begin, end) in mappings().into_iter().filter(|(begin, end)| !is_reserved(*begin, end - begin)) {
        let pages = pages(pagemap, begin, end);
        if pages.contains(&Page::Own) {
            let mut at = begin;
            for alike in pages.chunk_by(PartialEq::eq) {
                let len = alike.len() as u64 * PAGE;
                if alike[0] == Page::File {
                    sys::call(__NR_madvise, [at, len, MADV_DONTNEED.into(), 0, 0, 0]);
                }
                at += len;
            }
        }
    }
    sys::close(pagemap);
}

/// A page of a private mapping of a file.
#[derive(PartialEq)]
enum Page {
    /// Unchanged from the file, or absent.
    File,
    /// Written to, hence the process's own.
    Own,
}

/// The pages of a mapping, as far as Linux lists them.
fn pages(pagemap: i32, begin: u64, end: u64) -> Vec<Page> {
    const ENTRY: u64 = 8;
    // Documentation/admin-guide/mm/pagemap.rst
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const FILE: u64 = 1 << 61;
    let page = |entry: &[u8; ENTRY as usize]| {
        let entry = u64::from_ne_bytes(*entry);
        if entry & (PRESENT | SWAPPED) != 0 && entry & FILE == 0 { Page::Own } else { Page::File }
    };
    let mut entries = vec![0; ((end - begin) / PAGE * ENTRY) as usize];
    let len = sys::read_at(pagemap, &mut entries, begin / PAGE * ENTRY).unwrap_or(0);
    entries[..len].as_chunks().0.iter().map(page).collect()
}

/// Writes to memory of the process that runs regardless of its protection. Pages of files become private copies.
pub fn write(pieces: &[(u64, &[u8])]) -> Option<()> {
    let fd = sys::open(AT_FDCWD, b"/proc/self/mem", O_RDWR | O_CLOEXEC).ok()?;
    let written = pieces.iter().all(|(at, code)| {
        let args = [fd as u64, code.as_ptr() as u64, code.len() as u64, *at, 0, 0];
        sys::ask(__NR_pwrite64, args) == Ok(code.len() as u64)
    });
    sys::close(fd);
    written.then_some(())
}
