//! The vDSO of guests: a small shared object whose functions make system calls and nothing else.
//!
//! Linux's own vDSO reads the real clock from pages beside it. When a program starts, an engine unmaps those pages and puts
//! this image in the place of Linux's. Reading the time through the vDSO then is a call like any other. The image is the same on
//! every machine and on both engines, except for the few bytes of each function that the engine inside rewrites.
//!
//! Invariants: the image needs no relocation, writes nothing, and fits into a page.
//!
//! Source: vdso(7); the System V ABI, chapters 4 and 5, and its supplement for x86-64; the LSB for versions and `.eh_frame`.

/// Each function and the number of its call. It has two symbols, with and without the prefix `__vdso_`.
const FUNCTIONS: [(&str, u32); 5] = [
    ("__vdso_clock_gettime", 228),
    ("__vdso_gettimeofday", 96),
    ("__vdso_time", 201),
    ("__vdso_clock_getres", 229),
    ("__vdso_getcpu", 309),
];
const PREFIX: usize = "__vdso_".len();
const SONAME: &str = "linux-vdso.so.1";
const VERSION: &str = "LINUX_2.6";

/// The space for a function.
const SLOT: usize = 64;
/// The number of symbols without the first one, which is null.
const SYMBOLS: usize = 2 * FUNCTIONS.len();

// Offsets in the image.
const HEADERS: usize = 64;
const DYNAMIC: usize = HEADERS + 3 * 56;
const SYMTAB: usize = DYNAMIC + 11 * 16;
const HASH: usize = SYMTAB + 24 * (1 + SYMBOLS);
const GNU_HASH: usize = (HASH + 4 * (3 + 1 + SYMBOLS)).next_multiple_of(8);
const VERSYM: usize = GNU_HASH + 28 + 4 * SYMBOLS;
const VERDEF: usize = (VERSYM + 2 * (1 + SYMBOLS)).next_multiple_of(8);
const STRTAB: usize = VERDEF + 2 * 28;
const FRAME_INDEX: usize = (name_at(FUNCTIONS.len())).next_multiple_of(8);
const FRAMES: usize = FRAME_INDEX + 20 + 4;
const TEXT: usize = (FRAMES + 24 + 24 + 4).next_multiple_of(SLOT);
const ENGINE: usize = TEXT + FUNCTIONS.len() * SLOT;
const END: usize = ENGINE + SLOT;

/// Offsets in the string table, which begins at [`STRTAB`].
const SONAME_AT: usize = 1;
const VERSION_AT: usize = SONAME_AT + SONAME.len() + 1;

/// The offset of a function's name in the image; for the number after the last one, that of what follows the names.
const fn name_at(function: usize) -> usize {
    let mut at = STRTAB + VERSION_AT + VERSION.len() + 1;
    let mut i = 0;
    while i < function {
        at += FUNCTIONS[i].0.len() + 1;
        i += 1;
    }
    at
}

/// The whole image. The rest of its mapping is zero.
pub const IMAGE: [u8; END] = image();

/// The offset of a `syscall` instruction.
pub const SYSCALL_AT: u64 = TEXT as u64 + 5;

/// The offset of code without a symbol, which the engine that traces runs before a program's first instruction: `arch_prctl` with the
/// arguments in place, then what stands at [`MUNMAP_AT`].
pub const ARCH_PRCTL_AT: u64 = ENGINE as u64;

/// The offset of code that makes `munmap` with the address in `r8` and the size in `r9`, and then traps.
pub const MUNMAP_AT: u64 = ARCH_PRCTL_AT + ARCH_PRCTL.len() as u64;

/// `mov eax, 158; syscall`.
const ARCH_PRCTL: [u8; 7] = [0xb8, 158, 0, 0, 0, 0x0f, 0x05];
/// `mov rdi, r8; mov rsi, r9; mov eax, 11; syscall`.
const MUNMAP: [u8; 13] = [0x4c, 0x89, 0xc7, 0x4c, 0x89, 0xce, 0xb8, 11, 0, 0, 0, 0x0f, 0x05];
/// `int3`.
const TRAP: u8 = 0xcc;

/// The offsets of the functions and the numbers of their calls. Each has 64 bytes.
pub fn functions() -> impl Iterator<Item = (usize, u32)> {
    FUNCTIONS.iter().enumerate().map(|(index, &(_, number))| (TEXT + index * SLOT, number))
}

