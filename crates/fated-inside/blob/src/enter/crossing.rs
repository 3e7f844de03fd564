//! How the processor crosses between guest code and kernel: where registers are saved and restored.
//!
//! A rewritten call site (`rewrite`) jumps to [`enter`] on the guest's stack, which is never touched. `enter` saves
//! the general registers straight into the [`Context`] of the task that runs, switches to the kernel's stack and
//! calls `entry::on_call`. Its result says which task runs next. That may be a task of another process, where the
//! kernel's stack and this code have the same addresses. Mostly it is the same task, right behind its call. Then only
//! the registers that a function may change are restored ([`Leave::STRAIGHT`]).
//!
//! Of the extended state only xmm0 to xmm15 are saved there, since the blob uses nothing beyond SSE2. The rest stays
//! in the real thread until another task of the same process runs ([`save`]). Linux's own switches between real
//! threads preserve it.
//!
//! Invariant: the kernel's stack is empty while guest code runs.

use core::arch::global_asm;
use core::cell::Cell;
use core::mem::offset_of;

use fated_kernel::arch::Regs;

use crate::arena::{self, HOST, Part, STACK_TOP, part};
use crate::enter::frame::{FEATURES, Frame};
use crate::memory::keys;
use crate::protocol::layout::WINDOW;

/// Flags that must be clear in the kernel: trap, direction, nested task, alignment check.
const UNUSUAL: u32 = 0x4_4500;
/// The flag for alignment checks.
const ALIGNMENT_CHECK: i32 = 0x4_0000;

/// What the code below needs to find the task that runs.
#[repr(C)]
pub struct Crossing {
    /// The context of the task that ran last. It must be the first field.
    pub context: Cell<*const Context>,
    /// Scratch space for this code and `clock`, where no register is free and nothing else of the kernel runs.
    scratch: [Cell<u64>; 2],
    /// The arena has a protection key.
    pub keyed: Cell<bool>,
}

// SAFETY: the place is its own.
unsafe impl Part for Crossing {
    const AT: u64 = arena::at::CROSSING;
}

impl Default for Crossing {
    fn default() -> Crossing {
        Crossing { context: Cell::new(core::ptr::null()), scratch: Default::default(), keyed: Cell::new(false) }
    }
}

/// Whether the arena has a protection key.
pub fn is_keyed() -> bool {
    part::<Crossing>().keyed.get()
}

/// A task's registers. While its real thread holds its extended state, it holds the bases of fs and gs, too, and
/// those here are stale.
#[repr(C, align(16))]
#[derive(Default)]
pub struct Context {
    pub regs: Cell<Regs>,
    /// The `rip` behind its last call if that came through a rewritten site, otherwise 0.
    pub called_at: Cell<u64>,
    /// Where it continues from there: the site may have displaced the instruction that stood there.
    pub returns_to: Cell<u64>,
    /// xmm0 to xmm15, while its real thread holds the rest of its extended state.
    vectors: Cell<[u128; 16]>,
}

impl Context {
    /// The context of a new task.
    pub fn new(regs: Regs) -> Context {
        Context { regs: Cell::new(regs), ..Context::default() }
    }
}

/// The task that runs next.
#[repr(C)]
pub struct Leave {
    pub context: *const Context,
    /// Its extended state, or null if its real thread holds it.
    pub state: *const Frame,
}

impl Leave {
    /// Back to the task that called through a rewritten site, right behind the call. Of its registers only `rax` has
    /// changed, and its real thread holds its extended state.
    pub const STRAIGHT: Leave = Leave { context: core::ptr::null(), state: core::ptr::null() };
}

