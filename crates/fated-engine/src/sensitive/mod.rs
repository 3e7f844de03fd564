//! Sensitive instructions: those that tell a program of the real machine, or draw from it, without a system call.
//!
//! An engine answers them. Where the processor can't be made to fault at one, its first byte is replaced by a breakpoint
//! ([`BREAKPOINT`]) when text is loaded; [`find`] finds them in a file.
//!
//! Source: Intel SDM vol. 2, the pages of the instructions.

#[cfg(feature = "std")]
pub mod cache;
mod elf;
mod find;
mod functions;
mod known;
pub mod length;

pub use find::{ReadAt, Site, find};
pub use known::{Identity, Sites, Text, Texts, maps_text};

use crate::cpuid::Cpuid;
use fated_kernel::arch::Regs;

/// `int3`, which stands in the place of an instruction's first byte.
pub const BREAKPOINT: u8 = 0xcc;
/// The most bytes that [`Sensitive::decode`] looks at.
pub const LONGEST: usize = 8;

/// An instruction that an engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitive {
    /// `rdtsc`: faults wherever `PR_SET_TSC` says so.
    Tsc,
    /// `rdtscp`: as `rdtsc`.
    Tscp,
    /// `cpuid`: faults on some processors.
    Cpuid,
    /// `rdrand` and `rdseed`, which never fault.
    Random(Operand),
    /// `rdpid`, which never faults.
    ProcessorId(Operand),
    /// `lsl`, by which Linux's `vgetcpu` reads the number of the processor from a segment's limit; never faults.
    SegmentLimit {
        /// Where the limit goes.
        to: Operand,
        /// The number of the register that holds the selector.
        selector: u8,
    },
}

/// A register, and how much of it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    register: u8,
    /// 2, 4 or 8 bytes.
    size: u8,
}

/// What answers need of a run.
pub trait Answers {
    /// The table of `cpuid`.
    fn cpuid(&self) -> &Cpuid;
    /// The time-stamp counter.
    fn timestamp(&self) -> u64;
    /// A random word.
    fn random(&self) -> u64;
}

const CF: u64 = 1;
const ZF: u64 = 1 << 6;
/// CF, PF, AF, ZF, SF and OF.
const ARITHMETIC: u64 = 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 11;

impl Sensitive {
    /// The instruction that begins with `code`, and its length.
    #[must_use]
    pub fn decode(code: &[u8]) -> Option<(Sensitive, usize)> {
        let byte = |at: usize| code.get(at).copied();
        let (mut at, mut half, mut repeat) = (0, false, false);
        loop {
            match byte(at)? {
                0x66 => half = true,
                0xf3 => repeat = true,
                _ => break,
            }
            at += 1;
        }
        let rex = byte(at).filter(|byte| byte & 0xf0 == 0x40);
        at += usize::from(rex.is_some());
        let rex = rex.unwrap_or(0);
        if byte(at)? != 0x0f {
            return None;
        }
        let opcode = byte(at + 1)?;
        let plain = at == 0;
        match (opcode, byte(at + 2)) {
            (0x31, _) if plain => return Some((Sensitive::Tsc, 2)),
            (0x01, Some(0xf9)) if plain => return Some((Sensitive::Tscp, 3)),
            (0xa2, _) => return Some((Sensitive::Cpuid, at + 2)),
            _ => {}
        }
        let modrm = byte(at + 2).filter(|modrm| modrm >> 6 == 3)?;
        let (reg, rm) = (modrm >> 3 & 7, modrm & 7);
        let size = match (rex & 8 != 0, half) {
            (true, _) => 8,
            (false, true) => 2,
            (false, false) => 4,
        };
        let low = Operand { register: rm | (rex & 1) << 3, size };
        let sensitive = match (opcode, reg) {
            (0xc7, 7) if repeat => Sensitive::ProcessorId(Operand { size: 8, ..low }),
            (0xc7, 6 | 7) if !repeat => Sensitive::Random(low),
            (0x03, _) if !repeat => {
                Sensitive::SegmentLimit { to: Operand { register: reg | (rex & 4) << 1, size }, selector: low.register }
            }
            _ => return None,
        };
        Some((sensitive, at + 3))
    }

    /// Whether every processor can be made to fault at it.
    #[must_use]
    pub fn always_faults(self) -> bool {
        matches!(self, Sensitive::Tsc | Sensitive::Tscp)
    }

    /// The instruction that begins with `code` and may have faulted there, and its length.
    #[must_use]
    pub fn that_faults(code: &[u8]) -> Option<(Sensitive, usize)> {
        Sensitive::decode(code).filter(|(sensitive, _)| sensitive.always_faults() || *sensitive == Sensitive::Cpuid)
    }

    /// Carries the instruction out on `regs`, which stand at it; `len` is its length.
    pub fn answer(self, regs: &mut Regs, len: usize, answers: &dyn Answers) {
        match self {
            Sensitive::Tsc | Sensitive::Tscp => {
                let now = answers.timestamp();
                regs.rax = now & 0xffff_ffff;
                regs.rdx = now >> 32;
                if self == Sensitive::Tscp {
                    // IA32_TSC_AUX: Linux keeps the node and the number of the CPU there; ours is always the first.
                    regs.rcx = 0;
                }
            }
            Sensitive::Cpuid => {
                let answer = answers.cpuid().ask(regs.rax as u32, regs.rcx as u32);
                regs.rax = u64::from(answer.eax);
                regs.rbx = u64::from(answer.ebx);
                regs.rcx = u64::from(answer.ecx);
                regs.rdx = u64::from(answer.edx);
            }
            Sensitive::Random(to) => {
                to.write(regs, answers.random());
                regs.eflags = regs.eflags & !ARITHMETIC | CF;
            }
            Sensitive::ProcessorId(to) => to.write(regs, 0),
            Sensitive::SegmentLimit { to, selector } => match segment_limit(*register(regs, selector) as u16) {
                Some(limit) => {
                    to.write(regs, limit);
                    regs.eflags |= ZF;
                }
                None => regs.eflags &= !ZF,
            },
        }
        regs.rip = regs.rip.wrapping_add(len as u64);
    }
}

