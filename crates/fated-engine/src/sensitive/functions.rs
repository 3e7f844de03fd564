//! Where functions begin and end: by the unwind table, and by symbols.
//!
//! Source: the LSB's core specification, 10.6 (`.eh_frame`, `.eh_frame_hdr`); DWARF 5, 6.4.1; gABI chapter 4 (symbols).

use super::elf::{Elf, fill, number, table};
use super::find::ReadAt;
use alloc::vec;
use alloc::vec::Vec;

/// Addresses, the end excluded.
pub type Range = core::ops::Range<u64>;

/// `DW_EH_PE_datarel | DW_EH_PE_sdata4`, `DW_EH_PE_udata4`, `DW_EH_PE_pcrel | DW_EH_PE_sdata4`.
const TABLE_FORM: u8 = 0x3b;
const COUNT_FORM: u8 = 0x03;
const FRAME_FORM: u8 = 0x1b;
/// More entries than any file has.
const MOST_ENTRIES: u64 = 1 << 22;
/// More bytes than the tables of symbols of any file have.
const MOST_SYMBOLS: u64 = 1 << 28;

/// The sorted table in `.eh_frame_hdr`: where each function begins, and where its entry in `.eh_frame` is.
pub struct Unwind<'a> {
    read_at: ReadAt<'a>,
    elf: &'a Elf,
    address: u64,
    entries: Vec<u8>,
}

impl<'a> Unwind<'a> {
    /// Of a file that has one in the form that linkers write.
    pub fn read(read_at: ReadAt<'a>, elf: &'a Elf) -> Option<Unwind<'a>> {
        let segment = elf.unwind()?;
        let mut head = [0; 12];
        let whole = fill(read_at, &mut head, segment.offset) == head.len();
        if !whole || head[..4] != [1, FRAME_FORM, COUNT_FORM, TABLE_FORM] {
            return None;
        }
        let count = number::<4>(&head, 8).min(segment.file_size / 8).min(MOST_ENTRIES);
        let entries = table(read_at, segment.offset.wrapping_add(head.len() as u64), count as usize * 8);
        Some(Unwind { read_at, elf, address: segment.address, entries })
    }

    fn address(&self, index: usize, field: usize) -> u64 {
        let distance = number::<4>(&self.entries, index * 8 + field * 4) as u32 as i32;
        self.address.wrapping_add_signed(i64::from(distance))
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
        (address - begin < len).then(|| begin..begin.saturating_add(len))
    }

    /// How long the function is that `.eh_frame` has an entry of at `entry`.
    fn len_of(&self, entry: u64, begin: u64) -> Option<u64> {
        let mut fields = [0; 16];
        let offset = self.elf.offset_of(entry)?;
        if fill(self.read_at, &mut fields, offset) < fields.len() {
            return None;
        }
        // The length of the entry, the distance of the common entry, then begin and length of the function. The common entry says in which
        // form these two are. Another form than this would show, as the begin is known.
        let here = entry.wrapping_add(8).wrapping_add_signed(i64::from(number::<4>(&fields, 8) as u32 as i32));
        (here == begin).then(|| number::<4>(&fields, 12))
    }
}

/// Functions by their symbols: those that any of `addresses`, which are sorted, lies in. `tables` are offsets and sizes.
pub fn by_symbols(read_at: ReadAt<'_>, tables: &[(u64, u64)], addresses: &[u64]) -> Vec<Range> {
    const SYMBOL: usize = 24;
    const AT_ONCE: usize = SYMBOL << 10;
    const FUNCTION: u8 = 2;
    const INDIRECT: u8 = 10;
    let mut found = Vec::new();
    let mut bytes = vec![0; AT_ONCE];
    let mut left = MOST_SYMBOLS;
    for &(offset, size) in tables {
        let size = size.min(left);
        left -= size;
        let mut done = 0;
        while done < size {
            let wanted = (size - done).min(AT_ONCE as u64) as usize;
            let len = fill(read_at, &mut bytes[..wanted], offset.wrapping_add(done));
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
