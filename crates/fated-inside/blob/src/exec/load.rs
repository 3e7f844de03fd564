//! Loads a program into a new image of the blob.
//!
//! Invariant: mappings, addresses, stack and auxiliary vector are those that Linux would have made without address
//! space randomization, so that guests of both engines see the same.

use alloc::vec::Vec;
use core::cell::RefCell;

use fated_engine::sensitive::Text;
use fated_kernel::errno::Errno;
use fated_kernel::process::exec::elf::{Headers, PT_GNU_STACK, Segment};
use fated_kernel::process::exec::plan::Plan;
use linux_raw_sys::general::*;

use crate::arena::{self, Part, part};
use crate::exec::program_file::{self, File};
use crate::exec::vdso::Vdso;
use crate::rewrite::sensitive;
use crate::settings::settings;
use crate::sys;

/// The base of a position-independent program with an interpreter (`ELF_ET_DYN_BASE`, two thirds of the address
/// space).
const DYNAMIC_BASE: u64 = 0x5555_5555_4aaa;
/// The end of the stack.
const STACK_END: u64 = 0x7fff_ffff_f000;
const PAGE: u64 = 4096;

/// Keys of the auxiliary vector (`<linux/auxvec.h>`).
mod at {
    pub const IGNORE: u64 = 1;
    pub const PHDR: u64 = 3;
    pub const PHNUM: u64 = 5;
    pub const BASE: u64 = 7;
    pub const ENTRY: u64 = 9;
    pub const PLATFORM: u64 = 15;
    pub const HWCAP: u64 = 16;
    pub const RANDOM: u64 = 25;
    pub const HWCAP2: u64 = 26;
    pub const RSEQ_FEATURE_SIZE: u64 = 27;
    pub const RSEQ_ALIGN: u64 = 28;
    pub const HWCAP3: u64 = 29;
    pub const HWCAP4: u64 = 30;
    pub const EXECFN: u64 = 31;
    pub const SYSINFO_EHDR: u64 = 33;
    pub const MINSIGSTKSZ: u64 = 51;
}
/// The size of a signal frame, always as on a processor with AVX-512.
const SIGNAL_FRAME: u64 = 3632;

/// The auxiliary vector that Linux gave to the image that was started last.
#[derive(Default)]
pub struct Auxv(RefCell<Vec<[u64; 2]>>);

// SAFETY: the place is its own.
unsafe impl Part for Auxv {
    const AT: u64 = arena::at::AUXV;
}

/// The auxiliary vector that Linux gave to the image that was started last.
pub fn auxv() -> &'static RefCell<Vec<[u64; 2]>> {
    &part::<Auxv>().0
}

/// A loaded program.
pub struct Loaded {
    /// Its first instruction: in the interpreter, if there is one.
    pub entry: u64,
    pub stack: u64,
    pub auxv: Vec<u8>,
}

/// Maps the segments. `bias` is added to the file's addresses.
fn map(file: &File, headers: &Headers, bias: u64) -> Result<(), Errno> {
    for it in headers.loads() {
        let prot = (it.flags & 4) >> 2 | it.flags & 2 | (it.flags & 1) << 2;
        let at = bias.wrapping_add(it.address);
        let (page, file_end, end) = (at & !(PAGE - 1), at + it.file_size, at + it.memory_size);
        let fixed = MAP_PRIVATE | MAP_FIXED;
        let mapped_to = (file_end + PAGE - 1) & !(PAGE - 1);
        let (size, offset) = (mapped_to - page, it.offset & !(PAGE - 1));
        if it.file_size > 0 {
            let text = Text { begin: page, end: page + size, offset, file: file.identity };
            let text = Some(text).filter(|_| prot & PROT_EXEC != 0);
            let sites = text.map_or(Vec::new(), |text| sensitive::in_text(text, file.fd));
            // Text with sites is writable until they are changed.
            let change = if sites.is_empty() { 0 } else { PROT_WRITE & !prot };
            sys::mmap(page, size, prot | change, fixed, file.fd, offset)?;
            if let Some(text) = text {
                sensitive::add_text(text, &sites);
            }
            if change != 0 {
                sys::ask(__NR_mprotect, [page, size, u64::from(prot), 0, 0, 0])?;
            }
        }
        let bss = if it.file_size > 0 { mapped_to } else { page };
        if end > file_end && it.file_size > 0 && prot & PROT_WRITE != 0 {
            // SAFETY: the rest of the segment's last page, mapped above and writable.
            unsafe { core::ptr::write_bytes(file_end as *mut u8, 0, (mapped_to - file_end) as usize) };
        }
        let end = (end + PAGE - 1) & !(PAGE - 1);
        if end > bss {
            // Linux maps it as it does a heap (`vm_brk_flags`): writable in any case, and counted against what may be committed.
            let prot = PROT_READ | PROT_WRITE | prot & PROT_EXEC;
            sys::mmap(bss, end - bss, prot, fixed | MAP_ANONYMOUS, -1, 0)?;
        }
    }
    Ok(())
}

