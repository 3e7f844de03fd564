//! The blob as a file, from which Linux executes it.
//!
//! Each run has its own file in memory. At first it has only what Linux itself loads: headers and gate. The text is
//! mapped from fated's own program file, which contains the blob; if a run forks a lot, the blob copies it
//! (`memory::huge`). Debug information is added after a while.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::slice;

use super::sys::{self, Os};
use crate::protocol::layout::{BLOB_FD, BLOCK_SIZE, TEXT_FD, TextFile};

/// Text is mapped by pages, so it must begin at one in the file, too.
#[repr(C, align(4096))]
struct Aligned<T>(T);

const SIZE: usize = include_bytes!(concat!(env!("OUT_DIR"), "/fated-blob")).len();
static BLOB: Aligned<[u8; SIZE]> = Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/fated-blob")));
const PAGE: usize = 4096;
const HEADER: usize = size_of::<libc::Elf64_Ehdr>();
const SEGMENT: usize = size_of::<libc::Elf64_Phdr>();

/// The files from which the blob is loaded.
pub(crate) struct Blob {
    /// What is executed.
    pub file: File,
    /// The file of its text, if that is another one.
    text: Option<File>,
    /// How many bytes of the file are written.
    loaded: usize,
}

fn word(at: usize) -> usize {
    BLOB.0.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, usize::from_le_bytes)
}

/// Offset and size of the gate, which is the first segment that Linux loads.
fn gate() -> (usize, usize) {
    let (table, count) = (word(32), word(56) & 0xffff);
    let mut all = (0..count).map(|number| table + number * SEGMENT);
    let gate = all.find(|&at| word(at) as u32 == libc::PT_LOAD).unwrap_or(0);
    (word(gate + 8), word(gate + 32))
}

impl Blob {
    /// Creates the file.
    pub fn new() -> Os<Blob> {
        let file = sys::memfd(c"fated")?;
        let bytes = &BLOB.0[..];
        let put = |begin: usize, end: usize| {
            let (begin, end) = (begin & !(PAGE - 1), end.next_multiple_of(PAGE).min(bytes.len()));
            file.write_all_at(&bytes[begin..end], begin as u64).map(|()| end).map_err(|_| sys::last())
        };
        // Huge pages need whole blocks.
        file.set_len(BLOCK_SIZE.max(SIZE as u64)).map_err(|_| sys::last())?;
        put(0, HEADER)?;
        let (gate, size) = gate();
        let loaded = put(gate, gate + size)?;
        let (text, words) = match text_file() {
            Some((text, offset)) => (Some(text), TextFile { fd: TEXT_FD as u64, offset }),
            None => {
                put(0, gate)?;
                (None, TextFile { fd: BLOB_FD as u64, offset: 0 })
            }
        };
        // SAFETY: two numbers without padding.
        let words = unsafe { slice::from_raw_parts((&raw const words).cast::<u8>(), size_of::<TextFile>()) };
        file.write_all_at(words, gate as u64).map_err(|_| sys::last())?;
        Ok(Blob { file, text, loaded })
    }

    /// Adds the debug information. Without it a debugger shows addresses.
    pub fn add_symbols(&self) {
        let _ = self.file.write_all_at(&BLOB.0[self.loaded..], self.loaded as u64);
    }

    /// The file that the first process must hold as [`TEXT_FD`].
    pub fn text(&self) -> &File {
        self.text.as_ref().unwrap_or(&self.file)
    }
}

/// The running program's file and the offset of the blob in it; `None` if it can't be read or doesn't contain the
/// blob as is.
fn text_file() -> Option<(File, u64)> {
    let address = &raw const BLOB as u64;
    // SAFETY: takes a number.
    let [table, count] = [libc::AT_PHDR, libc::AT_PHNUM].map(|kind| unsafe { libc::getauxval(kind) });
    if table == 0 {
        return None;
    }
    // SAFETY: Linux says where the program headers are.
    let headers = unsafe { slice::from_raw_parts(table as *const libc::Elf64_Phdr, count as usize) };
    let moved = table - headers.iter().find(|it| it.p_type == libc::PT_PHDR)?.p_vaddr;
    let holds = |it: &&libc::Elf64_Phdr| {
        let begin = it.p_vaddr + moved;
        it.p_type == libc::PT_LOAD && begin <= address && address + SIZE as u64 <= begin + it.p_filesz
    };
    let segment = headers.iter().find(holds)?;
    let offset = address - moved - segment.p_vaddr + segment.p_offset;
    let file = File::open("/proc/self/exe").ok()?;
    let mut head = [0; HEADER];
    file.read_exact_at(&mut head, offset).ok()?;
    (offset.is_multiple_of(PAGE as u64) && head[..] == BLOB.0[..HEADER]).then_some((file, offset))
}
