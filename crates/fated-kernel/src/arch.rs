//! What the processor gives and takes: registers, system calls, faults (x86-64).

/// The registers of an x86-64 task, in the order of `struct user_regs_struct` (`sys/user.h`).
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the processor's own")]
pub struct Regs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

/// A system call as the guest made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number, as in `<asm/unistd_64.h>`.
    pub number: u64,
    /// The six argument registers.
    pub args: [u64; 6],
}

/// A signal that an instruction of the guest raised, as in its `siginfo` and signal context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `si_signo`.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`.
    pub addr: u64,
    /// The processor's trap number, for the signal context (0 if not known).
    pub trap: u64,
    /// The processor's error code (0 if not known).
    pub error: u64,
}
