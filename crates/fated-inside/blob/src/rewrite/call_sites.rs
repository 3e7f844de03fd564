//! Rewrites call sites, so that their calls become jumps into the kernel instead of signals.
//!
//! A site is rewritten after a few calls, in the guest's private copy of a file's text, by one of two patterns:
//!
//! - *before*: the instruction before the `syscall` has at least five bytes and can be moved. A jump to a stub
//!   replaces it. The `syscall` stays intact: whoever jumps right to it, or restarts the call, still comes by signal.
//! - *over*: a jump replaces the `syscall` and the instruction behind it. The stub is placed so that the jump's third
//!   byte is [`TRAP`]: whoever reaches the displaced instruction by another way traps, and is sent to its copy in the
//!   stub ([`displaced`]).
//!
//! So it doesn't matter where else the guest may jump: no instruction at the start of a rewritten range can be entered in
//! its middle, and every other one still begins with its own bytes or with a trap.
//!
//! A fork inherits the stubs ([`Stubs`]), an exec drops them, and with them all that this module knows. What an exec loads
//! next is rewritten at once ([`prepared`](super::prepared)).
//!
//! Calls are counted for a process and its forks together ([`Sites`](super::sites::Sites)). A site that only children
//! use, each of them once, is rewritten in the parent before its next fork ([`catch_up`]).

use alloc::vec::Vec;
use fated_kernel::ports::Memory;
use linux_raw_sys::general::*;

use crate::enter::{clock, cpuid, crossing};
use crate::process::Process;
use crate::rewrite::sites::{BEFORE, Code, Known, MOST_SITES, MOST_TRIED, NEVER};
use crate::rewrite::stubs::{JUMP, JUMP_LEN, Piece, Stubs, TRAP, distance, stub_of};
use crate::rewrite::text;
use fated_engine::sensitive::length::decode;

pub const SYSCALL: [u8; 2] = [0x0f, 0x05];
const CPUID: [u8; 2] = [0x0f, 0xa2];
/// After how many calls a site is rewritten. Rewriting costs as much as a few calls by signal.
const CALLS: u8 = 8;
/// How many of these bytes decoding takes to synchronize, from nearly any start.
const SETTLED: usize = 16;

/// Counts a call that came by signal from the `syscall` in front of `rip`, and rewrites the site if it is time.
pub fn count_call(process: &Process, memory: &impl Memory, rip: u64, number: u64) {
    let site = rip.wrapping_sub(SYSCALL.len() as u64);
    let image = process.image.borrow().clone();
    let worthy_before;
    {
        let mut sites = image.sites.borrow_mut();
        let entry = sites.entry(site);
        worthy_before = entry.1 == NEVER;
        if !worthy_before {
            entry.1 += 1;
            if entry.1 < CALLS {
                return;
            }
            // There is only one attempt.
            entry.1 = NEVER;
            if let Some(code) = code_around(memory, site).filter(|_| sites.worthy.len() < MOST_SITES) {
                sites.worthy.push((site, number, code));
            }
        }
    }
    catch_up(process, memory);
    // The code around the site may have differed when it was recorded, with other sites in it rewritten.
    let known = process.known();
    let untried = {
        let tried = known.tried.borrow();
        !tried.contains(&site) && tried.len() < MOST_TRIED
    };
    if worthy_before && untried {
        known.tried.borrow_mut().push(site);
        if let Some(code) = code_around(memory, site) {
            let _ = rewrite(&known, site, number, code);
        }
    }
}

/// Rewrites the sites that other processes of the program have recorded, where this process has the same code.
pub fn catch_up(process: &Process, memory: &impl Memory) {
    let image = process.image.borrow().clone();
    let sites = image.sites.borrow();
    let known = process.known();
    let seen_to = known.seen_to.replace(sites.worthy.len());
    for &(site, number, code) in &sites.worthy[seen_to.min(sites.worthy.len())..] {
        if code_around(memory, site) == Some(code) {
            let _ = rewrite(&known, site, number, code);
        }
    }
}

fn code_around(memory: &impl Memory, site: u64) -> Option<Code> {
    let mut code = [0; BEFORE + 32];
    let begin = site.checked_sub(BEFORE as u64)?;
    (memory.read(begin, &mut code) == code.len()).then_some(code)
}

fn rewrite(known: &Known, site: u64, number: u64, code: Code) -> Option<()> {
    if !is_text(site - BEFORE as u64, site + 32) {
        return None;
    }
    let mut stubs = known.stubs.borrow_mut();
    let piece = plan(&mut stubs, site, number, &code)?;
    stubs.map(PROT_READ | PROT_EXEC).ok()?;
    // The stub first, then the jump to it.
    text::write(&[(piece.stub, &piece.code), (piece.at, &piece.jump)])
}

/// How a site is rewritten; `None` if it can't be, or is already.
pub fn plan(stubs: &mut Stubs, site: u64, number: u64, code: &Code) -> Option<Piece> {
    let (before, after) = code.split_at(BEFORE);
    let last = last_of(before, number).map(|len| (site - len as u64, &before[BEFORE - len..]));
    if code[BEFORE..BEFORE + 2] != SYSCALL || last.is_some_and(|(at, old)| stub_of(at, old).is_some()) {
        return None;
    }
    if let Some((at, old)) = last
        && old.len() >= JUMP_LEN as usize
        && decode(old)?.moves
    {
        return put_before(stubs, at, old);
    }
    let displaced = decode(&after[2..])?;
    let fits = displaced.moves && displaced.len + SYSCALL.len() >= JUMP_LEN as usize;
    if fits { put_over(stubs, site, &after[2..2 + displaced.len]) } else { None }
}

