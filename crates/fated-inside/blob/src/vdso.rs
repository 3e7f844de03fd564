//! The vDSO of a program that is loaded: Linux's mapping with fated's image in it, and without the real clocks before it.
//!
//! Where call sites are rewritten, its functions enter the kernel by a jump from the first call on. They do so wherever a guest
//! moves them to.

use alloc::vec;
use alloc::vec::Vec;

use fated_engine::vdso::{IMAGE, Real, functions};
use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::host::host;
use crate::{rewrite, sys};

/// Linux's mapping in the image at hand.
pub struct Vdso {
    real: Real,
    /// Where its code stands.
    pub at: u64,
}

impl Vdso {
    /// That of a new image, without its clocks; `None` if Linux has none.
    pub fn take() -> Result<Option<Vdso>, Errno> {
        let Some(real) = host().vdso.get() else { return Ok(None) };
        unmap(real.begin, real.clocks())?;
        Ok(Some(Vdso { real, at: real.code }))
    }

    /// Linux maps it last, below what has just been mapped: takes it away meanwhile, and puts it there again.
    pub fn below(vdso: &mut Option<Vdso>, program: impl FnOnce() -> Result<u64, Errno>) -> Result<u64, Errno> {
        /// Somewhere that nothing else is.
        const ASIDE: u64 = 0x2000_0000_0000;
        let Some(vdso) = vdso else { return program() };
        vdso.move_to(ASIDE)?;
        let bias = program()?;
        // There is room for both where Linux puts it, whatever becomes of its clocks.
        let clocks = vdso.real.clocks();
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        let base = sys::mmap(0, clocks + vdso.real.size(), PROT_NONE, flags, -1, 0)?;
        vdso.move_to(base + clocks)?;
        unmap(base, clocks)?;
        Ok(bias)
    }

    fn move_to(&mut self, to: u64) -> Result<(), Errno> {
        const MAYMOVE_FIXED: u64 = (MREMAP_MAYMOVE | MREMAP_FIXED) as u64;
        let size = self.real.size();
        sys::ask(__NR_mremap, [self.at, size, size, MAYMOVE_FIXED, to, 0])?;
        self.at = to;
        Ok(())
    }

    /// Makes it fated's.
    pub fn write(&self) -> Result<(), Errno> {
        let size = self.real.size();
        let protect = |prot: u32| sys::ask(__NR_mprotect, [self.at, size, u64::from(prot), 0, 0, 0]).map(drop);
        protect(PROT_READ | PROT_WRITE)?;
        // SAFETY: this mapping, which may be written to now; no program runs yet that knows it.
        let mapping = unsafe { core::slice::from_raw_parts_mut(self.at as *mut u8, size as usize) };
        let (image, rest) = mapping.split_at_mut(IMAGE.len());
        image.copy_from_slice(&IMAGE);
        rest.fill(0);
        if host().rewrite.get() {
            for (at, number) in functions() {
                let code = by_jump(number);
                image[at..at + code.len()].copy_from_slice(&code);
            }
        }
        protect(PROT_READ | PROT_EXEC)
    }
}

/// A function that enters the kernel at once. The `syscall` is for calls that are restarted.
fn by_jump(number: u32) -> Vec<u8> {
    // mov eax, number
    let mut code = vec![0xb8];
    code.extend(number.to_le_bytes());
    // lea rcx, [behind the syscall]
    code.extend([0x48, 0x8d, 0x0d, 15, 0, 0, 0]);
    // mov r11, entry; jmp r11
    code.extend([0x49, 0xbb]);
    code.extend(rewrite::entry(number == __NR_clock_gettime).to_le_bytes());
    code.extend([0x41, 0xff, 0xe3]);
    // syscall; ret
    code.extend([0x0f, 0x05, 0xc3]);
    code
}

fn unmap(at: u64, size: u64) -> Result<(), Errno> {
    if size == 0 { Ok(()) } else { sys::ask(__NR_munmap, [at, size, 0, 0, 0, 0]).map(drop) }
}
