//! Where functions begin and end: by the unwind table, and by symbols.
//!
//! Source: the LSB's core specification, 10.6 (`.eh_frame`, `.eh_frame_hdr`); DWARF 5, 6.4.1; gABI chapter 4 (symbols).

use super::elf::{Elf, Part, number, table};
use super::find::File;
use alloc::vec;
use alloc::vec::Vec;

/// Addresses, the end excluded.
pub type Range = core::ops::Range<u64>;

/// DW_EH_PE_datarel | DW_EH_PE_sdata4, DW_EH_PE_udata4, DW_EH_PE_pcrel | DW_EH_PE_sdata4.
const TABLE_FORM: u8 = 0x3b;
const COUNT_FORM: u8 = 0x03;
const CODE_FORM: u8 = 0x1b;
/// More entries than any file has.
const MOST_ENTRIES: u64 = 1 << 24;

/// The sorted table in `.eh_frame_hdr`: where each function begins, and where its entry in `.eh_frame` is.
pub struct Unwind<'a> {
    file: &'a dyn File,
    elf: &'a Elf,
    at: u64,
    entries: Vec<u8>,
}

impl<'a> Unwind<'a> {
    /// Of a file that has one in the form that linkers write.
    pub fn read(file: &'a dyn File, elf: &'a Elf) -> Option<Unwind<'a>> {
        let part = elf.unwind?;
        let mut head = [0; 12];
        let whole = file.read_at(&mut head, part.offset) == head.len();
        if !whole || head[0] != 1 || head[2] != COUNT_FORM || head[3] != TABLE_FORM || !matches!(head[1], CODE_FORM) {
            return None;
        }
        let count = number::<4>(&head, 8).min(part.size / 8).min(MOST_ENTRIES);
        let entries = table(file, part.offset + 12, count as usize * 8);
        Some(Unwind { file, elf, at: part.address, entries })
    }

    fn address(&self, index: usize, field: usize) -> u64 {
        let distance = number::<4>(&self.entries, index * 8 + field * 4) as u32 as i32;
        self.at.wrapping_add_signed(i64::from(distance))
    }

    /// The function that an address is in.
    pub fn function(&self, address: u64) -> Option<Range> {
        let (mut low, mut high) = (0, self.entries.len() / 8);
        while low < high {
            let middle = low.midpoint(high);
            if self.address(middle, 0) <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = low.checked_sub(1)?;
        let begin = self.address(index, 0);
        let len = self.len_of(self.address(index, 1), begin)?;
        (address - begin < len).then(|| begin..begin.wrapping_add(len))
    }

    /// How long the function is that `.eh_frame` has an entry of at `entry`.
    fn len_of(&self, entry: u64, begin: u64) -> Option<u64> {
        let mut fields = [0; 16];
        let offset = self.elf.offset_of(entry)?;
        if self.file.read_at(&mut fields, offset) < fields.len() {
            return None;
        }
        // Length, distance of the common entry, begin, length of the function; those in the form that the common entry names. The
        // begin is known already, so that another form would show.
        let here = entry.wrapping_add(8).wrapping_add_signed(i64::from(number::<4>(&fields, 8) as u32 as i32));
        (here == begin).then(|| number::<4>(&fields, 12))
    }
}

/// Functions by their symbols: those that any of `addresses`, which are sorted, lies in.
pub fn by_symbols(file: &dyn File, tables: &[Part], addresses: &[u64]) -> Vec<Range> {
    const SYMBOL: usize = 24;
    const AT_ONCE: usize = SYMBOL << 10;
    const FUNCTION: u8 = 2;
    const INDIRECT: u8 = 10;
    let mut found = Vec::new();
    let mut bytes = vec![0; AT_ONCE];
    for part in tables {
        let mut done = 0;
        while done < part.size {
            let wanted = (part.size - done).min(AT_ONCE as u64) as usize;
            let len = file.read_at(&mut bytes[..wanted], part.offset.wrapping_add(done));
            for symbol in bytes[..len].chunks_exact(SYMBOL) {
                let (begin, size) = (number::<8>(symbol, 8), number::<8>(symbol, 16));
                let range = begin..begin.saturating_add(size);
                let next = addresses.partition_point(|&address| address < range.start);
                let holds = addresses.get(next).is_some_and(|address| range.contains(address));
                if holds && matches!(symbol[4] & 15, FUNCTION | INDIRECT) {
                    found.push(range);
                }
            }
            if len < wanted {
                break;
            }
            done += len as u64;
        }
    }
    found
}
