//! Finds sensitive instructions in a file.
//!
//! Text is searched for their opcodes. What looks like one counts only if it is one when its function is decoded from the
//! beginning on: an opcode's bytes may be a part of another instruction, and what stands between functions may be data.
//!
//! Invariant: only text of a function is found, so that to replace the first byte of what is found changes no data.

use super::elf::{Elf, fill, table};
use super::functions::{Unwind, by_symbols};
use super::{Sensitive, length};
use alloc::vec;
use alloc::vec::Vec;
use fated_kernel::errno::Errno;

/// Reads a file as pread(2) does.
pub type ReadAt<'a> = &'a dyn Fn(&mut [u8], u64) -> Result<usize, Errno>;

/// Where a sensitive instruction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Its offset in the file.
    pub offset: u64,
    /// Its first byte.
    pub first: u8,
}

/// How much text is searched at once.
const BLOCK: usize = 64 << 10;
/// How far two blocks overlap, so that no opcode is cut in two.
const OVERLAP: usize = 16;
/// How much of a function is decoded.
const LONGEST: u64 = 1 << 20;
/// Bounds for files that are made to take long. No real file reaches them: the text that is searched, the places that look like an
/// opcode, and the text that is decoded.
const MOST_TEXT: u64 = 1 << 30;
const MOST_CANDIDATES: usize = 1 << 16;
const MOST_DECODED: u64 = 1 << 26;

/// All sites of a file that are certain, sorted; none if it isn't a program or a library for x86-64.
#[must_use]
pub fn find(read_at: ReadAt<'_>) -> Vec<Site> {
    let Some(elf) = Elf::parse(read_at) else { return Vec::new() };
    let candidates = candidates(&elf, read_at);
    if candidates.is_empty() {
        return Vec::new();
    }
    let mut functions = by_symbols(read_at, &elf.symbols, &candidates);
    if let Some(unwind) = Unwind::read(read_at, &elf) {
        functions.extend(candidates.iter().filter_map(|&address| unwind.function(address)));
    }
    functions.sort_unstable_by_key(|range| (range.start, range.end));
    functions.dedup();
    let mut decoded = 0;
    let mut sites = Vec::new();
    for range in &functions {
        // Behind its last candidate a function needn't be decoded.
        let before_end = candidates.partition_point(|&candidate| candidate < range.end);
        let Some(last) = before_end.checked_sub(1).and_then(|at| candidates.get(at)) else { continue };
        let end = range.end.min(last.saturating_add(OVERLAP as u64));
        let len = end.saturating_sub(range.start).min(LONGEST);
        decoded += len;
        if decoded > MOST_DECODED {
            break;
        }
        add_function(&elf, read_at, range.start, len, &mut sites);
    }
    sites.sort_unstable();
    sites.dedup();
    sites
}

/// The addresses in the text that look like an opcode, sorted.
fn candidates(elf: &Elf, read_at: ReadAt<'_>) -> Vec<u64> {
    let mut candidates: Vec<u64> = Vec::new();
    let mut block = vec![0; BLOCK + OVERLAP];
    let mut left = MOST_TEXT;
    for text in elf.text() {
        let size = text.file_size.min(left);
        left -= size;
        let mut done = 0;
        while done < size && candidates.len() < MOST_CANDIDATES {
            let wanted = (size - done).min(block.len() as u64) as usize;
            let len = fill(read_at, &mut block[..wanted], text.offset.wrapping_add(done));
            // An opcode in the overlap is found with the next block.
            opcodes(&block[..len], BLOCK, |at| candidates.push(text.address.wrapping_add(done + at as u64)));
            if len < wanted {
                break;
            }
            done += BLOCK as u64;
        }
    }
    candidates.sort_unstable();
    candidates
}

/// Whether two bytes may be the opcode of a sensitive instruction that doesn't fault by itself.
#[inline]
fn is_opcode(first: u8, second: u8) -> bool {
    (first == 0x0f) & ((second == 0xa2) | (second == 0xc7) | (second == 0x03))
}

/// Where opcodes are in `text`, before `end`.
fn opcodes(text: &[u8], end: usize, mut found: impl FnMut(usize)) {
    // A chunk at a time, without a branch for each byte: nearly all have none.
    const CHUNK: usize = 256;
    let end = end.min(text.len().saturating_sub(1));
    let mut look_closer = |at: usize, len: usize| {
        for at in at..at + len {
            // Without prefixes, which change no more than sizes and the meaning of reg 7.
            let looks_like_one = text.get(at + 2).is_none_or(|&modrm| match text[at + 1] {
                0xa2 => true,
                0xc7 => modrm >= 0xf0,
                _ => modrm >= 0xc0,
            });
            if is_opcode(text[at], text[at + 1]) && looks_like_one {
                found(at);
            }
        }
    };
    let whole = end / CHUNK * CHUNK;
    for at in (0..whole).step_by(CHUNK) {
        let firsts: &[u8; CHUNK] = text[at..].first_chunk().unwrap_or(&[0; CHUNK]);
        let seconds: &[u8; CHUNK] = text[at + 1..].first_chunk().unwrap_or(&[0; CHUNK]);
        let mut any = 0_u8;
        for index in 0..CHUNK {
            any |= u8::from(is_opcode(firsts[index], seconds[index]));
        }
        if any != 0 {
            look_closer(at, CHUNK);
        }
    }
    look_closer(whole, end - whole);
}