global_asm!(
    ".text",
    // Addresses that the blob reaches relative to rip, like its own.
    ".set host_begin, __executable_start + {host}",
    ".set crossing_target, host_begin + {scratch}",
    ".set crossing_flags, host_begin + {scratch} + 8",
    ".set arena_is_keyed, host_begin + {keyed}",
    ".set kernel_stack_top, __executable_start + {stack_top}",
    ".set crossing_rax, __executable_start + {private}",
    ".set crossing_rcx, __executable_start + {private} + 8",
    ".set crossing_rdx, __executable_start + {private} + 16",
    ".set at_r15, {r15}",
    ".set at_r14, {r14}",
    ".set at_r13, {r13}",
    ".set at_r12, {r12}",
    ".set at_rbp, {rbp}",
    ".set at_rbx, {rbx}",
    ".set at_r10, {r10}",
    ".set at_r9, {r9}",
    ".set at_r8, {r8}",
    ".set at_rdx, {rdx}",
    ".set at_rsi, {rsi}",
    ".set at_rdi, {rdi}",
    // set_rights(value of PKRU): clobbers rax, rcx and rdx, but no flags
    ".macro set_rights value",
    "mov ecx, 0",
    "mov edx, 0",
    "mov eax, \\value",
    "wrpkru",
    ".endm",
    // Write-protects the arena from here on, where there are keys: clobbers rax, rdx and r10
    ".macro leave_arena",
    "cmp byte ptr [rip + arena_is_keyed], 0",
    "je 8f",
    "mov r10, rcx",
    "set_rights {closed}",
    "mov rcx, r10",
    "8:",
    ".endm",
    // Loads the flags from rcx: the overflow flag by an addition, the others from ah
    ".macro load_flags",
    "bt ecx, 11",
    "setc al",
    "mov ah, cl",
    "add al, 0x7f",
    "sahf",
    ".endm",
    // The arena is writable only from here on.
    ".globl enter_keyed",
    "enter_keyed:",
    "mov r11, rcx",
    ".globl enter_displaced_keyed",
    "enter_displaced_keyed:",
    ".irp reg, rax, rcx, rdx",
    "mov [rip + crossing_\\reg], \\reg",
    ".endr",
    "set_rights {open}",
    ".irp reg, rax, rcx, rdx",
    "mov \\reg, [rip + crossing_\\reg]",
    ".endr",
    "jmp enter_displaced",
    // The handlers of all signals, with Linux's arguments. Linux leaves a guest's alignment check on.
    ".macro check_no_alignment",
    "pushfq",
    "and dword ptr [rsp], {aligned}",
    "popfq",
    ".endm",
    ".globl on_signal_plain",
    "on_signal_plain:",
    "check_no_alignment",
    "jmp on_signal",
    ".globl on_signal_keyed",
    "on_signal_keyed:",
    "check_no_alignment",
    "mov r8, rdx",
    "set_rights {open}",
    "mov rdx, r8",
    "jmp on_signal",
    // Entry from a call site. rcx: rip behind the call. Like the instruction, this clobbers rcx and r11 only.
    ".globl enter",
    ".balign 64",
    "enter:",
    "mov r11, rcx",
    // The same, with the address at which the guest continues in r11.
    ".globl enter_displaced",
    "enter_displaced:",
    "mov [rip + crossing_target], r11",
    "mov r11, [rip + host_begin]",
    ".irp reg, r15, r14, r13, r12, rbp, rbx, r10, r9, r8, rdx, rsi, rdi",
    "mov [r11 + at_\\reg], \\reg",
    ".endr",
    "mov [r11 + {rax}], rax",
    "mov [r11 + {rsp}], rsp",
    "lea rsp, [rip + kernel_stack_top]",
    "pushfq",
    "pop rax",
    "mov rbp, [rip + crossing_target]",
    "mov [r11 + {rip}], rcx",
    "mov [r11 + {rcx}], rcx",
    "mov [r11 + {called_at}], rcx",
    "mov [r11 + {returns_to}], rbp",
    "mov [r11 + {eflags}], rax",
    "mov [r11 + {r11}], rax",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "movaps [r11 + {vectors} + 16 * \\n], xmm\\n",
    ".endr",
    "test eax, {unusual}",
    "jz 2f",
    "push 2",
    "popfq",
    "2:",
    "mov rbp, r11",
    // The arguments are where a function expects them, but for one.
    "mov rcx, r10",
    "call on_call",
    "test rax, rax",
    "jnz 2f",
    // Straight back. Callee-saved registers are unchanged, except for rbp; so is the target.
    "mov r11, rbp",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "movaps xmm\\n, [r11 + {vectors} + 16 * \\n]",
    ".endr",
    "mov rcx, [r11 + {eflags}]",
    "mov rdx, [rip + crossing_target]",
    "test ecx, {unusual}",
    "jnz 7f",
    "leave_arena",
    "load_flags",
    ".irp reg, rbp, r10, r9, r8, rdx, rsi, rdi",
    "mov \\reg, [r11 + at_\\reg]",
    ".endr",
    "1:",
    "mov rax, [r11 + {rax}]",
    "mov rsp, [r11 + {rsp}]",
    "mov rcx, [r11 + {rcx}]",
    "mov r11, [r11 + {r11}]",
    ".globl leaves_by_jump",
    "leaves_by_jump:",
    "jmp [rip + crossing_target]",
    // To any task, after a call or from `run_kernel`. r11: context, rdx: extended state or 0.
    "2:",
    "mov r11, rax",
    "test rdx, rdx",
    "jnz 5f",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "movaps xmm\\n, [r11 + {vectors} + 16 * \\n]",
    ".endr",
    "4:",
    "mov rax, [r11 + {rip}]",
    "mov rdx, rax",
    "cmp rax, [r11 + {called_at}]",
    "jne 6f",
    "mov rdx, [r11 + {returns_to}]",
    "6:",
    // Like sysret in Linux: if rcx and r11 hold what `syscall` leaves in them, no other register is needed for the
    // return.
    "mov rcx, [r11 + {eflags}]",
    "cmp rax, [r11 + {rcx}]",
    "jne 7f",
    "cmp rcx, [r11 + {r11}]",
    "jne 7f",
    "test ecx, {unusual}",
    "jnz 7f",
    "mov [rip + crossing_target], rdx",
    "leave_arena",
    "load_flags",
    ".irp reg, r15, r14, r13, r12, rbp, rbx, r10, r9, r8, rdx, rsi, rdi",
    "mov \\reg, [r11 + at_\\reg]",
    ".endr",
    "jmp 1b",
    // With another extended state.
    "5:",
    "mov r10, rdx",
    "mov rax, [r10 + {features}]",
    "mov rdx, rax",
    "shr rdx, 32",
    "xrstor64 [r10]",
    "jmp 4b",
    // With all registers.
    "7:",
    "push 2",
    "popfq",
    "push 0x2b",
    "push [r11 + {rsp}]",
    "push rcx",
    "push 0x33",
    "push rdx",
    "cmp byte ptr [rip + arena_is_keyed], 0",
    "je 9f",
    "set_rights {closed}",
    "9:",
    ".irp reg, r15, r14, r13, r12, rbp, rbx, r10, r9, r8, rdx, rsi, rdi",
    "mov \\reg, [r11 + at_\\reg]",
    ".endr",
    "mov rax, [r11 + {rax}]",
    "mov rcx, [r11 + {rcx}]",
    "mov r11, [r11 + {r11}]",
    ".globl leaves_by_iret",
    "leaves_by_iret:",
    "iretq",
    // run_kernel(function that returns which task runs next)
    ".globl run_kernel",
    "run_kernel:",
    "lea rsp, [rip + kernel_stack_top]",
    "xor ebp, ebp",
    "call rdi",
    "jmp 2b",
    // save(frame, context)
    ".globl save",
    "save:",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "movaps xmm\\n, [rsi + {vectors} + 16 * \\n]",
    ".endr",
    "mov rax, [rdi + {features}]",
    "mov rdx, rax",
    "shr rdx, 32",
    "xsave64 [rdi]",
    "ret",
    host = const HOST + Crossing::AT - WINDOW,
    stack_top = const STACK_TOP - WINDOW,
    scratch = const offset_of!(Crossing, scratch),
    keyed = const offset_of!(Crossing, keyed),
    private = const keys::SCRATCH - WINDOW,
    vectors = const offset_of!(Context, vectors),
    unusual = const UNUSUAL,
    aligned = const !ALIGNMENT_CHECK,
    open = const keys::OPEN,
    closed = const keys::CLOSED,
    features = const FEATURES,
    called_at = const offset_of!(Context, called_at),
    returns_to = const offset_of!(Context, returns_to),
    r15 = const offset_of!(Regs, r15),
    r14 = const offset_of!(Regs, r14),
    r13 = const offset_of!(Regs, r13),
    r12 = const offset_of!(Regs, r12),
    rbp = const offset_of!(Regs, rbp),
    rbx = const offset_of!(Regs, rbx),
    r11 = const offset_of!(Regs, r11),
    r10 = const offset_of!(Regs, r10),
    r9 = const offset_of!(Regs, r9),
    r8 = const offset_of!(Regs, r8),
    rax = const offset_of!(Regs, rax),
    rcx = const offset_of!(Regs, rcx),
    rdx = const offset_of!(Regs, rdx),
    rsi = const offset_of!(Regs, rsi),
    rdi = const offset_of!(Regs, rdi),
    rip = const offset_of!(Regs, rip),
    eflags = const offset_of!(Regs, eflags),
    rsp = const offset_of!(Regs, rsp),
);

