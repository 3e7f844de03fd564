//! The seccomp filter, which stops a guest at each of its calls. None can pass uncounted, not even a native one that never fails: it takes
//! virtual time and counts for the slice, on both engines alike.
//!
//! Invariants: calls of another architecture (`int 0x80`, x32) never reach Linux; only the engine can change whether `cpuid` faults.

use crate::sys;
use libc::sock_filter;
use std::mem::offset_of;

/// The third argument of the engine's own `arch_prctl(ARCH_SET_CPUID)` and `munmap`, which distinguishes them from a guest's.
pub(crate) const OWN_CALL: u64 = 0x6661_7465;

/// The number of a call that Linux doesn't have. It always stops.
pub(crate) const STOPPING_CALL: u64 = 1000;

/// `AUDIT_ARCH_X86_64` (`<linux/audit.h>`).
const X86_64: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT` (`<asm/unistd.h>`).
const X32_BIT: u32 = 0x4000_0000;

/// `SIGSYS` for calls of another architecture, so that other stops needn't check for them.
const FOREIGN: sock_filter = returns(libc::SECCOMP_RET_TRAP);
const STOP: sock_filter = returns(libc::SECCOMP_RET_TRACE);
const LET_RUN: sock_filter = returns(libc::SECCOMP_RET_ALLOW);

const fn op(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

const fn returns(action: u32) -> sock_filter {
    op(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

const fn load(offset: usize) -> sock_filter {
    op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32, 0, 0)
}

const fn if_equal(k: u32, jt: u8, jf: u8) -> sock_filter {
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, jt, jf)
}

/// The offset of the low half of an argument.
const fn argument(index: usize) -> usize {
    offset_of!(libc::seccomp_data, args) + 8 * index
}

/// The whole filter.
pub(crate) fn program() -> Vec<sock_filter> {
    vec![
        load(offset_of!(libc::seccomp_data, arch)),
        if_equal(X86_64, 1, 0),
        FOREIGN,
        load(offset_of!(libc::seccomp_data, nr)),
        op(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, X32_BIT, 0, 1),
        FOREIGN,
        if_equal(libc::SYS_munmap as u32, 3, 0),
        if_equal(libc::SYS_arch_prctl as u32, 0, 5),
        load(argument(0)),
        if_equal(sys::ARCH_SET_CPUID as u32, 0, 3),
        load(argument(2)),
        if_equal(OWN_CALL as u32, 0, 1),
        LET_RUN,
        STOP,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter in a small interpreter of the instructions used here.
    fn run(arch: u32, number: u32, args: [u64; 6]) -> u32 {
        interpret(&program(), arch, number, args)
    }

    fn interpret(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        data.extend(args.iter().flat_map(|arg| arg.to_le_bytes()));
        let (mut pc, mut acc) = (0, 0);
        loop {
            let op = program[pc];
            pc += 1;
            let taken = match u32::from(op.code) & !libc::BPF_K {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    let at = op.k as usize;
                    acc = u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
                    continue;
                }
                code if code == libc::BPF_RET => return op.k,
                code if code == libc::BPF_JMP | libc::BPF_JEQ => acc == op.k,
                code if code == libc::BPF_JMP | libc::BPF_JSET => acc & op.k != 0,
                code => panic!("instruction {code:#x}"),
            };
            pc += usize::from(if taken { op.jt } else { op.jf });
        }
    }

    #[test]
    fn each_call_stops() {
        for number in (0..512).chain([STOPPING_CALL as u32, X32_BIT - 1]) {
            assert_eq!(run(X86_64, number, [0; 6]), STOP.k, "{number}");
        }
    }

    #[test]
    fn calls_of_other_architectures_are_refused() {
        assert_eq!(run(0x4000_0003, 1, [0; 6]), FOREIGN.k);
        assert_eq!(run(X86_64, X32_BIT | 1, [0; 6]), FOREIGN.k);
        assert_eq!(run(X86_64, u32::MAX, [0; 6]), FOREIGN.k);
    }

    #[test]
    fn only_the_engine_changes_whether_cpuid_faults() {
        const ARCH_GET_CPUID: u64 = 0x1011;
        let call = |args| run(X86_64, libc::SYS_arch_prctl as u32, args);
        assert_eq!(call([sys::ARCH_SET_CPUID, 0, OWN_CALL, 0, 0, 0]), LET_RUN.k);
        assert_eq!(call([sys::ARCH_SET_CPUID, 1, 0, 0, 0, 0]), STOP.k);
        assert_eq!(call([ARCH_GET_CPUID, 0, OWN_CALL, 0, 0, 0]), STOP.k);
        assert_eq!(call([0x1002, 0x7fff_0000, OWN_CALL, 0, 0, 0]), STOP.k, "ARCH_SET_FS");
    }

    #[test]
    fn the_engines_own_munmap_passes() {
        let call = |third| run(X86_64, libc::SYS_munmap as u32, [0x7000, 4096, third, 0, 0, 0]);
        assert_eq!(call(OWN_CALL), LET_RUN.k);
        assert_eq!(call(0), STOP.k);
    }
}
