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
//! Stubs lie in areas where Linux never places a mapping by itself, within two gigabytes of the text. A fork inherits
//! them, an exec drops them, and with them all that this module knows.
//!
//! Calls are counted for a process and its forks together ([`Sites`](super::sites::Sites)). A site that only children
//! use, each of them once, is rewritten in the parent before its next fork ([`catch_up`]).

use alloc::vec::Vec;
use core::cell::Cell;

use fated_kernel::ports::Memory;
use linux_raw_sys::general::*;

use crate::enter::clock;
use crate::enter::crossing;
use crate::memory::reserved::{AREA_SIZE, AREAS};
use crate::process::Process;
use crate::rewrite::sites::{BEFORE, Code, Known, MOST_SITES, MOST_TRIED, NEVER, PART_SIZE, Room, map};
use crate::rewrite::text;
use fated_engine::sensitive::length::decode;

/// The opcode of a jump with a distance of 32 bits.
const JUMP: u8 = 0xe9;
const JUMP_LEN: u64 = 5;
/// `int3`.
const TRAP: u8 = 0xcc;
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// After how many calls a site is rewritten. Rewriting costs as much as a few calls by signal.
const CALLS: u8 = 8;
/// How many of these bytes decoding takes to synchronize, from nearly any start.
const SETTLED: usize = 16;
/// The size of the longest stub.
const STUB_SIZE: u64 = 64;

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
    let (before, after) = code.split_at(BEFORE);
    let last = last_of(before, number).map(|len| (site - len as u64, &before[BEFORE - len..]));
    let done = code[BEFORE..BEFORE + 2] != SYSCALL || last.is_some_and(|(at, old)| stub_of(at, old).is_some());
    if done || !is_text(site - BEFORE as u64, site + 32) {
        return None;
    }
    if let Some((at, old)) = last
        && old.len() >= JUMP_LEN as usize
        && decode(old)?.moves
    {
        return put_before(known, at, old);
    }
    let displaced = decode(&after[2..])?;
    let fits = displaced.moves && displaced.len + SYSCALL.len() >= JUMP_LEN as usize;
    if fits { put_over(known, site, &after[2..2 + displaced.len]) } else { None }
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
fn put_before(known: &Known, at: u64, old: &[u8]) -> Option<()> {
    let behind = at + (old.len() + SYSCALL.len()) as u64;
    let room = room_near(known, at)?;
    let stub = room.get().low;
    if stub + STUB_SIZE > room.get().begin + PART_SIZE {
        return None;
    }
    map(room, stub + STUB_SIZE)?;
    let mut code = Vec::from(old);
    // lea rcx, [behind]
    code.extend([0x48, 0x8d, 0x0d]);
    code.extend(distance(stub + code.len() as u64 + 4, behind)?);
    // mov r11, entry; jmp r11
    code.extend([0x49, 0xbb]);
    code.extend(clock::entry(loads(old, __NR_clock_gettime)).to_le_bytes());
    code.extend([0x41, 0xff, 0xe3]);
    room.set(Room { low: stub + (code.len() as u64).next_multiple_of(16), ..room.get() });
    place(at, stub, &code)
}

/// Replaces the `syscall` at `site` and the instruction behind it by a jump.
fn put_over(known: &Known, site: u64, old: &[u8]) -> Option<()> {
    let behind = site + SYSCALL.len() as u64;
    let room = room_near(known, site)?;
    // The lowest stub whose distance has the trap as its second byte.
    let from = site + JUMP_LEN;
    let lowest = room.get().high as i64 - from as i64;
    let mut far = lowest & !0xffff | i64::from(TRAP) << 8 | 0xc0;
    if far < lowest {
        far += 0x1_0000;
    }
    let stub = from.wrapping_add_signed(far);
    if stub + STUB_SIZE > room.get().begin + AREA_SIZE {
        return None;
    }
    map(room, stub + STUB_SIZE)?;
    let mut code = Vec::new();
    // lea rcx, [behind]
    code.extend([0x48, 0x8d, 0x0d]);
    code.extend(distance(stub + code.len() as u64 + 4, behind)?);
    // lea r11, [the displaced instruction]; jmp [the address at the end, which is aligned: the guest may have that checked]
    code.extend([0x4c, 0x8d, 0x1d, 6, 0, 0, 0]);
    let behind_copy = old.len() as u64 + JUMP_LEN;
    let address = (stub + DISPLACED_AT + behind_copy).next_multiple_of(8);
    code.extend([0xff, 0x25]);
    code.extend(distance(stub + DISPLACED_AT, address)?);
    code.extend(old);
    code.push(JUMP);
    code.extend(distance(stub + code.len() as u64 + 4, behind + old.len() as u64)?);
    code.resize((address - stub) as usize, 0);
    code.extend(crossing::displaced_entry().to_le_bytes());
    room.set(Room { high: stub + STUB_SIZE, ..room.get() });
    place(site, stub, &code)
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

/// The target of the jump at `at`, if it is one of this module's.
fn stub_of(at: u64, code: &[u8]) -> Option<u64> {
    let (&[JUMP, a, b, c, d], _) = code.split_first_chunk()? else { return None };
    let to = (at + JUMP_LEN).wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d])));
    AREAS.iter().any(|&area| (area..area + AREA_SIZE).contains(&to)).then_some(to)
}

/// Writes the stub first, then the jump to it.
fn place(at: u64, stub: u64, code: &[u8]) -> Option<()> {
    let mut jump = [JUMP; JUMP_LEN as usize];
    jump[1..].copy_from_slice(&distance(at + JUMP_LEN, stub)?);
    text::write(&[(stub, code), (at, &jump)])
}

fn distance(from: u64, to: u64) -> Option<[u8; 4]> {
    i32::try_from(to.wrapping_sub(from) as i64).ok().map(i32::to_le_bytes)
}

/// The area within reach of a jump from `at`.
fn room_near(known: &Known, at: u64) -> Option<&Cell<Room>> {
    const REACH: u64 = (1 << 31) - AREA_SIZE;
    known.rooms.iter().find(|room| room.get().begin.abs_diff(at) < REACH)
}

/// Whether the range is text of a file.
fn is_text(begin: u64, end: u64) -> bool {
    text::mappings().iter().any(|&(from, to)| from <= begin && end <= to)
}
