//! What the finder reads of an ELF file: executable segments, the unwind table, the tables of symbols.
//!
//! Anything in the file may be nonsense. A part that doesn't hold together is left out.
//!
//! Source: System V gABI chapters 4 and 5; the LSB's core specification, 10.6 (`.eh_frame_hdr`).

use super::find::ReadAt;
use alloc::vec;
use alloc::vec::Vec;
use fated_kernel::process::exec::elf::{Headers, Segment};
use fated_kernel::process::exec::script::HEAD;

const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const SHT_SYMTAB: u64 = 2;
const SHT_DYNSYM: u64 = 11;
/// Of `p_flags`.
const EXECUTABLE: u32 = 1;
/// Of `e_ident`: 64 bits, little-endian.
const CLASS_AND_DATA: [u8; 2] = [2, 1];
/// The size of a section header.
const SECTION: usize = 64;
const MOST_SECTIONS: usize = 4096;

/// The parts of a file that the finder uses.
pub struct Elf {
    headers: Headers,
    /// Offset and size of `.symtab` and `.dynsym`.
    pub symbols: Vec<(u64, u64)>,
}

/// The number of `N` bytes at `at`, 0 behind the end.
pub fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    if let Some(bytes) = bytes.get(at..at + N) {
        number[..N].copy_from_slice(bytes);
    }
    u64::from_le_bytes(number)
}

/// Reads until the buffer is full or the file ends. Returns how much was read.
pub fn fill(read_at: ReadAt<'_>, buf: &mut [u8], offset: u64) -> usize {
    let mut done = 0;
    while done < buf.len()
        && let Ok(len @ 1..) = read_at(&mut buf[done..], offset.wrapping_add(done as u64))
    {
        done += len;
    }
    done
}

/// As much of the `size` bytes at `offset` as the file has.
pub fn table(read_at: ReadAt<'_>, offset: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let len = fill(read_at, &mut bytes, offset);
    bytes.truncate(len);
    bytes
}

/// The place in the file of an address in this segment.
fn offset_in(segment: &Segment, address: u64) -> Option<u64> {
    let distance = address.checked_sub(segment.address)?;
    (distance < segment.file_size).then(|| segment.offset.wrapping_add(distance))
}

impl Elf {
    /// Of a 64-bit file for x86-64.
    pub fn parse(read_at: ReadAt<'_>) -> Option<Elf> {
        let mut head = [0; HEAD];
        fill(read_at, &mut head, 0);
        if head[4..6] != CLASS_AND_DATA {
            return None;
        }
        let headers = Headers::parse(&head, true, read_at)?;
        let (size, count) = (number::<2>(&head, 58) as usize, number::<2>(&head, 60) as usize);
        let count = if size == SECTION { count.min(MOST_SECTIONS) } else { 0 };
        let sections = table(read_at, number::<8>(&head, 40), count * SECTION);
        let symbols = sections
            .chunks_exact(SECTION)
            .filter(|section| matches!(number::<4>(section, 4), SHT_SYMTAB | SHT_DYNSYM))
            .map(|section| (number::<8>(section, 24), number::<8>(section, 32)))
            .collect();
        Some(Elf { headers, symbols })
    }

    /// The executable segments.
    pub fn text(&self) -> impl Iterator<Item = &Segment> {
        self.headers.loads().filter(|segment| segment.flags & EXECUTABLE != 0)
    }

    /// `.eh_frame_hdr`.
    pub fn unwind(&self) -> Option<&Segment> {
        self.headers.segments.iter().find(|segment| segment.kind == PT_GNU_EH_FRAME)
    }

    /// The place in the file of an address.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.headers.loads().find_map(|segment| offset_in(segment, address))
    }

    /// The same for an address in an executable segment.
    pub fn text_offset_of(&self, address: u64) -> Option<u64> {
        self.text().find_map(|segment| offset_in(segment, address))
    }
}