/// Appends to the image; gaps are zero.
struct Writer {
    image: [u8; END],
    len: usize,
}

impl Writer {
    const fn at(&mut self, at: usize) {
        assert!(self.len <= at, "what comes before doesn't fit");
        self.len = at;
    }

    const fn bytes(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            self.image[self.len] = bytes[i];
            self.len += 1;
            i += 1;
        }
    }

    /// Appends numbers of two, four and eight bytes.
    const fn u16s(&mut self, values: &[u16]) {
        let mut i = 0;
        while i < values.len() {
            self.bytes(&values[i].to_le_bytes());
            i += 1;
        }
    }

    const fn u32s(&mut self, values: &[u32]) {
        let mut i = 0;
        while i < values.len() {
            self.bytes(&values[i].to_le_bytes());
            i += 1;
        }
    }

    const fn u64s(&mut self, values: &[usize]) {
        let mut i = 0;
        while i < values.len() {
            self.bytes(&(values[i] as u64).to_le_bytes());
            i += 1;
        }
    }

    const fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
    }

    /// Appends the distance from here to `to`.
    const fn distance(&mut self, to: usize) {
        let distance = to as i32 - self.len as i32;
        self.bytes(&distance.to_le_bytes());
    }
}

const fn image() -> [u8; END] {
    let mut it = Writer { image: [0; END], len: 0 };
    headers(&mut it);
    symbols(&mut it);
    versions(&mut it);
    strings(&mut it);
    frames(&mut it);
    text(&mut it);
    it.image
}

