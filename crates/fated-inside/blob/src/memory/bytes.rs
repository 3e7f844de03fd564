//! What the compiler expects to find: memcpy and its like.
//!
//! Processors copy and fill forward at full speed with one instruction, but it takes them as long to begin as to copy a few
//! hundred bytes, and backward they go byte by byte. Much of what the kernel copies are names of a few bytes and structures of
//! some words, and of what it compares, paths with a long way in common. Hence words, there.

use core::arch::asm;

/// Up to so many bytes are copied by one or two words.
const SHORT: usize = 32;
/// Up to so many by a loop over words.
pub const MIDDLING: usize = 512;
/// The bytes of the longest word.
const WIDE: usize = 16;

/// Copies `count` bytes by a word at the beginning and one at the end, which may overlap; so may the places.
unsafe fn copy_ends<T>(to: *mut u8, from: *const u8, count: usize) {
    let end = count - size_of::<T>();
    // SAFETY: the caller's promise: both are valid for `count` bytes, which are no fewer than a word has.
    unsafe {
        let (first, last) = (from.cast::<T>().read_unaligned(), from.add(end).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(first);
        to.add(end).cast::<T>().write_unaligned(last);
    }
}

/// Copies at most [`SHORT`] bytes between places that may overlap.
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

/// Copies bytes between places that don't overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if count <= SHORT {
        // SAFETY: the caller's promise.
        unsafe { copy_short(to, from, count) };
        return to;
    }
    if count <= MIDDLING {
        // SAFETY: the caller's promise. Written in assembly, as the compiler would make a call of this function out of a loop. The
        // last word is read first, for the sake of `memmove`.
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

/// Copies bytes between places that may overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if count <= SHORT || (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: few bytes may overlap; going forward never overwrites what is still to be read.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: as for memcpy; going backward, since the end of `from` lies in `to`. Written in assembly, as the compiler would
    // make a call of this function out of a loop.
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

/// Fills at least as many bytes as a word has with a word at the beginning and one at the end.
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
        // SAFETY: the caller's promise. As for the loop, see `memcpy`.
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
        // SAFETY: as above. Volatile, so that the loop isn't turned into a call of this function.
        let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        at += 1;
    }
    0
}

/// Tells whether bytes differ.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, count) }
}