unsafe extern "C" {
    /// Switches to the kernel's empty stack, and then to the task that the function returns.
    pub fn run_kernel(then: extern "C" fn() -> Leave) -> !;
    /// Saves the extended state of a task that this real thread holds into its frame.
    pub fn save(frame: *mut Frame, context: *const Context);
    fn enter();
    fn enter_displaced();
    fn enter_keyed();
    fn enter_displaced_keyed();
    fn on_signal_plain(signal: i32, info: *const u8, uc: *mut u64);
    fn on_signal_keyed(signal: i32, info: *const u8, uc: *mut u64);
    static leaves_by_jump: u8;
    static leaves_by_iret: u8;
}

/// The target of a rewritten call site, with `rcx` as [`enter`] wants it.
pub fn entry() -> u64 {
    (if is_keyed() { enter_keyed } else { enter }) as *const () as u64
}

/// The same for a site that has the address at which the guest continues in `r11`.
pub fn displaced_entry() -> u64 {
    (if is_keyed() { enter_displaced_keyed } else { enter_displaced }) as *const () as u64
}

/// The signal handler for Linux: `entry::on_signal`, after write access to the arena is there.
pub fn handler() -> u64 {
    (if is_keyed() { on_signal_keyed } else { on_signal_plain }) as *const () as u64
}

/// Whether this is the first instruction behind a call site.
pub fn enters_at(address: u64) -> bool {
    let entries = [enter, enter_displaced, enter_keyed, enter_displaced_keyed];
    entries.iter().any(|&entry| entry as *const () as u64 == address)
}

/// Whether a fault at this address means that the registers of the task that was to run next are bad.
pub fn leaves_at(address: u64) -> bool {
    [(&raw const leaves_by_jump) as u64, (&raw const leaves_by_iret) as u64].contains(&address)
}
