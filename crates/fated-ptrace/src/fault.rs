//! The decoding of faults.

use crate::sys::SignalInfo;
use fated_kernel::arch::Fault;

/// Decodes a signal that Linux raised for an instruction.
///
/// ptrace doesn't report the trap number and the error code, so they are inferred (Intel SDM vol. 3A, 6.15). A page fault is
/// always reported as a read, since nothing distinguishes a write.
pub(crate) fn describe(signal: i32, info: SignalInfo) -> Fault {
    const SEGV_ACCERR: i32 = 2;
    const SEGV_PKUERR: i32 = 4;
    const FPE_INTDIV: i32 = 1;
    const PRESENT: u64 = 1;
    const USER: u64 = 4;
    const KEY: u64 = 0x20;
    let (trap, error) = match signal {
        libc::SIGSEGV if info.code == libc::SI_KERNEL => (13, 0),
        // By a protection key, such as that of memory that may only be executed.
        libc::SIGSEGV if info.code == SEGV_PKUERR => (14, USER | PRESENT | KEY),
        libc::SIGSEGV if info.code == SEGV_ACCERR => (14, USER | PRESENT),
        libc::SIGSEGV => (14, USER),
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
    fn page_faults_say_what_forbids_the_access() {
        let error = |code| describe(libc::SIGSEGV, SignalInfo { code, addr: 0 }).error;
        assert_eq!([1, 2, 4].map(error), [4, 5, 0x25], "nothing mapped, its protection, its key");
    }
}
