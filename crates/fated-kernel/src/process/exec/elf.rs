//! The headers of an ELF file (elf(5)), checked as Linux checks them (`fs/binfmt_elf.c`).
//!
//! Some checks come before the point of no return, and a file that fails them gets an error. Others come after it, and a program that
//! fails them is killed by SIGSEGV ([`Headers::can_be_mapped`]).

use crate::errno::Errno;
use crate::process::exec::script::HEAD;
use alloc::{vec, vec::Vec};

/// A segment to be mapped.
pub const PT_LOAD: u32 = 1;
/// The path of the interpreter.
pub const PT_INTERP: u32 = 3;
/// Whether the stack is executable.
pub const PT_GNU_STACK: u32 = 0x6474_e551;
/// The size of a program header.
const SEGMENT: usize = 56;
/// The program headers take 64 KiB at most.
const MAX_SEGMENTS: usize = (64 << 10) / SEGMENT;
const MAX_PATH: u64 = 4096;
const PAGE: u64 = 4096;
/// The end of the addresses of a program (`TASK_SIZE`).
const TASK_SIZE: u64 = (1 << 47) - PAGE;

const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;
const X86_64: u16 = 62;

/// Where the fields of the file header stand.
mod at {
    pub const TYPE: usize = 16;
    pub const MACHINE: usize = 18;
    pub const ENTRY: usize = 24;
    pub const TABLE: usize = 32;
    pub const SEGMENT_SIZE: usize = 54;
    pub const SEGMENTS: usize = 56;
}

/// A program header.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// `PT_*`.
    pub kind: u32,
    /// Readable (4), writable (2), executable (1).
    pub flags: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its address.
    pub address: u64,
    /// How much of it stands in the file.
    pub file_size: u64,
    /// Its size in memory.
    pub memory_size: u64,
    /// Its alignment.
    pub align: u64,
}

/// What stands at the beginning of a program.
#[derive(Clone, Debug)]
pub struct Headers {
    /// It can be loaded at any address.
    pub moves: bool,
    /// Where it begins to run.
    pub entry: u64,
    /// Where the program headers stand in the file.
    pub table: u64,
    /// The program headers.
    pub segments: Vec<Segment>,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

/// Whether a file that begins so is a program for a 32-bit x86 processor.
#[must_use]
pub fn is_32_bit(head: &[u8; HEAD]) -> bool {
    const I386: u16 = 3;
    const I486: u16 = 6;
    let kind = short(head, at::TYPE);
    head.starts_with(b"\x7fELF")
        && [EXECUTABLE, SHARED].contains(&kind)
        && [I386, I486].contains(&short(head, at::MACHINE))
}

impl Headers {
    /// Parses the headers of a program, or of an interpreter. `head` is the beginning of the file, and `read_at` reads from it; `None`:
    /// Linux doesn't take the file for one.
    pub fn parse(
        head: &[u8; HEAD],
        interpreter: bool,
        read_at: impl Fn(&mut [u8], u64) -> Result<usize, Errno>,
    ) -> Option<Headers> {
        let kind = short(head, at::TYPE);
        let count = usize::from(short(head, at::SEGMENTS));
        let known = head.starts_with(b"\x7fELF")
            && (interpreter || [EXECUTABLE, SHARED].contains(&kind))
            && short(head, at::MACHINE) == X86_64
            && usize::from(short(head, at::SEGMENT_SIZE)) == SEGMENT
            && (1..=MAX_SEGMENTS).contains(&count);
        if !known {
            return None;
        }
        let table = word(head, at::TABLE);
        let mut bytes = vec![0; count * SEGMENT];
        read_all(&read_at, &mut bytes, table).ok()?;
        let segments = bytes.chunks_exact(SEGMENT).map(Segment::parse).collect();
        Some(Headers { moves: kind == SHARED, entry: word(head, at::ENTRY), table, segments })
    }

