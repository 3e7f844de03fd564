//! The vDSO of a loaded program: fated's image replaces Linux's, and nothing replaces the pages with the real clocks.
//!
//! It is mapped from the blob's file, like the text, so a fork omits it until a process changes it.
//!
//! If call sites are rewritten, its functions jump into the kernel from the first call on, wherever a guest moves
//! them.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use fated_engine::vdso::{IMAGE, RETURN, Real, functions};
use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::arena::{self, Part, part};
use crate::enter::clock;
use crate::process;
use crate::process::files;
use crate::settings::settings;
use crate::sys;

/// Its offset in that file: behind everything else.
const AT: u64 = 4 << 20;

/// What all images know about it.
#[derive(Default)]
pub struct State {
    /// Where Linux maps its own vDSO in an image of the blob.
    pub real: Cell<Option<Real>>,
    /// The inode of the file that fated's is mapped from; 0 until it is written.
    inode: Cell<u64>,
}

// SAFETY: the place is its own.
unsafe impl Part for State {
    const AT: u64 = arena::at::VDSO;
}

/// What all images know about it.
pub fn state() -> &'static State {
    part()
}

/// Linux's mapping in the present image.
pub struct Vdso {
    real: Real,
    /// The address of its code.
    pub at: u64,
}

impl Vdso {
    /// The mapping in a new image, after its clocks are unmapped; `None` if Linux has no vDSO.
    pub fn take() -> Result<Option<Vdso>, Errno> {
        let Some(real) = state().real.get() else { return Ok(None) };
        unmap(real.begin, real.clocks())?;
        Ok(Some(Vdso { real, at: real.code }))
    }

    /// Linux maps the vDSO last, below the program. So this unmaps it, lets `program` map, and reserves the place
    /// below.
    pub fn below(vdso: &mut Option<Vdso>, program: impl FnOnce() -> Result<u64, Errno>) -> Result<u64, Errno> {
        let Some(vdso) = vdso else { return program() };
        let (clocks, size) = (vdso.real.clocks(), vdso.real.size());
        unmap(vdso.at, size)?;
        let bias = program()?;
        // Linux places clocks and code together, so the place has room for both.
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        let base = sys::mmap(0, clocks + size, PROT_NONE, flags, -1, 0)?;
        unmap(base, clocks)?;
        vdso.at = base + clocks;
        Ok(bias)
    }

    /// Maps fated's image in its place.
    pub fn map(&self) -> Result<(), Errno> {
        let [_, blob, _] = process::own_descriptors();
        let size = self.real.size();
        if state().inode.get() == 0 {
            let image = image(size as usize);
            sys::ask(__NR_pwrite64, [blob as u64, image.as_ptr() as u64, size, AT, 0, 0])?;
            let file = alloc::format!("/proc/self/fd/{blob}");
            state().inode.set(files::stat(AT_FDCWD, file.as_bytes(), 0)?.ino);
        }
        sys::mmap(self.at, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, blob, AT).map(drop)
    }
}

/// The content of the mapping.
fn image(size: usize) -> Vec<u8> {
    let mut image = IMAGE.to_vec();
    image.resize(size, 0);
    if settings().rewrite.get() {
        for (at, number) in functions() {
            let code = by_jump(number);
            image[at..at + code.len()].copy_from_slice(&code);
        }
    }
    image
}

/// The line that Linux would show for its own vDSO, if a line of `/proc/self/maps` is fated's. All other mappings of
/// the blob's file are hidden.
pub fn line(line: &[u8]) -> Option<Vec<u8>> {
    let mut words = core::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (range, perms) = (words.next()?, words.next()?);
    let inode = words.nth(2)?.parse() == Ok(state().inode.get());
    (inode && words.next() == Some("/memfd:fated"))
        .then(|| alloc::format!("{range} {perms} 00000000 00:00 0 [vdso]\n").into())
}

/// A function that jumps into the kernel. The `syscall` is there for calls that restart.
fn by_jump(number: u32) -> Vec<u8> {
    // mov eax, number
    let mut code = vec![0xb8];
    code.extend(number.to_le_bytes());
    // lea rcx, [behind the syscall]
    code.extend([0x48, 0x8d, 0x0d, 15, 0, 0, 0]);
    // mov r11, entry; jmp r11
    code.extend([0x49, 0xbb]);
    code.extend(clock::entry(number == __NR_clock_gettime).to_le_bytes());
    code.extend([0x41, 0xff, 0xe3]);
    // syscall
    code.extend([0x0f, 0x05]);
    code.extend(RETURN);
    code
}

fn unmap(at: u64, size: u64) -> Result<(), Errno> {
    if size == 0 { Ok(()) } else { sys::ask(__NR_munmap, [at, size, 0, 0, 0, 0]).map(drop) }
}
