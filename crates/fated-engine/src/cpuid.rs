//! What `cpuid` answers: one table per run, the same on every machine that has the instructions of x86-64-v3.
//!
//! Features are those that both the real processor and the baseline have, so that nothing shows which is nondeterministic
//! (rdrand, rdseed, transactions) or differs between machines (AVX-512, AMX). The sizes of the extended state (leaf 0xd)
//! stay real, since `xgetbv` can't be made to trap.
//!
//! Source: Intel SDM vol. 2A, CPUID; the levels of the x86-64 psABI.

use core::arch::asm;
use core::arch::x86_64::CpuidResult;

/// Leaf 1, ecx: sse3 ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt xsave osxsave avx f16c.
const LEAF1_ECX: u32 = bits(&[0, 9, 12, 13, 19, 20, 22, 23, 26, 27, 28, 29]);
/// Leaf 1, edx: what every x86-64 processor has.
const LEAF1_EDX: u32 = bits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26]);
/// Leaf 7, ebx: bmi1 avx2 bmi2.
const LEAF7_EBX: u32 = bits(&[3, 5, 8]);
/// Leaf 0x80000001, ecx: lahf lzcnt.
const EXTENDED_ECX: u32 = bits(&[0, 5]);
/// Leaf 0x80000001, edx: syscall nx rdtscp lm.
const EXTENDED_EDX: u32 = bits(&[11, 20, 27, 29]);
/// Leaf 0xd.1, eax: xsaveopt. A Haswell has no xsavec; with it, glibc would execute six more `cpuid`, which all trap.
const XSAVE_EAX: u32 = bits(&[0]);

const VENDOR: &[u8; 12] = b"GenuineIntel";
/// A Haswell, the first processor of the baseline.
const SIGNATURE: u32 = 0x0003_06c3;
const BRAND: &[u8; 48] = b"fated virtual processor (x86-64-v3)\0\0\0\0\0\0\0\0\0\0\0\0\0";
const LAST_LEAF: u32 = 0xd;
const LAST_EXTENDED: u32 = 0x8000_0008;

/// The leaf that repeats its second argument in ecx, whatever it is.
pub const TOPOLOGY: u32 = 0xb;
/// The leaves whose answers aren't zero, those that glibc asks for most first: each with how many second arguments it has answers for, or
/// 0 if it doesn't look at that.
pub const LEAVES: [(u32, u32); 15] = [
    (2, 0),
    (4, 4),
    (0xd, 64),
    (0, 0),
    (1, 0),
    (7, 1),
    (TOPOLOGY, 2),
    (0x8000_0000, 0),
    (0x8000_0001, 0),
    (0x8000_0002, 0),
    (0x8000_0003, 0),
    (0x8000_0004, 0),
    (0x8000_0006, 0),
    (0x8000_0007, 0),
    (0x8000_0008, 0),
];

const fn bits(numbers: &[u32]) -> u32 {
    let mut mask = 0;
    let mut i = 0;
    while i < numbers.len() {
        mask |= 1 << numbers[i];
        i += 1;
    }
    mask
}

/// What the real processor answers.
pub fn real(leaf: u32, sub: u32) -> CpuidResult {
    let (eax, ebx, ecx, edx);
    // SAFETY: every x86-64 processor has the instruction; it changes these four registers only. LLVM keeps rbx for itself.
    unsafe {
        asm!(
            "mov {saved:r}, rbx", "cpuid", "xchg {saved:r}, rbx",
            saved = out(reg) ebx, inout("eax") leaf => eax, inout("ecx") sub => ecx, out("edx") edx,
            options(nomem, nostack, preserves_flags),
        );
    }
    CpuidResult { eax, ebx, ecx, edx }
}

/// Whether Linux can make `cpuid` fault on this machine (arch_prctl(2)). Some processors can't, and some virtual machines
/// withhold it.
#[cfg(feature = "std")]
pub fn can_fault() -> bool {
    const ARCH_SET_CPUID: i32 = 0x1012;
    const ENABLED: u64 = 1;
    // SAFETY: takes numbers, and enables the instruction in this thread, in which it is enabled anyway.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_CPUID, ENABLED) == 0 }
}

/// The answers to `cpuid` for one run.
#[derive(Debug)]
pub struct Cpuid {
    cpus: u32,
    leaf1: (u32, u32),
    leaf7: u32,
    extended: (u32, u32),
    xsave: [CpuidResult; 64],
}

impl Cpuid {
    /// Asks the real processor once. `cpus` is how many processors guests see.
    pub fn new(cpus: u32) -> Cpuid {
        let real1 = real(1, 0);
        let real7 = real(7, 0);
        let extended = real(0x8000_0001, 0);
        const NONE: CpuidResult = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
        let mut xsave = [NONE; 64];
        (xsave[0], xsave[1]) = (real(0xd, 0), real(0xd, 1));
        // Features outside of the user's state (supervisor state, xgetbv with ecx=1) differ between machines.
        xsave[1].eax &= XSAVE_EAX;
        (xsave[1].ebx, xsave[1].ecx, xsave[1].edx) = (0, 0, 0);
        let user = u64::from(xsave[0].eax) | u64::from(xsave[0].edx) << 32;
        // In a virtual machine each query is an exit, so only components that exist are queried.
        for part in (2..64).filter(|part| user >> part & 1 != 0) {
            xsave[part] = real(0xd, part as u32);
        }
        Cpuid {
            cpus: cpus.clamp(1, 255),
            leaf1: (real1.ecx & LEAF1_ECX, real1.edx & LEAF1_EDX),
            leaf7: real7.ebx & LEAF7_EBX,
            extended: (extended.ecx & EXTENDED_ECX, extended.edx & EXTENDED_EDX),
            xsave,
        }
    }

