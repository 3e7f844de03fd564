//! `/proc/cpuinfo`: the processor as the guest's `cpuid` has it, so that a program that reads it takes the same path as one that asks.

use crate::cx::Cx;
use alloc::string::String;
use core::fmt::Write as _;

/// Where a flag comes from: a leaf of `cpuid` and one of its registers.
#[derive(Clone, Copy)]
enum Source {
    /// Leaf 1, edx.
    Leaf1Edx,
    /// Leaf 0x8000_0001, edx.
    ExtendedEdx,
    /// Not a feature of the processor but of all that Linux runs on.
    Always,
    /// Leaf 1, ecx.
    Leaf1Ecx,
    /// Leaf 0x8000_0001, ecx.
    ExtendedEcx,
    /// Leaf 7, ebx.
    Leaf7Ebx,
    /// Leaf 0xd.1, eax.
    XsaveEax,
}

use Source::{Always, ExtendedEcx, ExtendedEdx, Leaf1Ecx, Leaf1Edx, Leaf7Ebx, XsaveEax};

/// The flags of x86-64-v3 in Linux's order, with their bits.
const FLAGS: &[(Source, u32, &str)] = &[
    (Leaf1Edx, 0, "fpu"),
    (Leaf1Edx, 1, "vme"),
    (Leaf1Edx, 2, "de"),
    (Leaf1Edx, 3, "pse"),
    (Leaf1Edx, 4, "tsc"),
    (Leaf1Edx, 5, "msr"),
    (Leaf1Edx, 6, "pae"),
    (Leaf1Edx, 7, "mce"),
    (Leaf1Edx, 8, "cx8"),
    (Leaf1Edx, 9, "apic"),
    (Leaf1Edx, 11, "sep"),
    (Leaf1Edx, 12, "mtrr"),
    (Leaf1Edx, 13, "pge"),
    (Leaf1Edx, 14, "mca"),
    (Leaf1Edx, 15, "cmov"),
    (Leaf1Edx, 16, "pat"),
    (Leaf1Edx, 17, "pse36"),
    (Leaf1Edx, 19, "clflush"),
    (Leaf1Edx, 23, "mmx"),
    (Leaf1Edx, 24, "fxsr"),
    (Leaf1Edx, 25, "sse"),
    (Leaf1Edx, 26, "sse2"),
    (ExtendedEdx, 11, "syscall"),
    (ExtendedEdx, 20, "nx"),
    (ExtendedEdx, 27, "rdtscp"),
    (ExtendedEdx, 29, "lm"),
    (Always, 0, "constant_tsc"),
    (Always, 0, "rep_good"),
    (Always, 0, "nopl"),
    (Always, 0, "nonstop_tsc"),
    (Leaf1Ecx, 0, "pni"),
    (Leaf1Ecx, 9, "ssse3"),
    (Leaf1Ecx, 12, "fma"),
    (Leaf1Ecx, 13, "cx16"),
    (Leaf1Ecx, 19, "sse4_1"),
    (Leaf1Ecx, 20, "sse4_2"),
    (Leaf1Ecx, 22, "movbe"),
    (Leaf1Ecx, 23, "popcnt"),
    (Leaf1Ecx, 26, "xsave"),
    (Leaf1Ecx, 28, "avx"),
    (Leaf1Ecx, 29, "f16c"),
    (ExtendedEcx, 0, "lahf_lm"),
    (ExtendedEcx, 5, "abm"),
    (Leaf7Ebx, 3, "bmi1"),
    (Leaf7Ebx, 5, "avx2"),
    (Leaf7Ebx, 8, "bmi2"),
    (XsaveEax, 0, "xsaveopt"),
];

pub(super) fn cpuinfo(cx: &Cx) -> String {
    let cpus = cx.kernel.config.cpus.max(1);
    let flags = flags(cx);
    let mut text = String::new();
    for cpu in 0..cpus {
        // A string takes all text.
        let _ = write!(
            text,
            "processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\nmodel name\t: fated virtual \
             processor (x86-64-v3)\nstepping\t: 3\nmicrocode\t: 0x1\ncpu MHz\t\t: 1000.000\ncache size\t: 8192 KB\nphysical id\t: 0\n\
             siblings\t: {cpus}\ncore id\t\t: {cpu}\ncpu cores\t: {cpus}\napicid\t\t: {cpu}\ninitial apicid\t: {cpu}\nfpu\t\t: yes\n\
             fpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t: {flags}\n\
             bugs\t\t:\nbogomips\t: 2000.00\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 39 bits physical, \
             48 bits virtual\npower management:\n\n"
        );
    }
    text
}

/// The names of what the processor has.
fn flags(cx: &Cx) -> String {
    let ask = |leaf, sub| cx.task.guest.cpuid(leaf, sub);
    let ([.., leaf1_ecx, leaf1_edx], [.., extended_ecx, extended_edx]) = (ask(1, 0), ask(0x8000_0001, 0));
    let ([_, leaf7_ebx, ..], [xsave_eax, ..]) = (ask(7, 0), ask(0xd, 1));
    let mut names = String::new();
    for &(source, bit, name) in FLAGS {
        let word = match source {
            Leaf1Edx => leaf1_edx,
            ExtendedEdx => extended_edx,
            Always => u32::MAX,
            Leaf1Ecx => leaf1_ecx,
            ExtendedEcx => extended_ecx,
            Leaf7Ebx => leaf7_ebx,
            XsaveEax => xsave_eax,
        };
        if word >> bit & 1 != 0 {
            names.push_str(if names.is_empty() { "" } else { " " });
            names.push_str(name);
        }
    }
    names
}
