//! Answers `cpuid` without a signal: the few instructions behind a site that `prepared` has replaced.
//!
//! A site's stub jumps to [`entry`]. The instruction overwrites four registers, so they are free here; flags are kept.
//! The kernel isn't entered, since no answer depends on anything but the two arguments.

use core::arch::global_asm;
use core::mem::offset_of;

use fated_engine::cpuid::{Cpuid, LEAVES, TOPOLOGY};

use crate::arena::{self, HOST, Part};
use crate::enter::{crossing, frame};
use crate::protocol::layout::WINDOW;
use crate::settings::settings;

/// As [`Row::sub`]: the leaf has one answer.
const ANY: u32 = u32::MAX;
/// As [`Row::leaf`]: behind the last row. No leaf has this number.
const END: u32 = u32::MAX;
/// A row for each answer that isn't zero, and one behind them.
const ROWS: usize = {
    let (mut rows, mut at) = (1, 0);
    while at < LEAVES.len() {
        rows += if LEAVES[at].1 == 0 { 1 } else { LEAVES[at].1 as usize };
        at += 1;
    }
    rows
};

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
        let queries = LEAVES.iter().flat_map(|&(leaf, count)| (0..count.max(1)).map(move |sub| (leaf, count, sub)));
        let answers =
            queries.map(|(leaf, count, sub)| (leaf, if count == 0 { ANY } else { sub }, cpuid.ask(leaf, sub)));
        let answers = answers.filter(|(.., it)| (it.eax | it.ebx | it.ecx | it.edx) != 0);
        for (row, (leaf, sub, it)) in rows.iter_mut().zip(answers) {
            *row = Row { leaf, sub, eax: it.eax, ebx: it.ebx, ecx: it.ecx, edx: it.edx };
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
    "add rax, {size}",
    "cmp dword ptr [rax + {leaf}], {end}",
    "jne 2b",
    // Zeros, which are in the last row, but for one leaf.
    "cmp ebx, {topology}",
    "jne 4f",
    "movzx ecx, cl",
    "jmp 5f",
    "4:",
    "xor ecx, ecx",
    "5:",
    "or ecx, [rax + {ecx}]",
    "mov rbx, rax",
    "mov eax, edx",
    "add al, 0x7f",
    "sahf",
    "mov eax, [rbx + {eax}]",
    "mov edx, [rbx + {edx}]",
    "mov ebx, [rbx + {ebx}]",
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
