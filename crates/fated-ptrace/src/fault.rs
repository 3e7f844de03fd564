//! Instructions that trap and are emulated, and the decoding of all other faults.

use crate::sys::SignalInfo;
use fated_engine::cpuid::Cpuid;
use fated_kernel::arch::{Fault, Regs};

/// An instruction that the engine emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    /// `rdtsc`.
    Tsc,
    /// `rdtscp`.
    Tscp,
    /// `cpuid`.
    Cpuid,
}

impl Trap {
    /// Decodes the instruction that begins with `code`.
    pub(crate) fn decode(code: &[u8]) -> Option<Trap> {
        match code {
            [0x0f, 0x31, ..] => Some(Trap::Tsc),
            [0x0f, 0x01, 0xf9, ..] => Some(Trap::Tscp),
            [0x0f, 0xa2, ..] => Some(Trap::Cpuid),
            _ => None,
        }
    }

    /// Emulates the instruction on `regs`.
    pub(crate) fn answer(self, regs: &mut Regs, cpuid: &Cpuid, timestamp: impl FnOnce() -> u64) {
        match self {
            Trap::Tsc | Trap::Tscp => {
                let now = timestamp();
                regs.rax = now & 0xffff_ffff;
                regs.rdx = now >> 32;
                regs.rip += 2;
                if self == Trap::Tscp {
                    // IA32_TSC_AUX: Linux stores the node and the number of the CPU in it. A guest always runs on the first one.
                    regs.rcx = 0;
                    regs.rip += 1;
                }
            }
            Trap::Cpuid => {
                let answer = cpuid.ask(regs.rax as u32, regs.rcx as u32);
                regs.rax = u64::from(answer.eax);
                regs.rbx = u64::from(answer.ebx);
                regs.rcx = u64::from(answer.ecx);
                regs.rdx = u64::from(answer.edx);
                regs.rip += 2;
            }
        }
    }
}

/// Decodes a signal that Linux raised for an instruction.
///
/// ptrace doesn't report the trap number and the error code, so they are inferred (Intel SDM vol. 3A, 6.15). A page fault is
/// always reported as a read, since nothing distinguishes a write.
pub(crate) fn describe(signal: i32, info: SignalInfo) -> Fault {
    const SEGV_ACCERR: i32 = 2;
    const FPE_INTDIV: i32 = 1;
    const USER: u64 = 4;
    let (trap, error) = match signal {
        libc::SIGSEGV if info.code == libc::SI_KERNEL => (13, 0),
        libc::SIGSEGV => (14, USER | u64::from(info.code == SEGV_ACCERR)),
        libc::SIGBUS if info.code == libc::BUS_ADRALN => (17, 0),
        libc::SIGBUS => (14, USER),
        libc::SIGFPE if info.code == FPE_INTDIV => (0, 0),
        libc::SIGFPE => (19, 0),
        libc::SIGILL => (6, 0),
        libc::SIGTRAP if info.code == libc::SI_KERNEL => (3, 0),
        libc::SIGTRAP => (1, 0),
        _ => (0, 0),
    };
    Fault { signal, code: info.code, addr: info.addr, trap, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rdtscp_advances_the_instruction_pointer() {
        let mut regs = Regs { rip: 0x1000, rcx: 7, ..Regs::default() };
        Trap::decode(&[0x0f, 0x01, 0xf9]).unwrap().answer(&mut regs, &Cpuid::new(1), || 0x1_2345_6789);
        assert_eq!((regs.rip, regs.rax, regs.rdx, regs.rcx), (0x1003, 0x2345_6789, 1, 0));
    }

    #[test]
    fn other_instructions_are_left_alone() {
        assert_eq!(Trap::decode(&[0x0f, 0x01, 0xd0]), None);
        assert_eq!(Trap::decode(&[]), None);
    }
}
