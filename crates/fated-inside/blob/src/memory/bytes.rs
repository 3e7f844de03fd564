//! The functions that compiled code needs: memcpy and its like.
//!
//! A processor copies and fills forward at full speed with one instruction, but its start takes as long as a copy of
//! a few hundred bytes, and backward it goes byte by byte. Much of what the kernel copies is a name of a few bytes or
//! a structure of some words, and the paths that it compares share long prefixes. So small sizes go by words.

use core::arch::asm;

/// Up to this size, one or two words suffice.
const SHORT: usize = 32;
/// Up to this size, a loop over words is used.
pub const MIDDLING: usize = 512;
/// The size of the longest word.
const WIDE: usize = 16;

/// Copies `count` bytes by a word at the beginning and one at the end. The words and the ranges may overlap.
unsafe fn copy_ends<T>(to: *mut u8, from: *const u8, count: usize) {
    let end = count - size_of::<T>();
    // SAFETY: the caller's promise: both are valid for `count` bytes, at least the size of a word.
    unsafe {
        let (first, last) = (from.cast::<T>().read_unaligned(), from.add(end).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(first);
        to.add(end).cast::<T>().write_unaligned(last);
    }
}

/// Copies at most [`SHORT`] bytes. The ranges may overlap.
unsafe fn copy_short(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller's promise: both are valid for `count` bytes.
    unsafe {
        match count {
            16.. => copy_ends::<u128>(to, from, count),
            8.. => copy_ends::<u64>(to, from, count),
            4.. => copy_ends::<u32>(to, from, count),
            2.. => copy_ends::<u16>(to, from, count),
            1 => *to = *from,
            0 => {}
        }
    }
}

/// Copies bytes. The ranges don't overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if count <= SHORT {
        // SAFETY: the caller's promise.
        unsafe { copy_short(to, from, count) };
        return to;
    }
    if count <= MIDDLING {
        // SAFETY: the caller's promise. Written in assembly, because the compiler would turn a loop into a call of
        // this function. The last word is read first, for `memmove`.
        unsafe {
            asm!(
                "movups {last}, [{from} + {end}]",
                "2:",
                "movups {word}, [{from} + {at}]",
                "movups [{to} + {at}], {word}",
                "add {at}, {WIDE}",
                "cmp {at}, {end}",
                "jb 2b",
                "movups [{to} + {end}], {last}",
                to = in(reg) to,
                from = in(reg) from,
                at = inout(reg) 0_usize => _,
                end = in(reg) count - WIDE,
                word = out(xmm_reg) _,
                last = out(xmm_reg) _,
                WIDE = const WIDE,
                options(nostack),
            );
        }
        return to;
    }
    // SAFETY: the caller's promise: both are valid for `count` bytes.
    unsafe {
        asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") count => _, options(nostack))
    };
    to
}

/// Copies bytes. The ranges may overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if count <= SHORT || (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: few bytes may overlap; a forward copy never overwrites what it has still to read.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: as for memcpy; backward, because the end of `from` lies in `to`. Written in assembly, because the
    // compiler would turn a loop into a call of this function.
    unsafe {
        asm!(
            "2:",
            "sub {left}, 8",
            "jb 3f",
            "mov {word}, [{from} + {left}]",
            "mov [{to} + {left}], {word}",
            "jmp 2b",
            "3:",
            "add {left}, 8",
            "jz 5f",
            "4:",
            "mov {word:l}, [{from} + {left} - 1]",
            "mov [{to} + {left} - 1], {word:l}",
            "dec {left}",
            "jnz 4b",
            "5:",
            to = in(reg) to,
            from = in(reg) from,
            left = inout(reg) count => _,
            word = out(reg_abcd) _,
            options(nostack),
        );
    }
    to
}

/// Fills at least the size of a word by a word at the beginning and one at the end.
unsafe fn fill_ends<T: Copy>(to: *mut u8, word: T, count: usize) {
    // SAFETY: the caller's promise: `to` is valid for `count` bytes.
    unsafe {
        to.cast::<T>().write_unaligned(word);
        to.add(count - size_of::<T>()).cast::<T>().write_unaligned(word);
    }
}

/// Fills bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    if count <= MIDDLING {
        let word = u64::from_ne_bytes([byte as u8; 8]);
        // SAFETY: the caller's promise. For the loop, see `memcpy`.
        unsafe {
            match count {
                WIDE.. => asm!(
                    "2:",
                    "movups [{to} + {at}], {word}",
                    "add {at}, {WIDE}",
                    "cmp {at}, {end}",
                    "jb 2b",
                    "movups [{to} + {end}], {word}",
                    to = in(reg) to,
                    at = inout(reg) 0_usize => _,
                    end = in(reg) count - WIDE,
                    word = in(xmm_reg) core::arch::x86_64::_mm_set1_epi8(byte as i8),
                    WIDE = const WIDE,
                    options(nostack),
                ),
                8.. => fill_ends(to, word, count),
                4.. => fill_ends(to, word as u32, count),
                2.. => fill_ends(to, word as u16, count),
                1 => *to = byte as u8,
                0 => {}
            }
        }
        return to;
    }
    // SAFETY: the caller's promise.
    unsafe { asm!("rep stosb", inout("rdi") to => _, inout("rcx") count => _, in("al") byte as u8, options(nostack)) };
    to
}

/// Compares bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    const WORD: usize = size_of::<u64>();
    let mut at = 0;
    while count - at >= WORD {
        // SAFETY: the caller's promise: both are valid for `count` bytes.
        let (x, y) = unsafe { (a.add(at).cast::<u64>().read_unaligned(), b.add(at).cast::<u64>().read_unaligned()) };
        if x != y {
            return if x.to_be() < y.to_be() { -1 } else { 1 };
        }
        at += WORD;
    }
    while at < count {
        // SAFETY: as above. Volatile, so that the compiler doesn't turn the loop into a call of this function.
        let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        at += 1;
    }
    0
}

/// Compares bytes for equality.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, count) }
}