    /// The path of the interpreter (the dynamic linker), if the program wants one.
    pub fn interpreter(
        &self,
        read_at: impl Fn(&mut [u8], u64) -> Result<usize, Errno>,
    ) -> Result<Option<Vec<u8>>, Errno> {
        let Some(it) = self.segments.iter().find(|it| it.kind == PT_INTERP) else { return Ok(None) };
        if !(2..=MAX_PATH).contains(&it.file_size) {
            return Err(Errno::ENOEXEC);
        }
        let mut path = vec![0; it.file_size as usize];
        read_all(&read_at, &mut path, it.offset)?;
        if path.last() != Some(&0) {
            return Err(Errno::ENOEXEC);
        }
        let end = path.iter().position(|&byte| byte == 0).unwrap_or(0);
        path.truncate(end);
        Ok(Some(path))
    }

    /// Whether all segments of a file of `size` bytes can be mapped. Linux finds out when it is too late for an error.
    #[must_use]
    pub fn can_be_mapped(&self, size: u64) -> bool {
        const WRITABLE: u32 = 2;
        // The rest of the last page is zeroed, and has to be there for that.
        let can_be_zeroed = |it: &Segment| {
            let end = it.offset.saturating_add(it.file_size);
            let zeroes = it.flags & WRITABLE != 0
                && it.file_size > 0
                && it.memory_size > it.file_size
                && !end.is_multiple_of(PAGE);
            !zeroes || end - end % PAGE < size
        };
        let fits = |it: &Segment| {
            let aligned = it.file_size == 0 || it.offset % PAGE == it.address % PAGE;
            let whole = it.file_size <= it.memory_size && it.memory_size <= TASK_SIZE;
            aligned && whole && it.address < TASK_SIZE && it.address <= TASK_SIZE - it.memory_size && can_be_zeroed(it)
        };
        self.loads().all(fits) && self.loads().any(|it| it.memory_size > 0)
    }

    /// The segments that are mapped.
    pub fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|it| it.kind == PT_LOAD)
    }

    /// The lowest page and the end of the highest one.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        let low = self.loads().map(|it| it.address).min().unwrap_or(0);
        let high = self.loads().map(|it| it.address.saturating_add(it.memory_size)).max().unwrap_or(0);
        (low & !(PAGE - 1), high.saturating_add(PAGE - 1) & !(PAGE - 1))
    }

    /// The address of the first segment in the table. Linux places a program by it, even if another segment has a lower one.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.loads().next().map_or(0, |it| it.address)
    }

    /// The alignment that the segments want.
    #[must_use]
    pub fn align(&self) -> u64 {
        self.loads().map(|it| it.align).filter(|align| align.is_power_of_two()).max().unwrap_or(1).max(PAGE)
    }
}

impl Segment {
    fn parse(bytes: &[u8]) -> Segment {
        Segment {
            kind: u32::from_le_bytes(field(bytes, 0)),
            flags: u32::from_le_bytes(field(bytes, 4)),
            offset: word(bytes, 8),
            address: word(bytes, 16),
            file_size: word(bytes, 32),
            memory_size: word(bytes, 40),
            align: word(bytes, 48),
        }
    }
}

