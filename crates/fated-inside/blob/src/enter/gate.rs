//! The gate: the one page from which Linux accepts system calls, and the few routines that need assembly.
//!
//! Invariant: the blob has no `syscall` instruction outside of this page but the one in [`trap`], which is there to
//! be caught.

use core::arch::global_asm;

use crate::memory::bytes::MIDDLING;
use crate::protocol::layout::{BASES, BLOCK_SIZE};

global_asm!(
    // Pushes the callee-saved registers and stores the stack pointer where rdi points.
    ".macro keep_registers",
    ".irp reg, rbx, rbp, r12, r13, r14, r15",
    "push \\reg",
    ".endr",
    "mov [rdi], rsp",
    ".endm",
    ".section .gate,\"ax\",@progbits",
    ".balign 4096",
    ".globl gate_begin",
    "gate_begin:",
    // In the blob's own file the supervisor fills this in (`TextFile`).
    "text_file:",
    ".quad 0, 0",
    // gate_call(number, six arguments)
    ".globl gate_call",
    "gate_call:",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    "ret",
    ".globl gate_restorer",
    "gate_restorer:",
    "mov eax, 15",
    "syscall",
    "ud2",
    // gate_clone(flags, stack): the child pops an argument and a function from its stack
    ".globl gate_clone",
    "gate_clone:",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "mov eax, 56",
    "syscall",
    "test rax, rax",
    "jz 2f",
    "ret",
    "2:",
    "pop rdi",
    "pop rax",
    "call rax",
    "ud2",
    // gate_leave(word, value, status): exits; the process uses no memory once the word has its value
    ".globl gate_leave",
    "gate_leave:",
    "mov eax, 231",
    "xchg [rdi], esi",
    "mov edi, edx",
    "syscall",
    "ud2",
    // gate_exec(where to store the stack pointer, fd, path, argv, envp, flags): returns 0 in the new image
    ".globl gate_exec",
    "gate_exec:",
    "keep_registers",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov eax, 322",
    "syscall",
    "jmp 3f",
    // resume_kernel(stack pointer)
    ".globl resume_kernel",
    "resume_kernel:",
    "mov rsp, rdi",
    "xor eax, eax",
    "3:",
    ".irp reg, r15, r14, r13, r12, rbp, rbx",
    "pop \\reg",
    ".endr",
    "ret",
    // leave_kernel(where to store the stack pointer, another stack, function, argument)
    ".globl leave_kernel",
    "leave_kernel:",
    "keep_registers",
    "mov rsp, rsi",
    "mov rdi, rcx",
    "call rdx",
    "ud2",
    // Linux has mapped only the gate and the stack. This maps the text, and the gate once more.
    ".globl _start",
    "_start:",
    "lea rdi, [rip + __executable_start]",
    "mov esi, 0x200000",
    "mov edx, 5",
    "mov r10d, 0x12",
    "mov r8, [rip + text_file]",
    "mov r9, [rip + text_file + 8]",
    // See `descriptors::of_image`.
    "cmp qword ptr [rsp], 1",
    "jbe 4f",
    "add r8, {first} - {low}",
    "cmp qword ptr [rsp], 2",
    "jbe 4f",
    "add r8, {second} - {first}",
    "cmp qword ptr [rsp], 3",
    "jbe 4f",
    "add r8, {third} - {second}",
    "cmp qword ptr [rsp], 4",
    "jbe 4f",
    "add r8, {fourth} - {third}",
    "cmp qword ptr [rsp], 5",
    "jbe 4f",
    "add r8, {last} - {fourth}",
    "4:",
    "mov eax, 9",
    "syscall",
    "mov rdi, rsp",
    "xor ebp, ebp",
    "and rsp, -16",
    "call start",
    "ud2",
    ".balign 4096",
    ".globl gate_end",
    "gate_end:",
    ".text",
    ".globl trap",
    "trap:",
    "mov eax, 0x7e57",
    "syscall",
    "ret",
    // copy_guest(to, from, count): returns how many bytes are left. A fault in the loop over words continues with
    // single bytes, one in that loop ends it. In the former rcx is 16 less than what is left. The words are no wider
    // than those that most of it has just been written by: processors would otherwise wait for the stores.
    ".globl copy_guest",
    "copy_guest:",
    "mov rcx, rdx",
    "cmp rdx, {middling}",
    "ja 7f",
    "sub rcx, 16",
    "jb 3f",
    ".globl copy_words",
    "copy_words:",
    "mov rax, [rsi]",
    "mov r8, [rsi + 8]",
    "mov [rdi], rax",
    "mov [rdi + 8], r8",
    "add rsi, 16",
    "add rdi, 16",
    "sub rcx, 16",
    "jae copy_words",
    "3:",
    "cmp rcx, -8",
    "jl 4f",
    "mov rax, [rsi]",
    "mov [rdi], rax",
    "add rsi, 8",
    "add rdi, 8",
    "sub rcx, 8",
    "4:",
    "cmp rcx, -12",
    "jl copy_rest",
    "mov eax, [rsi]",
    "mov [rdi], eax",
    "add rsi, 4",
    "add rdi, 4",
    "sub rcx, 4",
    ".globl copy_rest",
    "copy_rest:",
    "add rcx, 16",
    "jz copy_end",
    "6:",
    "mov al, [rsi]",
    "mov [rdi], al",
    "inc rsi",
    "inc rdi",
    "dec rcx",
    "jnz 6b",
    "jmp copy_end",
    "7:",
    "rep movsb",
    ".globl copy_end",
    "copy_end:",
    "mov rax, rcx",
    "ret",
    middling = const MIDDLING,
    low = const BASES[0],
    first = const BASES[1],
    second = const BASES[2],
    third = const BASES[3],
    fourth = const BASES[4],
    last = const BASES[5],
);

