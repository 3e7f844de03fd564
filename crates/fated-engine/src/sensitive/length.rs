//! Decodes the length of machine instructions, and whether one can be moved (Intel's manual, volume 2, appendix A).
//!
//! Invariant: an instruction that isn't known here, or is invalid in 64-bit mode, has no length. Then nothing is
//! rewritten.

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub len: usize,
    /// It has the same effect at any address, and can't fault as long as there is a stack.
    pub moves: bool,
    /// The same holds as long as its file's data is there, once the four bytes at this offset, which are a distance from
    /// the next instruction, are corrected.
    pub relative: Option<usize>,
}

/// What follows an opcode.
#[derive(Clone, Copy)]
struct Shape {
    modrm: bool,
    immediate: usize,
    /// It can't be moved: it jumps, stops, may fault, or is privileged.
    stays: bool,
}

const fn plain(modrm: bool, immediate: usize) -> Option<Shape> {
    Some(Shape { modrm, immediate, stays: false })
}

const fn stays(modrm: bool, immediate: usize) -> Option<Shape> {
    Some(Shape { modrm, immediate, stays: true })
}

/// Opcodes of one byte. `word` is the size of a long immediate, `reg` the middle field of the ModRM byte.
fn one_byte(opcode: u8, word: usize, wide: bool, reg: u8) -> Option<Shape> {
    match opcode {
        0x06 | 0x07 | 0x0e | 0x16 | 0x17 | 0x1e | 0x1f | 0x27 | 0x2f | 0x37 | 0x3f => None,
        0x00..=0x3f => match opcode & 7 {
            0..=3 => plain(true, 0),
            4 => plain(false, 1),
            _ => plain(false, word),
        },
        0x50..=0x5f | 0x90..=0x99 | 0x9b..=0x9f | 0xf5 | 0xf8 | 0xf9 | 0xfc | 0xfd => plain(false, 0),
        0x63 | 0x84..=0x8b | 0x8d | 0xd0..=0xd3 => plain(true, 0),
        0x68 | 0xa9 => plain(false, word),
        0x69 | 0x81 => plain(true, word),
        0x6a | 0xa8 | 0xb0..=0xb7 => plain(false, 1),
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 => plain(true, 1),
        0x70..=0x7f | 0xe0..=0xe3 | 0xeb | 0xcd => stays(false, 1),
        0x8f if reg == 0 => plain(true, 0),
        0xa0..=0xa3 => stays(false, 8),
        0xa4..=0xa7 | 0xaa..=0xaf | 0xd7 => stays(false, 0),
        0xb8..=0xbf => plain(false, if wide { 8 } else { word }),
        0xc2 => stays(false, 2),
        0xc3 | 0xcb | 0xcc | 0xcf | 0xf1 | 0xf4 | 0xfa | 0xfb => stays(false, 0),
        0xc6 if reg == 0 => plain(true, 1),
        0xc7 if reg == 0 => plain(true, word),
        0xc9 => plain(false, 0),
        0xe8 | 0xe9 => stays(false, 4),
        0xf6 if reg < 2 => plain(true, 1),
        0xf7 if reg < 2 => plain(true, word),
        0xf6 | 0xf7 => stays(true, 0),
        0xfe if reg < 2 => plain(true, 0),
        0xff if reg < 2 || reg == 6 => plain(true, 0),
        0x8c | 0x8e | 0xd8..=0xdf | 0xff if opcode != 0xff || reg < 6 => stays(true, 0),
        _ => None,
    }
}

/// Opcodes behind 0x0f.
fn two_bytes(opcode: u8) -> Option<Shape> {
    match opcode {
        0x05..=0x09 | 0x0b | 0x30..=0x35 | 0x37 | 0xa2 | 0xaa => stays(false, 0),
        0x77 | 0xa0 | 0xa1 | 0xa8 | 0xa9 | 0xc8..=0xcf => plain(false, 0),
        0x80..=0x8f => stays(false, 4),
        0x00 | 0x01 | 0x20..=0x23 | 0x78 | 0x79 | 0xb9 | 0xff => stays(true, 0),
        0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => plain(true, 1),
        0x04 | 0x0a | 0x0c | 0x0e | 0x0f | 0x24..=0x27 | 0x36 | 0x38..=0x3f | 0x7a | 0x7b | 0xa6 | 0xa7 => None,
        _ => plain(true, 0),
    }
}

/// The instruction at the beginning of `code`.
pub fn decode(code: &[u8]) -> Option<Instruction> {
    let byte = |at: usize| code.get(at).copied();
    let (mut at, mut word, mut usual) = (0, 4, true);
    loop {
        match byte(at)? {
            0x66 => word = 2,
            0xf2 | 0xf3 => {}
            // Instructions with segments, 32-bit addresses or locks have a length but aren't moved.
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x67 | 0xf0 => usual = false,
            _ => break,
        }
        at += 1;
    }
    let rex = byte(at)?;
    let wide = rex & 0xf8 == 0x48;
    if rex & 0xf0 == 0x40 {
        at += 1;
    }
    if wide {
        word = 4;
    }
    let opcode = byte(at)?;
    at += 1;
    let shape = match opcode {
        0x0f => {
            let second = byte(at)?;
            at += 1;
            match second {
                0x38 | 0x3a => {
                    at += 1;
                    plain(true, usize::from(second == 0x3a))
                }
                _ => two_bytes(second),
            }
        }
        // VEX and EVEX: the opcode map is in the first byte of the prefix, unless the prefix is the short one.
        0xc4 | 0xc5 | 0x62 => {
            let map = if opcode == 0xc5 { 1 } else { byte(at)? & if opcode == 0x62 { 7 } else { 31 } };
            at += match opcode {
                0xc5 => 1,
                0xc4 => 2,
                _ => 3,
            };
            let second = byte(at)?;
            at += 1;
            match map {
                1 => two_bytes(second).filter(|shape| !shape.stays),
                2 | 5 | 6 => plain(true, 0),
                3 => plain(true, 1),
                _ => None,
            }
        }
        _ => one_byte(opcode, word, wide, byte(at).unwrap_or(0) >> 3 & 7),
    }?;
    // Longer opcodes mostly compute with floating point or vectors, and rarely stand before calls.
    let mut moves = usual && !shape.stays && !matches!(opcode, 0x0f | 0xc4 | 0xc5 | 0x62);
    let mut relative = None;
    if shape.modrm {
        let modrm = byte(at)?;
        at += 1;
        let (mode, rm) = (modrm >> 6, modrm & 7);
        let displacement = match mode {
            0 if rm == 5 => 4,
            1 => 1,
            2 => 4,
            _ => 0,
        };
        if mode != 3 {
            let mut on_stack = false;
            if rm == 4 {
                let sib = byte(at)?;
                at += 1;
                if mode == 0 && sib & 7 == 5 {
                    at += 4;
                }
                // rsp as the base, and no index.
                on_stack = sib == 0x24 && !(rex & 0xf0 == 0x40 && rex & 3 != 0);
            }
            let from_next = mode == 0 && rm == 5;
            relative = (moves && from_next).then_some(at);
            let only_address = opcode == 0x8d && !from_next;
            moves &= on_stack || only_address;
        }
        at += displacement;
    }
    at += shape.immediate;
    (at <= code.len().min(15)).then_some(Instruction { len: at, moves, relative })
}