const fn headers(it: &mut Writer) {
    const SHARED_OBJECT: u16 = 3;
    const X86_64: u16 = 62;
    it.bytes(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    it.u16s(&[SHARED_OBJECT, X86_64]);
    it.u32s(&[1]);
    it.u64s(&[TEXT, HEADERS, 0]);
    it.u32s(&[0]);
    it.u16s(&[64, 56, 3, 64, 0, 0]);
    // Type, flags, offset, address twice, size twice, alignment.
    it.at(HEADERS);
    it.u32s(&[1, 5]);
    it.u64s(&[0, 0, 0, END, END, 4096]);
    it.u32s(&[2, 4]);
    it.u64s(&[DYNAMIC, DYNAMIC, DYNAMIC, SYMTAB - DYNAMIC, SYMTAB - DYNAMIC, 8]);
    it.u32s(&[0x6474_e550, 4]);
    it.u64s(&[FRAME_INDEX, FRAME_INDEX, FRAME_INDEX, FRAMES - FRAME_INDEX, FRAMES - FRAME_INDEX, 4]);
    // SONAME, HASH, GNU_HASH, STRTAB, SYMTAB, STRSZ, SYMENT, VERSYM, VERDEF, VERDEFNUM.
    it.at(DYNAMIC);
    it.u64s(&[14, SONAME_AT, 4, HASH, 0x6fff_fef5, GNU_HASH, 5, STRTAB, 6, SYMTAB]);
    it.u64s(&[10, name_at(FUNCTIONS.len()) - STRTAB, 11, 24]);
    it.u64s(&[0x6fff_fff0, VERSYM, 0x6fff_fffc, VERDEF, 0x6fff_fffd, 2, 0, 0]);
}

/// The symbols, and two hash tables of one chain each, which is short enough for so few symbols.
const fn symbols(it: &mut Writer) {
    const GLOBAL_FUNCTION: u8 = 0x12;
    const WEAK_FUNCTION: u8 = 0x22;
    const TEXT_SECTION: u16 = 1;
    it.at(SYMTAB + 24);
    let mut i = 0;
    while i < SYMBOLS {
        let name = name_at(i / 2) - STRTAB;
        let (name, kind) = if i % 2 == 0 { (name, GLOBAL_FUNCTION) } else { (name + PREFIX, WEAK_FUNCTION) };
        it.u32s(&[name as u32]);
        it.bytes(&[kind, 0]);
        it.u16s(&[TEXT_SECTION]);
        it.u64s(&[TEXT + i / 2 * SLOT, FUNCTION_SIZE]);
        i += 1;
    }
    it.at(HASH);
    it.u32s(&[1, 1 + SYMBOLS as u32, 1, 0]);
    let mut i = 1;
    while i <= SYMBOLS as u32 {
        it.u32s(&[(i + 1) % (1 + SYMBOLS as u32)]);
        i += 1;
    }
    // One bucket that begins at the first symbol; a filter of one word that accepts all names.
    it.at(GNU_HASH);
    it.u32s(&[1, 1, 1, 0, u32::MAX, u32::MAX, 1]);
    let mut i = 0;
    while i < SYMBOLS {
        let from = if i % 2 == 0 { 0 } else { PREFIX };
        let last = i + 1 == SYMBOLS;
        it.u32s(&[gnu_hash(FUNCTIONS[i / 2].0.as_bytes(), from) & !1 | last as u32]);
        i += 1;
    }
}

const fn gnu_hash(name: &[u8], from: usize) -> u32 {
    let (mut hash, mut i) = (5381_u32, from);
    while i < name.len() {
        hash = hash.wrapping_mul(33).wrapping_add(name[i] as u32);
        i += 1;
    }
    hash
}

const fn hash(name: &[u8]) -> u32 {
    let (mut hash, mut i) = (0_u32, 0);
    while i < name.len() {
        hash = (hash << 4).wrapping_add(name[i] as u32);
        hash = (hash ^ (hash >> 28 << 4)) & 0x0fff_ffff;
        i += 1;
    }
    hash
}

/// All symbols have one version; the first definition is that of the object itself.
const fn versions(it: &mut Writer) {
    const BASE: u16 = 1;
    it.at(VERSYM);
    it.u16s(&[0]);
    let mut i = 0;
    while i < SYMBOLS {
        it.u16s(&[2]);
        i += 1;
    }
    // Version of the format, flags, number, count of names; hash, offset of the names, offset of the next one; the name.
    it.at(VERDEF);
    it.u16s(&[1, BASE, 1, 1]);
    it.u32s(&[hash(SONAME.as_bytes()), 20, 28, SONAME_AT as u32, 0]);
    it.u16s(&[1, 0, 2, 1]);
    it.u32s(&[hash(VERSION.as_bytes()), 20, 0, VERSION_AT as u32, 0]);
}

const fn strings(it: &mut Writer) {
    it.at(STRTAB + SONAME_AT);
    it.text(SONAME);
    it.text(VERSION);
    let mut i = 0;
    while i < FUNCTIONS.len() {
        it.text(FUNCTIONS[i].0);
        i += 1;
    }
}

/// The unwind information: everywhere in the text, the stack pointer points to the return address.
const fn frames(it: &mut Writer) {
    // Version 1; distances of four bytes from the place itself, a count, distances from the index.
    it.at(FRAME_INDEX);
    it.bytes(&[1, 0x1b, 0x03, 0x3b]);
    it.distance(FRAMES);
    it.u32s(&[1, (TEXT - FRAME_INDEX) as u32, (FRAMES + 24 - FRAME_INDEX) as u32]);
    // Factors 1 and -8, return address in column 16. def_cfa(rsp, 8), offset(16, cfa - 8), nops.
    it.at(FRAMES);
    it.u32s(&[20, 0]);
    it.bytes(b"\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0\0");
    it.at(FRAMES + 24);
    it.u32s(&[20, 28]);
    it.distance(TEXT);
    it.u32s(&[(END - TEXT) as u32]);
}

/// What a function does behind its call: `xor ecx, ecx; xor r11d, r11d; ret`. So these registers and the flags don't tell how
/// the call was made.
pub const RETURN: [u8; 6] = [0x31, 0xc9, 0x45, 0x31, 0xdb, 0xc3];
/// `mov eax, NUMBER; syscall`, and the above.
const FUNCTION_SIZE: usize = 7 + RETURN.len();

const fn text(it: &mut Writer) {
    let mut i = 0;
    while i < FUNCTIONS.len() {
        it.at(TEXT + i * SLOT);
        it.bytes(&[0xb8]);
        it.u32s(&[FUNCTIONS[i].1]);
        it.bytes(&[0x0f, 0x05]);
        it.bytes(&RETURN);
        it.bytes(&[TRAP; SLOT - FUNCTION_SIZE]);
        i += 1;
    }
    it.at(ENGINE);
    it.bytes(&ARCH_PRCTL);
    it.bytes(&MUNMAP);
    it.bytes(&[TRAP; SLOT - ARCH_PRCTL.len() - MUNMAP.len()]);
}

/// The place where Linux has mapped its own vDSO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Real {
    /// The begin of the pages with real clocks.
    pub begin: u64,
    /// The begin of the code, after those pages.
    pub code: u64,
    pub end: u64,
}

