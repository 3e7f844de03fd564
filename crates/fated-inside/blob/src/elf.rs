//! The headers of an ELF file, checked as far as Linux does before an exec has no way back (`fs/binfmt_elf.c`).

use alloc::vec::Vec;

use fated_kernel::errno::Errno;

use crate::sys;

pub const PT_LOAD: u32 = 1;
pub const PT_INTERP: u32 = 3;
pub const PT_PHDR: u32 = 6;
pub const PT_GNU_STACK: u32 = 0x6474_e551;
const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// More than any linker makes; Linux takes what fits a page.
const MAX_SEGMENTS: usize = 73;
const MAX_PATH: u64 = 4096;

/// A program header.
#[derive(Clone, Copy)]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub address: u64,
    pub file_size: u64,
    pub memory_size: u64,
    pub align: u64,
}

/// What stands at the beginning of a program.
pub struct Headers {
    /// It can be loaded anywhere.
    pub moves: bool,
    pub entry: u64,
    /// Where the program headers stand in the file.
    pub table: u64,
    pub segments: Vec<Segment>,
    /// The path of the interpreter (the dynamic linker).
    pub interpreter: Option<Vec<u8>>,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

impl Headers {
    /// Reads them; `head` is the beginning of the file.
    pub fn read(fd: i32, head: &[u8]) -> Result<Headers, Errno> {
        const EXECUTABLE: u16 = 2;
        const SHARED: u16 = 3;
        const X86_64: u16 = 62;
        let short = |at| u16::from_le_bytes(field(head, at));
        let count = usize::from(short(56));
        let known = head.len() >= HEADER
            && head.starts_with(b"\x7fELF\x02\x01")
            && short(18) == X86_64
            && [EXECUTABLE, SHARED].contains(&short(16))
            && usize::from(short(54)) == SEGMENT
            && (1..=MAX_SEGMENTS).contains(&count);
        if !known {
            return Err(Errno::ENOEXEC);
        }
        let mut table = alloc::vec![0; count * SEGMENT];
        if sys::read_at(fd, &mut table, word(head, 32))? < table.len() {
            return Err(Errno::ENOEXEC);
        }
        let segments: Vec<Segment> = table
            .chunks_exact(SEGMENT)
            .map(|it| Segment {
                kind: u32::from_le_bytes(field(it, 0)),
                flags: u32::from_le_bytes(field(it, 4)),
                offset: word(it, 8),
                address: word(it, 16),
                file_size: word(it, 32),
                memory_size: word(it, 40),
                align: word(it, 48),
            })
            .collect();
        let mut loads = segments.iter().filter(|it| it.kind == PT_LOAD).peekable();
        let sound = |it: &Segment| {
            it.file_size <= it.memory_size && it.address.checked_add(it.memory_size).is_some_and(|end| end < 1 << 47)
        };
        if loads.peek().is_none() || !loads.all(sound) {
            return Err(Errno::ENOEXEC);
        }
        let interpreter = match segments.iter().find(|it| it.kind == PT_INTERP) {
            None => None,
            Some(it) if !(2..=MAX_PATH).contains(&it.file_size) => return Err(Errno::ENOEXEC),
            Some(it) => {
                let mut path = alloc::vec![0; it.file_size as usize];
                if sys::read_at(fd, &mut path, it.offset)? < path.len() || path.pop() != Some(0) {
                    return Err(Errno::ENOEXEC);
                }
                Some(path)
            }
        };
        Ok(Headers { moves: short(16) == SHARED, entry: word(head, 24), table: word(head, 32), segments, interpreter })
    }

    /// What is mapped.
    pub fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|it| it.kind == PT_LOAD)
    }

    /// The lowest page and the end of the highest one.
    pub fn span(&self) -> (u64, u64) {
        let low = self.loads().map(|it| it.address).min().unwrap_or(0);
        let high = self.loads().map(|it| it.address + it.memory_size).max().unwrap_or(0);
        (low & !4095, (high + 4095) & !4095)
    }

    /// The alignment that the segments want.
    pub fn align(&self) -> u64 {
        self.loads().map(|it| it.align).filter(|align| align.is_power_of_two()).max().unwrap_or(1).max(4096)
    }
}