/// Adds the sites in a function, of which `len` bytes are decoded from its beginning `start` on, or up to what can't be decoded.
fn add_function(elf: &Elf, read_at: ReadAt<'_>, start: u64, len: u64, sites: &mut Vec<Site>) {
    let Some(offset) = elf.text_offset_of(start) else { return };
    let code = table(read_at, offset, len as usize);
    let mut at = 0;
    while let Some(instruction) = length::decode(&code[at..]) {
        let sensitive = Sensitive::decode(&code[at..at + instruction.len]);
        if sensitive.is_some_and(|(sensitive, _)| !sensitive.always_faults()) {
            sites.push(Site { offset: offset + at as u64, first: code[at] });
        }
        at += instruction.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::arch::naked_asm;

    /// A file in memory.
    fn find_in(file: &[u8]) -> Vec<Site> {
        find(&|buf, offset| {
            let rest = usize::try_from(offset).ok().and_then(|offset| file.get(offset..)).unwrap_or_default();
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    /// Each of these instructions, and what only looks like one: in a number, and behind the end.
    #[unsafe(naked)]
    extern "C" fn sample() {
        naked_asm!(
            "push rbx",
            "mov eax, 0xa20f",
            "cpuid",
            "rdrand r10",
            "rdseed cx",
            "rdpid rdx",
            "mov ecx, 0x7b",
            "lsl eax, ecx",
            "cmpxchg16b [rdi]",
            "pop rbx",
            "ret",
        );
    }
    const EXPECTED: [u64; 5] = [6, 8, 12, 16, 25];

    /// The file that this program was loaded from, and where in it an address is.
    fn own_file() -> (Vec<u8>, u64) {
        let at = sample as *const () as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("proc is there");
        let number = |text: &str| u64::from_str_radix(text, 16).expect("a hexadecimal number");
        let offset = maps.lines().find_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let (from, to) = words[0].split_once('-')?;
            (number(from)..number(to)).contains(&at).then(|| at - number(from) + number(words[2]))
        });
        (std::fs::read("/proc/self/exe").expect("it is there"), offset.expect("it is mapped"))
    }

    #[test]
    fn instructions_of_a_function_are_found_and_nothing_else() {
        let (file, begin) = own_file();
        let sites = find_in(&file);
        let found: Vec<u64> = sites
            .iter()
            .map(|site| site.offset)
            .filter(|at| (begin..begin + 36).contains(at))
            .map(|at| at - begin)
            .collect();
        assert_eq!(found, EXPECTED);
        assert!(sites.iter().all(|site| file[site.offset as usize] == site.first));
    }

    #[test]
    fn nonsense_has_no_sites_and_does_no_harm() {
        let (file, _) = own_file();
        // A linear congruential generator: what matters is that all of the headers are hit.
        let mut state = 1_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut broken = file[..file.len().min(1 << 20)].to_vec();
        for _ in 0..300 {
            let (at, byte) = (next(1024), next(256) as u8);
            let before = core::mem::replace(&mut broken[at], byte);
            let len = if next(4) == 0 { next(broken.len()) } else { broken.len() };
            let _ = find_in(&broken[..len]);
            if next(3) == 0 {
                broken[at] = before;
            }
        }
        assert_eq!(find_in(b"#!/bin/sh\n"), []);
    }

    #[test]
    fn an_opcode_at_any_place_of_the_text_is_found() {
        for at in 0..600 {
            let mut text = vec![0x90; 700];
            text[at..at + 2].copy_from_slice(&[0x0f, 0xa2]);
            let mut found = Vec::new();
            opcodes(&text, 512, |at| found.push(at));
            assert_eq!(found, if at < 512 { vec![at] } else { vec![] });
        }
    }

    #[test]
    fn the_sample_can_be_decoded() {
        let mut code = [0_u8; 36];
        // SAFETY: it is this program's own text.
        unsafe { core::ptr::copy_nonoverlapping(sample as *const u8, code.as_mut_ptr(), code.len()) };
        let mut at = 0;
        while code[at] != 0xc3 {
            at += length::decode(&code[at..]).expect("a known instruction").len;
        }
    }
}
