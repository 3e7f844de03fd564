//! Where stubs lie: in areas where Linux never places a mapping by itself, within two gigabytes of the text.
//!
//! Invariant: a stub that a jump leads to is mapped, and no other stub overlaps it.

use alloc::vec::Vec;

use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::memory::reserved::{AREA_SIZE, AREAS};
use crate::sys;

/// The opcode of a jump with a distance of 32 bits.
pub const JUMP: u8 = 0xe9;
pub const JUMP_LEN: u64 = 5;
/// `int3`.
pub const TRAP: u8 = 0xcc;
/// The size of the longest stub.
const STUB_SIZE: u64 = 64;
/// How much of an area is for stubs at any place, and how much is mapped at once: a fork walks through all that is
/// mapped.
const PART_SIZE: u64 = 64 << 10;

/// A site that is rewritten: a jump and the stub that it leads to.
#[derive(Clone)]
pub struct Piece {
    pub at: u64,
    pub jump: [u8; JUMP_LEN as usize],
    pub stub: u64,
    pub code: Vec<u8>,
}

/// What is taken of an area, and what of it is mapped. The first part is filled from its beginning on. Behind it are the
/// stubs whose jumps hold a trap.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Area {
    begin: u64,
    /// The end of what is taken in the first part.
    low: u64,
    /// What is taken behind it: where these stubs begin.
    trapping: Vec<u64>,
    mapped: u64,
}

/// The stubs of an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stubs([Area; AREAS.len()]);

impl Default for Stubs {
    fn default() -> Stubs {
        Stubs(AREAS.map(|begin| Area { begin, low: begin, trapping: Vec::new(), mapped: begin }))
    }
}

impl Stubs {
    /// The area within reach of a jump from `at`.
    fn near(&mut self, at: u64) -> Option<&mut Area> {
        const REACH: u64 = (1 << 31) - AREA_SIZE;
        self.0.iter_mut().find(|area| area.begin.abs_diff(at) < REACH)
    }

    /// Makes room for a stub within reach of `at`. `code` makes its code for this address.
    pub fn put(&mut self, at: u64, code: impl FnOnce(u64) -> Option<Vec<u8>>) -> Option<Piece> {
        let area = self.near(at)?;
        let stub = area.low;
        if stub + STUB_SIZE > area.begin + PART_SIZE {
            return None;
        }
        let piece = piece(at, stub, code(stub)?)?;
        area.low = (stub + piece.code.len() as u64).next_multiple_of(16);
        Some(piece)
    }

    /// The same, at a distance whose second byte is [`TRAP`], so that it is the third byte of the jump.
    pub fn put_trapping(&mut self, at: u64, code: impl FnOnce(u64) -> Option<Vec<u8>>) -> Option<Piece> {
        let area = self.near(at)?;
        let from = at + JUMP_LEN;
        let (begin, end) = (area.begin + PART_SIZE, area.begin + AREA_SIZE);
        let nearest = (begin as i64 - from as i64) & !0xffff | i64::from(TRAP) << 8;
        let mut distances = (0..AREA_SIZE as i64 >> 16).flat_map(|round| {
            let first = nearest + (round << 16);
            (first..first + 0x100).step_by(8)
        });
        let fits = |stub: &u64| {
            let apart = |&taken: &u64| taken.abs_diff(*stub) >= STUB_SIZE;
            (begin..=end - STUB_SIZE).contains(stub) && area.trapping.iter().all(apart)
        };
        let stub = distances.find_map(|distance| Some(from.wrapping_add_signed(distance)).filter(fits))?;
        let piece = piece(at, stub, code(stub)?)?;
        area.trapping.push(stub);
        Some(piece)
    }

    /// Maps what is taken, with this protection if it is mapped now.
    pub fn map(&mut self, prot: u32) -> Result<(), Errno> {
        for area in &mut self.0 {
            let taken = area.trapping.iter().max().map_or(area.low, |stub| stub + STUB_SIZE);
            let end = taken.next_multiple_of(PART_SIZE);
            if end > area.mapped {
                let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
                sys::mmap(area.mapped, end - area.mapped, prot, flags, -1, 0)?;
                area.mapped = end;
            }
        }
        Ok(())
    }

    /// Gives what is mapped a protection.
    pub fn protect(&self, prot: u32) -> Result<(), Errno> {
        for area in self.0.iter().filter(|area| area.mapped > area.begin) {
            sys::ask(__NR_mprotect, [area.begin, area.mapped - area.begin, u64::from(prot), 0, 0, 0])?;
        }
        Ok(())
    }
}

fn piece(at: u64, stub: u64, code: Vec<u8>) -> Option<Piece> {
    let mut jump = [JUMP; JUMP_LEN as usize];
    jump[1..].copy_from_slice(&distance(at + JUMP_LEN, stub)?);
    Some(Piece { at, jump, stub, code })
}

/// The target of the jump at `at`, if it leads to a stub.
pub fn stub_of(at: u64, code: &[u8]) -> Option<u64> {
    let (&[JUMP, a, b, c, d], _) = code.split_first_chunk()? else { return None };
    let to = (at + JUMP_LEN).wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d])));
    AREAS.iter().any(|&area| (area..area + AREA_SIZE).contains(&to)).then_some(to)
}

/// The distance of a jump, or of an address relative to the next instruction.
pub fn distance(from: u64, to: u64) -> Option<[u8; 4]> {
    i32::try_from(to.wrapping_sub(from) as i64).ok().map(i32::to_le_bytes)
}
