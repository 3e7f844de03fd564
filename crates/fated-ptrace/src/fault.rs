//! The decoding of faults.

use crate::sys::SignalInfo;
use fated_kernel::arch::Fault;

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
