//! Clock readings without the kernel: the few instructions behind a rewritten `clock_gettime`.
//!
//! Natively this is the vDSO's work. Here the vDSO's function is itself a rewritten site (`vdso`). Each reading is a
//! call that takes its time and counts as one, as in the other engine.
//!
//! Invariants: the kernel says how many readings may happen before it must look again. They are accounted before the
//! kernel does anything else ([`settle`]).

use core::arch::global_asm;
use core::cell::Cell;
use core::mem::offset_of;

use fated_kernel::cx::Cx;
use fated_kernel::time::timers::SECOND;

use crate::arena::{self, HOST, Part, part};
use crate::enter::crossing;

use crate::protocol::layout::{WINDOW, WINDOW_SIZE};

/// The readings of the task that runs.
#[repr(C)]
#[derive(Default)]
pub struct Readings {
    /// How many there were.
    made: Cell<u64>,
    /// How many there may be.
    limit: Cell<u64>,
    /// The virtual time that one takes.
    cost: Cell<u64>,
    /// What the first one returns, by clock: since 1970, and since boot. No reading reaches the next second.
    seconds: [Cell<u64>; 2],
    nanos: [Cell<u64>; 2],
}

// SAFETY: the place is its own.
unsafe impl Part for Readings {
    const AT: u64 = arena::at::CLOCK;
}

global_asm!(
    ".text",
    ".set clock_readings, __executable_start + {readings}",
    // Like `enter`, for a site that calls clock_gettime.
    ".globl enter_clock",
    ".balign 64",
    "enter_clock:",
    "lahf",
    "seto al",
    "shl al, 3",
    "mov [rip + crossing_flags], ax",
    "lea r11, [rip + clock_readings]",
    // Only the first two clocks, and a pointer outside of the engine's memory.
    "cmp rdi, 1",
    "ja 8f",
    "mov rax, rsi",
    "shr rax, {window_shift}",
    "cmp eax, {window_number}",
    "je 8f",
    "mov rax, [r11 + {made}]",
    "cmp rax, [r11 + {limit}]",
    "jae 8f",
    "imul rax, [r11 + {cost}]",
    "add rax, [r11 + rdi * 8 + {nanos}]",
    ".globl clock_writes_nanos",
    "clock_writes_nanos:",
    "mov [rsi + 8], rax",
    "mov rax, [r11 + rdi * 8 + {seconds}]",
    ".globl clock_writes_seconds",
    "clock_writes_seconds:",
    "mov [rsi], rax",
    "inc qword ptr [r11 + {made}]",
    "movzx eax, word ptr [rip + crossing_flags]",
    // As behind the instruction, r11 holds the flags: the overflow flag and those of ah, and that interrupts are on.
    "mov r11d, eax",
    "rol r11w, 8",
    "or r11d, 0x200",
    "add al, 0x78",
    "sahf",
    "mov eax, 0",
    "jmp rcx",
    ".globl clock_fixup",
    "clock_fixup:",
    "8:",
    "movzx eax, word ptr [rip + crossing_flags]",
    "add al, 0x78",
    "sahf",
    "mov eax, {number}",
    "jmp enter",
    window_shift = const WINDOW_SIZE.trailing_zeros(),
    window_number = const WINDOW >> WINDOW_SIZE.trailing_zeros(),
    number = const linux_raw_sys::general::__NR_clock_gettime,
    readings = const HOST + Readings::AT - WINDOW,
    made = const offset_of!(Readings, made),
    limit = const offset_of!(Readings, limit),
    cost = const offset_of!(Readings, cost),
    seconds = const offset_of!(Readings, seconds),
    nanos = const offset_of!(Readings, nanos),
);

unsafe extern "C" {
    fn enter_clock();
    static clock_writes_nanos: u8;
    static clock_writes_seconds: u8;
    static clock_fixup: u8;
}

/// The address by which a site enters the kernel, with `rcx` as [`crossing::entry`] wants it.
pub fn entry(reads_clock: bool) -> u64 {
    // A reading writes to the arena, which needs write access where there is a key.
    if reads_clock && !crossing::is_keyed() { enter_clock as *const () as u64 } else { crossing::entry() }
}

/// Whether this is the first instruction behind a call site.
pub fn enters_at(address: u64) -> bool {
    enter_clock as *const () as u64 == address
}

/// The fixup of a reading that faults at `at`, in a write to guest memory. The kernel then returns the error.
pub fn fixup(at: u64) -> Option<u64> {
    let writes = [(&raw const clock_writes_nanos) as u64, (&raw const clock_writes_seconds) as u64];
    writes.contains(&at).then_some((&raw const clock_fixup) as u64)
}

/// Permits the running task to read the clock by itself.
#[cold]
pub fn offer(cx: &Cx) {
    let readings = part::<Readings>();
    let cost = cx.reading_cost_ns();
    let mut limit = cx.readings_ahead();
    for (clock, now) in [cx.kernel.timers.now(), cx.kernel.timers.uptime()].into_iter().enumerate() {
        let first = now.saturating_add(cost);
        let nanos = first % SECOND;
        readings.seconds[clock].set(first / SECOND);
        readings.nanos[clock].set(nanos);
        limit = limit.min((SECOND - nanos).checked_div(cost).unwrap_or(u64::MAX));
    }
    readings.cost.set(cost);
    readings.limit.set(limit);
}

/// Accounts the readings of the running task.
pub fn settle(cx: &Cx) {
    if part::<Readings>().limit.get() > 0 {
        close(cx);
    }
}

#[cold]
fn close(cx: &Cx) {
    let readings = part::<Readings>();
    let made = readings.made.replace(0);
    if made > 0 {
        cx.readings_made(made);
    }
    readings.limit.set(0);
}