unsafe extern "C" {
    fn gate_call(number: u64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> i64;
    pub fn gate_restorer();
    pub fn gate_clone(flags: u64, stack: u64) -> i64;
    pub fn gate_leave(word: *mut u32, value: u32, status: i32) -> !;
    pub fn gate_exec(keep: *mut u64, fd: u64, path: *const u8, argv: *const u64, envp: *const u64, flags: u64) -> i64;
    pub fn resume_kernel(stack: u64) -> !;
    pub fn leave_kernel(keep: *mut u64, stack: u64, then: extern "C" fn(u64) -> !, argument: u64);
    pub fn trap();
    pub fn copy_guest(to: u64, from: u64, count: u64) -> u64;
    static gate_begin: u8;
    static gate_end: u8;
    static copy_words: u8;
    static copy_rest: u8;
    static copy_end: u8;
    static __executable_start: u8;
}

/// Makes a real system call.
///
/// # Safety
/// As unsafe as the call.
pub unsafe fn call(number: u32, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the caller answers for the call; the routine preserves what the C convention wants preserved.
    unsafe { gate_call(u64::from(number), a, b, c, d, e, f) }
}

macro_rules! addresses {
    ($($access:vis $name:ident = $symbol:ident;)*) => {$(
        /// Its address.
        $access fn $name() -> u64 {
            (&raw const $symbol) as u64
        }
    )*};
}

addresses! {
    pub begin = gate_begin;
    pub end = gate_end;
    words = copy_words;
    rest = copy_rest;
    copied = copy_end;
    pub image_begin = __executable_start;
}

/// The fixup of `copy_guest` for a fault at this address.
pub fn fixup(at: u64) -> Option<u64> {
    match at {
        _ if (words()..rest()).contains(&at) => Some(rest()),
        _ if (rest()..copied()).contains(&at) => Some(copied()),
        _ => None,
    }
}

/// Whether an address is in the blob.
pub fn holds(address: u64) -> bool {
    (image_begin()..image_begin() + BLOCK_SIZE).contains(&address)
}