/// The length of the last instruction of this code. Decoding from any start sooner or later synchronizes with the
/// processor. So nearly all starts must agree; if some don't, the instruction must be the one that loads the number.
fn last_of(code: &[u8], number: u64) -> Option<usize> {
    let mut ends = [0_u8; 16];
    for start in 0..=code.len() - SETTLED {
        let mut at = start;
        while let Some(next) = decode(&code[at..]) {
            at += next.len;
            if at == code.len() {
                ends[next.len] += 1;
                break;
            }
        }
    }
    let all: u8 = ends.iter().sum();
    let (len, &most) = ends.iter().enumerate().max_by_key(|(_, count)| **count)?;
    let sure = most == all || loads(&code[code.len() - len..], number as u32) && most >= all / 4 * 3;
    (most > 0 && sure).then_some(len)
}

/// Whether an instruction loads this number of a call.
fn loads(code: &[u8], number: u32) -> bool {
    let rest = code.strip_prefix(&[0xb8]).or_else(|| code.strip_prefix(&[0x48, 0xc7, 0xc0]));
    rest.is_some_and(|rest| rest == number.to_le_bytes())
}

/// Replaces the instruction at `at`, in front of a `syscall`, by a jump.
fn put_before(stubs: &mut Stubs, at: u64, old: &[u8]) -> Option<Piece> {
    let behind = at + (old.len() + SYSCALL.len()) as u64;
    stubs.put(at, |stub| {
        let mut code = Vec::from(old);
        // lea rcx, [behind]
        code.extend([0x48, 0x8d, 0x0d]);
        code.extend(distance(stub + code.len() as u64 + 4, behind)?);
        // mov r11, entry; jmp r11
        code.extend([0x49, 0xbb]);
        code.extend(clock::entry(loads(old, __NR_clock_gettime)).to_le_bytes());
        code.extend([0x41, 0xff, 0xe3]);
        Some(code)
    })
}

/// Replaces the `syscall` at `site` and the instruction behind it by a jump.
fn put_over(stubs: &mut Stubs, site: u64, old: &[u8]) -> Option<Piece> {
    let behind = site + SYSCALL.len() as u64;
    stubs.put_trapping(site, |stub| {
        // lea rcx, [behind]
        let mut code = Vec::from([0x48, 0x8d, 0x0d]);
        code.extend(distance(stub + code.len() as u64 + 4, behind)?);
        // lea r11, [the displaced instruction]
        code.extend([0x4c, 0x8d, 0x1d, 6, 0, 0, 0]);
        leave_and_return(&mut code, stub, crossing::displaced_entry(), behind, old)?;
        Some(code)
    })
}

/// Replaces a `cpuid` at `site`, where `code` stands, and the instruction behind it by a jump.
pub fn over_cpuid(stubs: &mut Stubs, site: u64, code: &[u8]) -> Option<Piece> {
    let code = code.strip_prefix(&CPUID)?;
    let displaced = decode(code)?;
    if !(displaced.moves || displaced.relative.is_some()) || displaced.len + CPUID.len() < JUMP_LEN as usize {
        return None;
    }
    let behind = site + CPUID.len() as u64;
    let mut old = Vec::from(&code[..displaced.len]);
    stubs.put_trapping(site, |stub| {
        if let Some(field) = displaced.relative.and_then(|at| old[at..].first_chunk_mut()) {
            let target = behind.wrapping_add_signed(i64::from(i32::from_le_bytes(*field)));
            *field = distance(stub + DISPLACED_AT, target)?;
        }
        // A nop of seven bytes; lea rdx, [the displaced instruction]
        let mut code = Vec::from([0x0f, 0x1f, 0x80, 0, 0, 0, 0, 0x48, 0x8d, 0x15, 6, 0, 0, 0]);
        leave_and_return(&mut code, stub, cpuid::entry(), behind, &old)?;
        Some(code)
    })
}

/// Continues a stub: the jump to `entry`, then, at [`DISPLACED_AT`], the displaced instruction and the jump behind its old place, `behind`.
fn leave_and_return(code: &mut Vec<u8>, stub: u64, entry: u64, behind: u64, old: &[u8]) -> Option<()> {
    // jmp [the address at the end, which is aligned: the guest may have that checked]
    let behind_copy = old.len() as u64 + JUMP_LEN;
    let address = (stub + DISPLACED_AT + behind_copy).next_multiple_of(8);
    code.extend([0xff, 0x25]);
    code.extend(distance(stub + DISPLACED_AT, address)?);
    code.extend(old);
    code.push(JUMP);
    code.extend(distance(stub + code.len() as u64 + 4, behind + old.len() as u64)?);
    code.resize((address - stub) as usize, 0);
    code.extend(entry.to_le_bytes());
    Some(())
}

/// The offset of the displaced instruction's copy in a stub of [`put_over`].
const DISPLACED_AT: u64 = 20;

/// Where a guest continues that has hit the trap in the jump before `rip`; `None` if there is no such jump.
pub fn displaced(memory: &impl Memory, rip: u64) -> Option<u64> {
    let at = rip.checked_sub(3)?;
    let mut code = [0; JUMP_LEN as usize];
    let whole = memory.read(at, &mut code) == code.len() && code[2] == TRAP;
    stub_of(at, &code).filter(|_| whole).map(|stub| stub + DISPLACED_AT)
}

/// Whether the range is text of a file.
fn is_text(begin: u64, end: u64) -> bool {
    text::mappings().iter().any(|&(from, to)| from <= begin && end <= to)
}
