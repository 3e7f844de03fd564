//! What the finder reads of an ELF file: executable segments, the unwind table, the tables of symbols.
//!
//! Everything in the file may be nonsense; what doesn't hold together isn't there.
//!
//! Source: System V gABI chapters 4 and 5; the LSB's core specification, 10.6 (`.eh_frame_hdr`).

use super::find::File;
use alloc::vec;
use alloc::vec::Vec;

/// A part of the file.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub offset: u64,
    pub size: u64,
    /// Where it stands in memory, unmoved.
    pub address: u64,
}

impl Part {
    /// Where in the file an address of this part is.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        let distance = address.checked_sub(self.address)?;
        (distance < self.size).then(|| self.offset.wrapping_add(distance))
    }
}

/// A table of symbols: the size of an entry is fixed.
pub struct Elf {
    /// All that is loaded.
    pub loads: Vec<Part>,
    /// Those of them that are executable.
    pub text: Vec<Part>,
    /// `.eh_frame_hdr`.
    pub unwind: Option<Part>,
    /// `.symtab` and `.dynsym`.
    pub symbols: Vec<Part>,
}

const MOST_SEGMENTS: usize = 256;
const MOST_SECTIONS: usize = 4096;

/// The number of `N` bytes at `at`, 0 behind the end.
pub fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    if let Some(bytes) = bytes.get(at..at + N) {
        number[..N].copy_from_slice(bytes);
    }
    u64::from_le_bytes(number)
}

impl Elf {
    /// Of a 64-bit file for x86-64.
    pub fn parse(file: &dyn File) -> Option<Elf> {
        const PROGRAM: usize = 56;
        const SECTION: usize = 64;
        let mut head = [0; 64];
        let whole = file.read_at(&mut head, 0) == head.len();
        if !whole || head[..6] != *b"\x7fELF\x02\x01" || number::<2>(&head, 18) != 62 {
            return None;
        }
        let mut elf = Elf { loads: Vec::new(), text: Vec::new(), unwind: None, symbols: Vec::new() };
        let count = number::<2>(&head, 56) as usize;
        if number::<2>(&head, 54) as usize != PROGRAM || count > MOST_SEGMENTS {
            return None;
        }
        for entry in table(file, number::<8>(&head, 32), count * PROGRAM).chunks_exact(PROGRAM) {
            let part =
                Part { offset: number::<8>(entry, 8), size: number::<8>(entry, 32), address: number::<8>(entry, 16) };
            match number::<4>(entry, 0) {
                1 => {
                    elf.loads.push(part);
                    if number::<4>(entry, 4) & 1 != 0 {
                        elf.text.push(part);
                    }
                }
                0x6474_e550 => elf.unwind = Some(part),
                _ => {}
            }
        }
        let count = number::<2>(&head, 60) as usize;
        if number::<2>(&head, 58) as usize == SECTION && count <= MOST_SECTIONS {
            for entry in table(file, number::<8>(&head, 40), count * SECTION).chunks_exact(SECTION) {
                if matches!(number::<4>(entry, 4), 2 | 11) {
                    let (offset, size) = (number::<8>(entry, 24), number::<8>(entry, 32));
                    elf.symbols.push(Part { offset, size, address: 0 });
                }
            }
        }
        Some(elf)
    }

    /// Where in the file an address is.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.loads.iter().find_map(|part| part.offset_of(address))
    }
}

/// As much of it as is there.
pub fn table(file: &dyn File, offset: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let len = file.read_at(&mut bytes, offset);
    bytes.truncate(len);
    bytes
}