/// Reads as many bytes as there is room for; fewer are `EIO` (Linux: `elf_read`).
pub(crate) fn read_all(
    read_at: &impl Fn(&mut [u8], u64) -> Result<usize, Errno>,
    buf: &mut [u8],
    offset: u64,
) -> Result<(), Errno> {
    if read_at(buf, offset)? < buf.len() { Err(Errno::EIO) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with one segment and, behind it, the path of an interpreter.
    fn file() -> Vec<u8> {
        let mut file = vec![0; 512];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut put =
            |at: usize, value: u64, len: usize| file[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        for (at, value) in [(at::TYPE, 2), (at::MACHINE, 62), (at::SEGMENT_SIZE, 56), (at::SEGMENTS, 2)] {
            put(at, value, 2);
        }
        put(at::TABLE, 64, 8);
        put(at::ENTRY, 0x40_0100, 8);
        for (at, value) in [(64, 1), (68, 5), (120, 3), (124, 4)] {
            put(at, value, 4);
        }
        for (at, value) in [(80, 0x40_0000), (96, 512), (104, 512), (112, 4096), (128, 256), (152, 8), (160, 8)] {
            put(at, value, 8);
        }
        file[256..264].copy_from_slice(b"/lib/ld\0");
        file
    }

    /// The path of the interpreter, if there is one.
    type Interpreter = Result<Option<Vec<u8>>, Errno>;

    fn parse(file: &[u8]) -> Option<(Headers, Interpreter)> {
        let mut head = [0; HEAD];
        head[..file.len().min(HEAD)].copy_from_slice(&file[..file.len().min(HEAD)]);
        let read_at = |buf: &mut [u8], at: u64| {
            let from = file.get(at as usize..).unwrap_or_default();
            let len = from.len().min(buf.len());
            buf[..len].copy_from_slice(&from[..len]);
            Ok(len)
        };
        let headers = Headers::parse(&head, false, read_at)?;
        let interpreter = headers.interpreter(read_at);
        Some((headers, interpreter))
    }

    #[track_caller]
    fn changed(at: usize, bytes: &[u8]) -> Option<(bool, Interpreter)> {
        let mut file = file();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&file).map(|(headers, interpreter)| (headers.can_be_mapped(512), interpreter))
    }

    #[test]
    fn a_sound_file_is_understood() {
        let (headers, interpreter) = parse(&file()).unwrap();
        assert!(headers.can_be_mapped(512) && !headers.moves);
        assert_eq!((headers.entry, headers.span(), headers.align()), (0x40_0100, (0x40_0000, 0x40_1000), 4096));
        assert_eq!(interpreter, Ok(Some(b"/lib/ld".to_vec())));
    }

    #[test]
    fn what_linux_looks_at_is_looked_at() {
        let fine = Some((true, Ok(Some(b"/lib/ld".to_vec()))));
        for (at, bytes) in
            [(0, b"X"), (at::TYPE, b"\x01"), (at::MACHINE, b"\x03"), (at::SEGMENT_SIZE, b"\x37"), (at::SEGMENTS, b"\0")]
        {
            assert_eq!(changed(at, bytes), None, "at {at}");
        }
        assert_eq!(changed(at::SEGMENTS, &1171u16.to_le_bytes()), None, "more than 64 KiB of program headers");
        assert_eq!(changed(at::TABLE, &5000u64.to_le_bytes()), None, "program headers behind the end");
        // Neither class nor byte order nor version is looked at.
        assert_eq!(changed(4, &[1, 2, 9]), fine);
        assert_eq!(changed(at::TYPE, b"\x03"), fine);
    }

    #[test]
    fn a_bad_interpreter_is_an_error() {
        let with = |at, value: u64| changed(at, &value.to_le_bytes()).unwrap().1;
        assert_eq!(with(152, 1), Err(Errno::ENOEXEC), "too short");
        assert_eq!(with(152, 4097), Err(Errno::ENOEXEC), "too long");
        assert_eq!(with(152, 7), Err(Errno::ENOEXEC), "no NUL at its end");
        assert_eq!(with(128, 510), Err(Errno::EIO), "behind the end");
        assert_eq!(with(152, 9), Ok(Some(b"/lib/ld".to_vec())), "a second NUL");
    }

    #[test]
    fn a_bad_segment_is_found_too_late_for_an_error() {
        let with = |at, value: u64| changed(at, &value.to_le_bytes()).unwrap().0;
        assert!(!with(96, 513), "more in the file than in memory");
        assert!(!with(80, 0x40_0001), "address and offset are not congruent");
        assert!(!with(80, 1 << 47), "beyond the end");
        assert!(!with(104, 1 << 47), "longer than all memory");
        assert!(!with(80, u64::MAX - 4095), "around the end");
        assert!(!changed(64, b"\x06").unwrap().0, "no segment at all");
        let mut file = file();
        file[68] = 6;
        file[96..106].copy_from_slice(&[0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0x12]);
        let (headers, _) = parse(&file).unwrap();
        assert!(headers.can_be_mapped(0x1001) && !headers.can_be_mapped(0x1000), "what is to be zeroed isn't there");
    }
}
