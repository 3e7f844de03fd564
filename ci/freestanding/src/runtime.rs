//! What a program without libc and std must bring along: an entry point, system calls, memory, and an end on panic.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicUsize, Ordering};

const WRITE: usize = 1;
const EXIT_GROUP: usize = 231;

global_asm!(".globl _start", "_start:", "xor %ebp, %ebp", "and $-16, %rsp", "call {}", "ud2", sym start, options(att_syntax));

extern "C" fn start() -> ! {
    let status = if crate::main().is_ok() { 0 } else { 1 };
    exit(status)
}

fn call(number: usize, args: [usize; 3]) -> isize {
    let result;
    // SAFETY: the two calls used here, write and exit_group, change no memory of this program.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            out("rcx") _, out("r11") _);
    }
    result
}

fn exit(status: usize) -> ! {
    call(EXIT_GROUP, [status, 0, 0]);
    unreachable!("exit_group returned")
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Stdout, "{info}");
    exit(101)
}

/// Standard output, without a buffer.
pub struct Stdout;

impl Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let written = call(WRITE, [1, text.as_ptr() as usize, text.len()]);
        if written == text.len() as isize { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Hands out a static area from its start to its end; never takes anything back.
struct Bump {
    area: UnsafeCell<[u8; Self::SIZE]>,
    used: AtomicUsize,
}

impl Bump {
    const SIZE: usize = 64 << 20;
}

// SAFETY: each byte of the area is handed out once, by an atomic counter.
unsafe impl Sync for Bump {}

// SAFETY: the pieces are in bounds, aligned, and never overlap.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.area.get() as usize;
        let mut piece = 0;
        let grown = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            piece = (base + used).checked_next_multiple_of(layout.align())? - base;
            piece.checked_add(layout.size()).filter(|end| *end <= Self::SIZE)
        });
        // SAFETY: the piece ends within the area.
        if grown.is_ok() { unsafe { self.area.get().cast::<u8>().add(piece) } } else { core::ptr::null_mut() }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump { area: UnsafeCell::new([0; Bump::SIZE]), used: AtomicUsize::new(0) };

// The functions that compiled code may call anywhere. The string instructions keep the compiler from turning a loop in
// here into a call of itself.

// SAFETY: C's memcpy; nothing else has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: both areas have the length, says the caller.
    unsafe { asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") len => _) };
    to
}

// SAFETY: C's memmove; nothing else has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: copying upwards overwrites nothing that is still to be read.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: as memcpy, from the last byte down; the direction flag is put back.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _, inout("rcx") len => _);
    }
    to
}

// SAFETY: C's memset; nothing else has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: the area has the length, says the caller.
    unsafe { asm!("rep stosb", inout("rdi") to => _, inout("rcx") len => _, in("al") byte as u8) };
    to
}

// SAFETY: C's memcmp; nothing else has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for i in 0..len {
        // SAFETY: both areas have the length, says the caller. Volatile: the loop must stay one.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

// SAFETY: C's bcmp; nothing else has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: same contract.
    unsafe { memcmp(a, b, len) }
}

/// What the precompiled compiler_builtins names for unwinding, which never happens here: a panic ends the program.
// SAFETY: nothing else has the name, and nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