/// The limit of a segment, as `lsl` gives it; of the one that Linux hides the processor's number in, that of the first processor.
fn segment_limit(selector: u16) -> Option<u64> {
    // arch/x86/include/asm/segment.h: __CPUNODE_SEG, __USER32_CS, __USER_DS, __USER_CS
    const PROCESSOR: u16 = 15;
    const FLAT: [u16; 3] = [4, 5, 6];
    let (index, local) = (selector >> 3, selector & 4 != 0);
    match index {
        _ if local => None,
        PROCESSOR => Some(0),
        index if FLAT.contains(&index) => Some(0xffff_ffff),
        _ => None,
    }
}

impl Operand {
    /// As the processor does: 32 bits clear the upper half, 16 bits leave the rest.
    fn write(self, regs: &mut Regs, value: u64) {
        let register = register(regs, self.register);
        *register = match self.size {
            8 => value,
            4 => value & 0xffff_ffff,
            _ => *register & !0xffff | value & 0xffff,
        };
    }
}

/// A general register by its number.
fn register(regs: &mut Regs, number: u8) -> &mut u64 {
    match number & 15 {
        0 => &mut regs.rax,
        1 => &mut regs.rcx,
        2 => &mut regs.rdx,
        3 => &mut regs.rbx,
        4 => &mut regs.rsp,
        5 => &mut regs.rbp,
        6 => &mut regs.rsi,
        7 => &mut regs.rdi,
        8 => &mut regs.r8,
        9 => &mut regs.r9,
        10 => &mut regs.r10,
        11 => &mut regs.r11,
        12 => &mut regs.r12,
        13 => &mut regs.r13,
        14 => &mut regs.r14,
        _ => &mut regs.r15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Cpuid);

    impl Answers for Fixed {
        fn cpuid(&self) -> &Cpuid {
            &self.0
        }
        fn timestamp(&self) -> u64 {
            0x1_2345_6789
        }
        fn random(&self) -> u64 {
            0x1122_3344_5566_7788
        }
    }

    #[track_caller]
    fn answered(code: &[u8], mut regs: Regs) -> Regs {
        let (instruction, len) = Sensitive::decode(code).expect("it is a sensitive one");
        assert_eq!(len, code.len());
        instruction.answer(&mut regs, len, &Fixed(Cpuid::new(1)));
        assert_eq!(regs.rip, len as u64);
        regs
    }

    #[test]
    fn the_clock_and_its_processor() {
        let regs = answered(&[0x0f, 0x01, 0xf9], Regs { rcx: 7, ..Regs::default() });
        assert_eq!((regs.rax, regs.rdx, regs.rcx), (0x2345_6789, 1, 0));
    }

    #[test]
    fn random_numbers_have_the_size_of_their_register() {
        let before = Regs { rax: u64::MAX, r9: u64::MAX, eflags: ARITHMETIC | 2, ..Regs::default() };
        let regs = answered(&[0x48, 0x0f, 0xc7, 0xf0], before);
        assert_eq!((regs.rax, regs.eflags), (0x1122_3344_5566_7788, CF | 2), "rdrand rax");
        assert_eq!(answered(&[0x0f, 0xc7, 0xf8], before).rax, 0x5566_7788, "rdseed eax");
        assert_eq!(answered(&[0x66, 0x41, 0x0f, 0xc7, 0xf1], before).r9, 0xffff_ffff_ffff_7788, "rdrand r9w");
    }

    #[test]
    fn there_is_one_processor() {
        let before = Regs { rcx: 0x7b, rdx: u64::MAX, eflags: 2, ..Regs::default() };
        assert_eq!(answered(&[0xf3, 0x0f, 0xc7, 0xfa], before).rdx, 0, "rdpid rdx");
        let regs = answered(&[0x0f, 0x03, 0xd1], before);
        assert_eq!((regs.rdx, regs.eflags), (0, ZF | 2), "lsl edx, ecx");
        let regs = answered(&[0x0f, 0x03, 0xd1], Regs { rcx: 0, eflags: ZF | 2, ..before });
        assert_eq!((regs.rdx, regs.eflags), (u64::MAX, 2), "the null segment has no limit");
    }

    #[test]
    fn the_limits_are_those_of_linux() {
        for selector in 0..=u8::MAX {
            let selector = u16::from(selector);
            let (mut limit, mut valid) = (0_u32, 0_u8);
            // SAFETY: the instruction changes nothing but a register and a flag.
            unsafe {
                core::arch::asm!(
                    "lsl {limit:e}, {selector:e}", "setz {valid}",
                    limit = inout(reg) limit, selector = in(reg) u32::from(selector), valid = inout(reg_byte) valid,
                );
            }
            let real = (valid != 0).then_some(u64::from(limit));
            if selector >> 2 == 15 << 1 {
                assert!(real.is_some(), "the processor's number");
            } else {
                assert_eq!(segment_limit(selector), real, "{selector:#x}");
            }
        }
    }

    #[test]
    fn others_are_left_alone() {
        for code in [&[0x0f, 0x01, 0xd0][..], &[0x0f, 0xc7, 0x0f], &[0x0f, 0xc7, 0xc8], &[0xf2, 0x0f, 0x05], &[]] {
            assert_eq!(Sensitive::decode(code), None, "{code:x?}");
        }
    }
}