/// The load bias of a position-independent file where Linux would put it: in the topmost free range. Its segments are mapped next.
fn topmost(file: &File, headers: &Headers) -> Result<u64, Errno> {
    let (low, high) = headers.span();
    let (size, align) = (high - low, headers.align());
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    // The place of a large mapping depends on what is mapped, as it may be aligned to huge pages: so the file is, as Linux does it.
    let offset = headers.loads().next().map_or(0, |it| it.offset & !(PAGE - 1));
    let mut at = sys::mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE, file.fd, offset)?;
    // Nothing stays mapped between the segments.
    let unmap = |at: u64| sys::ask(__NR_munmap, [at, size, 0, 0, 0, 0]);
    unmap(at)?;
    if at & (align - 1) != 0 {
        at = sys::mmap(at & !(align - 1), size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0)?;
        unmap(at)?;
    }
    Ok(at.wrapping_sub(headers.first() & !(PAGE - 1)))
}

/// Loads the program.
pub fn load(program: &Plan, random: &[u8; 16]) -> Result<Loaded, Errno> {
    let headers = &program.program.headers;
    let own_file = program_file::file(&program.program)?;
    let (_, high) = headers.span();
    let own = |bias: u64| map(own_file, headers, bias).map(|()| bias);
    let mut vdso = Vdso::take()?;
    let (bias, linker) = match &program.interpreter {
        Some(image) => {
            let (file, linker) = (program_file::file(image)?, &image.headers);
            let base = if headers.moves {
                (DYNAMIC_BASE & !(headers.align() - 1)).wrapping_sub(headers.first()) & !(PAGE - 1)
            } else {
                0
            };
            reserve(headers, base)?;
            own(base)?;
            let bias = Vdso::below(&mut vdso, || {
                let bias = if linker.moves { topmost(file, linker)? } else { 0 };
                map(file, linker, bias).map(|()| bias)
            })?;
            (base, Some(bias))
        }
        None if headers.moves => (Vdso::below(&mut vdso, || topmost(own_file, headers).and_then(own))?, None),
        None => {
            reserve(headers, 0)?;
            (own(0)?, None)
        }
    };
    let entry = match (&program.interpreter, linker) {
        (Some(image), Some(bias)) => bias.wrapping_add(image.headers.entry),
        _ => bias.wrapping_add(headers.entry),
    };
    if entry >= STACK_END {
        return Err(Errno::EINVAL);
    }
    let static_pie = headers.moves && linker.is_none();
    let brk = if static_pie { DYNAMIC_BASE.next_multiple_of(PAGE) } else { bias.wrapping_add(high) };
    vdso.as_ref().map_or(Ok(()), Vdso::map)?;
    let stack = Stack::build(program, random, bias, linker, vdso.map_or(0, |vdso| vdso.at))?;
    set_mm(headers, bias, brk, &stack)?;
    if headers.segments.iter().any(|it| it.kind == PT_GNU_STACK && it.flags & 1 != 0) {
        let all = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN;
        sys::ask(__NR_mprotect, [STACK_END - PAGE, PAGE, u64::from(all), 0, 0, 0])?;
    }
    Ok(Loaded { entry, stack: stack.pointer, auxv: stack.auxv })
}

/// Fails if something is mapped where segments are to be, as Linux does for a file's fixed addresses.
fn reserve(headers: &Headers, bias: u64) -> Result<(), Errno> {
    /// What takes fewer calls as a whole. Between segments that are farther apart there may be the engine.
    const NEAR: u64 = 1 << 30;
    let (low, high) = headers.span();
    if high - low <= NEAR {
        return reserve_range(bias.wrapping_add(low), high - low);
    }
    for it in headers.loads().filter(|it| it.memory_size > 0) {
        let at = bias.wrapping_add(it.address);
        let page = at & !(PAGE - 1);
        reserve_range(page, at.saturating_add(it.memory_size) - page)?;
    }
    Ok(())
}

fn reserve_range(at: u64, size: u64) -> Result<(), Errno> {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    sys::mmap(at, size, PROT_NONE, flags, -1, 0)?;
    sys::ask(__NR_munmap, [at, size, 0, 0, 0, 0]).map(drop)
}

/// The new stack, in Linux's order (`create_elf_tables`).
struct Stack {
    pointer: u64,
    auxv: Vec<u8>,
    auxv_at: u64,
    argv: (u64, u64),
    env: (u64, u64),
}