    /// The features of leaf 1 in edx, which Linux also hands over as `AT_HWCAP`.
    pub fn hwcap(&self) -> u32 {
        self.ask(1, 0).edx
    }

    /// What `cpuid` answers with `leaf` in eax and `sub` in ecx.
    pub fn ask(&self, leaf: u32, sub: u32) -> CpuidResult {
        let of = |eax, ebx, ecx, edx| CpuidResult { eax, ebx, ecx, edx };
        let word = |text: &[u8], at: usize| u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
        let several = u32::from(self.cpus > 1);
        match leaf {
            0 => of(LAST_LEAF, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4)),
            1 => of(SIGNATURE, 8 << 8 | self.cpus << 16, self.leaf1.0, self.leaf1.1 | several << 28),
            // The caches of leaf 4 as descriptors. With 0xff (see leaf 4), glibc would execute three times as many `cpuid`, which all trap.
            2 => of(0x302c_0301, 0x21e4_b5f0, 0, 0x00c1_7663),
            4 => self.cache(sub),
            7 if sub == 0 => of(0, self.leaf7, 0, 0),
            TOPOLOGY => self.topology(sub),
            0xd => self.xsave.get(sub as usize).copied().unwrap_or(of(0, 0, 0, 0)),
            0x8000_0000 => of(LAST_EXTENDED, 0, 0, 0),
            0x8000_0001 => of(0, 0, self.extended.0, self.extended.1),
            0x8000_0002..=0x8000_0004 => {
                let at = (leaf - 0x8000_0002) as usize * 16;
                of(word(BRAND, at), word(BRAND, at + 4), word(BRAND, at + 8), word(BRAND, at + 12))
            }
            // 256 KiB, 8 ways, lines of 64 bytes.
            0x8000_0006 => of(0, 0, 0x0100_6040, 0),
            // The time-stamp counter runs at one rate.
            0x8000_0007 => of(0, 0, 0, 1 << 8),
            // 39 bits of physical, 48 of virtual addresses.
            0x8000_0008 => of(48 << 8 | 39, 0, 0, 0),
            _ => of(0, 0, 0, 0),
        }
    }

    /// Leaf 4: first-level data and instructions, second level, third level.
    fn cache(&self, sub: u32) -> CpuidResult {
        let (kind, level, ways, sets, sharing) = match sub {
            0 => (1, 1, 8, 64, 1),
            1 => (2, 1, 8, 64, 1),
            2 => (3, 2, 8, 512, 1),
            3 => (3, 3, 16, 8192, self.cpus),
            _ => return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 },
        };
        let cores = self.cpus.min(64);
        CpuidResult {
            eax: kind | level << 5 | 1 << 8 | (sharing - 1) << 14 | (cores - 1) << 26,
            ebx: 63 | (ways - 1) << 22,
            ecx: sets - 1,
            edx: 0,
        }
    }

    /// Leaf 0xb: one thread per core, all cores in one package. Always seen from the first.
    fn topology(&self, sub: u32) -> CpuidResult {
        let (eax, ebx, kind) = match sub {
            0 => (0, 1, 1),
            1 => (self.cpus.next_power_of_two().trailing_zeros(), self.cpus, 2),
            _ => (0, 0, 0),
        };
        CpuidResult { eax, ebx, ecx: sub & 0xff | kind << 8, edx: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_machine_shows() {
        let cpuid = Cpuid::new(4);
        assert_eq!(cpuid.ask(1, 0).ecx & (1 << 30 | 1 << 31 | 1 << 24), 0, "rdrand, hypervisor, deadline timer");
        assert_eq!(cpuid.ask(7, 0).ebx & (1 << 4 | 1 << 11 | 1 << 16 | 1 << 18), 0, "hle, rtm, avx512f, rdseed");
        assert_eq!(cpuid.ask(0x4000_0000, 0).ebx, 0, "hypervisor leaves");
        assert_eq!(cpuid.ask(0xb, 1).ebx, 4);
        assert_eq!(cpuid.ask(0xb, 1).edx, 0);
    }

    #[test]
    fn all_that_is_answered_is_listed() {
        let cpuid = Cpuid::new(4);
        for leaf in (0..0x40).chain(0x4000_0000..0x4000_0010).chain(0x8000_0000..0x8000_0040).chain([u32::MAX]) {
            let listed = LEAVES.iter().find(|(it, _)| *it == leaf);
            for sub in (0..300).chain([u32::MAX]) {
                let it = cpuid.ask(leaf, sub);
                let answer = [it.eax, it.ebx, it.ecx, it.edx];
                match listed {
                    Some((_, 0)) => assert_eq!(it, cpuid.ask(leaf, 0), "{leaf:#x}"),
                    Some((_, count)) if sub < *count => {}
                    Some((TOPOLOGY, _)) => assert_eq!(answer, [0, 0, sub & 0xff, 0], "{sub}"),
                    _ => assert_eq!(answer, [0; 4], "{leaf:#x}, {sub}"),
                }
            }
        }
    }

    #[test]
    fn the_extended_state_is_as_large_as_it_is() {
        let (ours, real) = (Cpuid::new(1).ask(0xd, 0), real(0xd, 0));
        assert_eq!((ours.eax, ours.ebx, ours.edx), (real.eax, real.ebx, real.edx));
    }
}
