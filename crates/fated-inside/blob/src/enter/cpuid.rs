//! Answers `cpuid` without a signal: the few instructions behind a site that `prepared` has replaced.
//!
//! A site's stub jumps to [`entry`]. The instruction overwrites four registers, so they are free here; flags are kept.
//! The kernel isn't entered, since no answer depends on anything but the two arguments.

use core::arch::global_asm;
use core::mem::offset_of;

use fated_engine::cpuid::Cpuid;

use crate::arena::{self, HOST, Part};
use crate::enter::{crossing, frame};
use crate::protocol::layout::WINDOW;
use crate::settings::settings;

/// As [`Row::sub`]: the leaf has one answer.
const ANY: u32 = u32::MAX;
/// As [`Row::leaf`]: behind the last row. No leaf has this number.
const END: u32 = u32::MAX;
/// The leaf that repeats its second argument.
const TOPOLOGY: u32 = 0xb;
/// All leaves, those that glibc asks for most first.
const LEAVES: [u32; 15] = [
    2,
    4,
    0xd,
    0,
    1,
    7,
    TOPOLOGY,
    0x8000_0000,
    0x8000_0001,
    0x8000_0002,
    0x8000_0003,
    0x8000_0004,
    0x8000_0006,
    0x8000_0007,
    0x8000_0008,
];
/// Leaves whose answer depends on the second argument, and up to which one.
const SUBLEAVES: [(u32, u32); 4] = [(4, 4), (7, 1), (0xd, 64), (TOPOLOGY, 2)];
const ROWS: usize = 96;

/// What the processor answers to a leaf and a second argument.
#[repr(C)]
#[derive(Clone, Copy)]
struct Row {
    leaf: u32,
    sub: u32,
    eax: u32,
    ebx: u32,
    ecx: u32,
    edx: u32,
}

/// The answers that aren't zero.
#[repr(C)]
pub struct Answers([Row; ROWS]);

// SAFETY: the place is its own.
unsafe impl Part for Answers {
    const AT: u64 = arena::at::ANSWERS;
}

impl Answers {
    /// What this processor answers.
    pub fn new(cpuid: &Cpuid) -> Answers {
        let mut rows = [Row { leaf: END, sub: ANY, eax: 0, ebx: 0, ecx: 0, edx: 0 }; ROWS];
        let mut free = rows[..ROWS - 1].iter_mut();
        for leaf in LEAVES {
            let subleaves = SUBLEAVES.iter().find(|&&(it, _)| it == leaf).map(|&(_, count)| count);
            for sub in 0..subleaves.unwrap_or(1) {
                let it = cpuid.ask(leaf, sub);
                if (it.eax | it.ebx | it.ecx | it.edx) != 0
                    && let Some(row) = free.next()
                {
                    let sub = if subleaves.is_some() { sub } else { ANY };
                    *row = Row { leaf, sub, eax: it.eax, ebx: it.ebx, ecx: it.ecx, edx: it.edx };
                }
            }
        }
        Answers(rows)
    }
}

global_asm!(
    ".text",
    ".set cpuid_answers, __executable_start + {answers}",
    // rdx: where the guest continues. It is kept where guest code may write, and the flags in edx.
    ".macro answer_cpuid target",
    "mov [rip + \\target], rdx",
    "mov ebx, eax",
    "lahf",
    "seto al",
    "mov edx, eax",
    "lea rax, [rip + cpuid_answers]",
    "2:",
    "cmp ebx, [rax + {leaf}]",
    "jne 3f",
    "cmp ecx, [rax + {sub}]",
    "je 4f",
    "cmp dword ptr [rax + {sub}], {any}",
    "je 4f",
    "3:",
    "cmp dword ptr [rax + {leaf}], {end}",
    "je 5f",
    "add rax, {size}",
    "jmp 2b",
    "4:",
    "mov rcx, rax",
    "mov eax, edx",
    "add al, 0x7f",
    "sahf",
    "mov eax, [rcx + {eax}]",
    "mov ebx, [rcx + {ebx}]",
    "mov edx, [rcx + {edx}]",
    "mov ecx, [rcx + {ecx}]",
    "jmp [rip + \\target]",
    // Zeros, but for one leaf.
    "5:",
    "movzx ecx, cl",
    "cmp ebx, {topology}",
    "je 6f",
    "mov ecx, 0",
    "6:",
    "mov eax, edx",
    "add al, 0x7f",
    "sahf",
    "mov eax, 0",
    "mov ebx, 0",
    "mov edx, 0",
    "jmp [rip + \\target]",
    ".endm",
    ".globl enter_cpuid",
    ".balign 64",
    "enter_cpuid:",
    "answer_cpuid crossing_target",
    ".globl enter_cpuid_keyed",
    ".balign 64",
    "enter_cpuid_keyed:",
    "answer_cpuid crossing_rdx",
    answers = const HOST + Answers::AT - WINDOW,
    any = const ANY as i32,
    end = const END as i32,
    topology = const TOPOLOGY,
    size = const size_of::<Row>(),
    leaf = const offset_of!(Row, leaf),
    sub = const offset_of!(Row, sub),
    eax = const offset_of!(Row, eax),
    ebx = const offset_of!(Row, ebx),
    ecx = const offset_of!(Row, ecx),
    edx = const offset_of!(Row, edx),
);

unsafe extern "C" {
    fn enter_cpuid();
    fn enter_cpuid_keyed();
}

/// Where a stub jumps to, with the arguments as the instruction has them and the address to continue at in `rdx`.
pub fn entry() -> u64 {
    (if crossing::is_keyed() { enter_cpuid_keyed } else { enter_cpuid }) as *const () as u64
}

/// Answers for a guest that single-steps and has arrived at [`entry`].
///
/// # Safety
/// `uc` is what a signal handler got.
pub unsafe fn step_over(uc: *mut u64) {
    // SAFETY: the caller's promise.
    let word = |index| unsafe { &mut *uc.add(index) };
    if *word(frame::RIP) == entry() {
        *word(frame::RIP) = *word(frame::RDX);
        // SAFETY: the caller's promise.
        unsafe { answer(uc) };
    }
}

/// Puts the answer into the registers of a guest that was interrupted by a signal.
///
/// # Safety
/// `uc` is what a signal handler got.
pub unsafe fn answer(uc: *mut u64) {
    // SAFETY: the caller's promise.
    let word = |index| unsafe { &mut *uc.add(index) };
    let it = settings().cpuid.ask(*word(frame::RAX) as u32, *word(frame::RCX) as u32);
    for (index, value) in [(frame::RAX, it.eax), (frame::RBX, it.ebx), (frame::RCX, it.ecx), (frame::RDX, it.edx)] {
        *word(index) = u64::from(value);
    }
}