impl Stack {
    fn build(program: &Plan, random: &[u8; 16], bias: u64, linker: Option<u64>, vdso: u64) -> Result<Stack, Errno> {
        const PLATFORM: &[u8] = b"x86_64\0";
        let headers = &program.program.headers;
        let mut top = STACK_END - 8;
        let text = |strings: &[Vec<u8>]| -> u64 { strings.iter().map(|it| it.len() as u64 + 1).sum() };
        top -= program.name.len() as u64 + 1;
        let name_at = top;
        top -= text(&program.env);
        let env = (top, name_at);
        top -= text(&program.argv);
        let argv = (top, env.0);
        let mut sp = top & !15;
        sp -= PLATFORM.len() as u64;
        let platform_at = sp;
        sp -= 16;
        let random_at = sp;
        let auxv = Self::vector(headers, bias, linker, [vdso, platform_at, random_at, name_at]);
        let words = 1 + program.argv.len() as u64 + 1 + program.env.len() as u64 + 1;
        sp = (sp - (auxv.len() as u64 + words) * 8) & !15;

        let begin = sp & !(PAGE - 1);
        // If the stack hasn't grown that far, Linux reports an error after it has done the rest.
        let below = 1 << 16;
        sys::call(__NR_madvise, [begin - below, STACK_END - begin + below, u64::from(MADV_DONTNEED), 0, 0, 0]);
        let put = |at: u64, bytes: &[u8]| {
            // SAFETY: the range is the guest's new stack. The kernel runs on its own.
            unsafe { core::slice::from_raw_parts_mut(at as *mut u8, bytes.len()) }.copy_from_slice(bytes);
        };
        put(name_at, &program.name);
        put(platform_at, PLATFORM);
        put(random_at, random);
        let mut at = sp;
        let mut word = |value: u64| {
            put(at, &value.to_le_bytes());
            at += 8;
        };
        word(program.argv.len() as u64);
        for (strings, mut text_at) in [(&program.argv, argv.0), (&program.env, env.0)] {
            for text in strings {
                put(text_at, text);
                word(text_at);
                text_at += text.len() as u64 + 1;
            }
            word(0);
        }
        auxv.iter().for_each(|&value| word(value));
        let auxv: Vec<u8> = auxv.iter().flat_map(|word| word.to_le_bytes()).collect();
        Ok(Stack { pointer: sp, auxv_at: at - auxv.len() as u64, auxv, argv, env })
    }

    /// Linux's vector for the blob, with the program's values, and without values that differ between machines.
    fn vector(headers: &Headers, bias: u64, linker: Option<u64>, [vdso, platform, random, name]: [u64; 4]) -> Vec<u64> {
        let holds = |begin: u64, size: u64| headers.table >= begin && headers.table - begin < size;
        // Linux takes the last segment that holds the table, and without one the place of address 0.
        let table = headers.loads().filter(|it| holds(it.offset, it.file_size)).last();
        let table = bias.wrapping_add(table.map_or(0, |it| it.address + headers.table - it.offset));
        let mut words = Vec::new();
        for &[kind, value] in auxv().borrow().iter() {
            let (kind, value) = match kind {
                at::SYSINFO_EHDR => (kind, vdso),
                at::RSEQ_FEATURE_SIZE | at::RSEQ_ALIGN | at::HWCAP3 | at::HWCAP4 => (at::IGNORE, 0),
                at::PHDR => (kind, table),
                at::PHNUM => (kind, headers.segments.len() as u64),
                at::BASE => (kind, linker.unwrap_or(0)),
                at::ENTRY => (kind, bias.wrapping_add(headers.entry)),
                at::PLATFORM => (kind, platform),
                at::RANDOM => (kind, random),
                at::EXECFN => (kind, name),
                at::HWCAP => (kind, u64::from(settings().cpuid.hwcap())),
                at::HWCAP2 => (kind, 0),
                at::MINSIGSTKSZ => (kind, SIGNAL_FRAME),
                _ => (kind, value),
            };
            words.extend([kind, value]);
        }
        words.extend([0, 0]);
        words
    }
}

/// `struct prctl_mm_map`, which makes brk, `/proc/self/cmdline` and the like those of the program.
#[repr(C)]
struct MemoryMap {
    addresses: [u64; 11],
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

fn set_mm(headers: &Headers, bias: u64, brk: u64, stack: &Stack) -> Result<(), Errno> {
    const PR_SET_MM: u64 = 35;
    const PR_SET_MM_MAP: u64 = 14;
    /// Linux takes none below (`CONFIG_LSM_MMAP_MIN_ADDR`), though root's programs may lie there, and no code without a length.
    const LOWEST: u64 = 0x1_0000;
    // As `load_elf_binary` has it: data begins with the last segment, and ends where the last contents of the file do.
    let range = |it: &Segment| (bias.wrapping_add(it.address), bias.wrapping_add(it.address + it.file_size));
    let (low, high) = headers.span();
    let whole = (bias.wrapping_add(low), bias.wrapping_add(high));
    let texts = headers.loads().filter(|it| it.flags & 1 != 0).map(range);
    let code = texts.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or(whole);
    let data = headers.loads().map(range).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))).unwrap_or(whole);
    let map = MemoryMap {
        addresses: [
            code.0,
            code.1.max(code.0.max(LOWEST).saturating_add(1)),
            data.0,
            data.1,
            brk,
            brk,
            stack.pointer,
            stack.argv.0,
            stack.argv.1,
            stack.env.0,
            stack.env.1,
        ]
        .map(|address: u64| address.max(LOWEST)),
        auxv: stack.auxv_at,
        auxv_size: stack.auxv.len() as u32,
        exe_fd: u32::MAX,
    };
    let size = size_of::<MemoryMap>() as u64;
    sys::ask(__NR_prctl, [PR_SET_MM, PR_SET_MM_MAP, &raw const map as u64, size, 0, 0]).map(drop)
}