impl Real {
    /// Finds it in the text of `/proc/self/maps`.
    pub fn find(maps: &[u8]) -> Option<Real> {
        let mut clocks = None;
        for line in maps.split(|&byte| byte == b'\n') {
            let line = core::str::from_utf8(line).unwrap_or_default();
            let name = line.rsplit(' ').next().unwrap_or_default();
            let range = || {
                let (begin, end) = line.split(' ').next()?.split_once('-')?;
                Some((u64::from_str_radix(begin, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
            };
            if name.starts_with("[vvar") {
                clocks = clocks.or(range());
            } else if name == "[vdso]" {
                let (code, end) = range()?;
                return Some(Real { begin: clocks.map_or(code, |(begin, _)| begin), code, end });
            }
        }
        None
    }

    /// The number of bytes of clocks before the code.
    pub fn clocks(&self) -> u64 {
        self.code - self.begin
    }

    /// The size of the mapping of the code.
    pub fn size(&self) -> u64 {
        self.end - self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_one_is_found_with_its_clocks() {
        let maps = b"7ffff7fc0000-7ffff7fc2000 rw-p 00000000 00:00 0 \n\
            7ffff7fc2000-7ffff7fc6000 r--p 00000000 00:00 0                          [vvar]\n\
            7ffff7fc6000-7ffff7fc8000 r--p 00000000 00:00 0                          [vvar_vclock]\n\
            7ffff7fc8000-7ffff7fca000 r-xp 00000000 00:00 0                          [vdso]\n";
        let real = Real { begin: 0x7fff_f7fc_2000, code: 0x7fff_f7fc_8000, end: 0x7fff_f7fc_a000 };
        assert_eq!(Real::find(maps), Some(real));
        assert_eq!(Real::find(&maps[..200]), None);
    }

    #[test]
    fn hashes_are_those_of_the_abi() {
        assert_eq!(hash(b"LINUX_2.6"), 0x03ae_75f6);
        assert_eq!(gnu_hash(b"xprintf", 1), 0x156b_2bb8);
    }

    #[test]
    fn it_fits_into_the_page_of_any_linux() {
        const { assert!(END <= 4096) };
        assert_eq!(IMAGE[SYSCALL_AT as usize..][..2], [0x0f, 0x05]);
        assert_eq!(IMAGE[MUNMAP_AT as usize + MUNMAP.len() - 2..][..3], [0x0f, 0x05, TRAP]);
    }

    /// A dynamic linker accepts it as a shared object and finds its functions.
    #[cfg(feature = "std")]
    #[test]
    fn a_dynamic_linker_accepts_it() {
        let path = std::env::temp_dir().join(std::format!("fated-vdso-{}.so", std::process::id()));
        std::fs::write(&path, IMAGE).unwrap();
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: strings that end; the functions make the call of their name, with a valid pointer.
        unsafe {
            let object = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
            std::fs::remove_file(&path).unwrap();
            assert!(!object.is_null(), "{:?}", std::ffi::CStr::from_ptr(libc::dlerror()));
            for (function, (at, _)) in FUNCTIONS.iter().zip(functions()) {
                for name in [function.0, &function.0[PREFIX..]] {
                    let name = std::ffi::CString::new(name).unwrap();
                    let symbol = libc::dlvsym(object, name.as_ptr(), c"LINUX_2.6".as_ptr());
                    assert!(!symbol.is_null(), "{name:?}");
                    assert_eq!(symbol.addr() % 4096, at);
                    assert!(libc::dlvsym(object, name.as_ptr(), c"LINUX_2.7".as_ptr()).is_null());
                }
            }
            let getcpu = libc::dlsym(object, c"__vdso_getcpu".as_ptr());
            let getcpu: extern "C" fn(*mut u32, *mut u32, usize) -> i32 = std::mem::transmute(getcpu);
            let (mut cpu, mut node) = (u32::MAX, u32::MAX);
            assert_eq!(getcpu(&raw mut cpu, &raw mut node, 0), 0);
            assert!(cpu != u32::MAX && node != u32::MAX);
            libc::dlclose(object);
        }
    }
}
