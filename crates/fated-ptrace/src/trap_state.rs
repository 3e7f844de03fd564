//! The trap state of the tracer's thread: whether `rdtsc` and `cpuid` trap in it.
//!
//! The thread traps both as its guests do, although it uses neither. A switch between tasks with different trap states writes a
//! control register and a model-specific register. In a virtual machine, the second write causes an exit. Two exits made a stop five
//! times as expensive (18 µs instead of 3.6 µs in one measurement).
//!
//! Invariant: code of fated on this thread may use these instructions all the same, as the vDSO's clocks do. A handler then
//! enables them, and the engine disables them before it runs a guest.

use crate::sys;
use fated_engine::sensitive::Sensitive;
use std::cell::Cell;
use std::ptr;
use std::sync::OnceLock;

/// Which instructions trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traps {
    Nothing,
    Tsc,
    TscAndCpuid,
}

thread_local! {
    /// What traps in this thread.
    static TRAPS: Cell<Traps> = const { Cell::new(Traps::Nothing) };
}

struct Handler(libc::sigaction);

// SAFETY: a `sigaction` is plain data; its function pointers belong to the process, not to a thread.
unsafe impl Send for Handler {}
// SAFETY: it is never changed.
unsafe impl Sync for Handler {}

/// The previous action of `SIGSEGV`: usually Rust's own reporter of stack overflows.
static BEFORE: OnceLock<Handler> = OnceLock::new();

/// The trap state of this thread. Dropping it enables the instructions.
#[derive(Debug)]
pub(crate) struct TrapState(());

impl TrapState {
    pub(crate) fn new() -> TrapState {
        BEFORE.get_or_init(install);
        TrapState(())
    }

    /// Makes the instructions trap if they don't. `cpuid`: whether `cpuid` traps in guests.
    pub(crate) fn match_guests(&self, cpuid: bool) {
        if TRAPS.get() == Traps::Nothing {
            set(if cpuid { Traps::TscAndCpuid } else { Traps::Tsc });
        }
    }
}

impl Drop for TrapState {
    fn drop(&mut self) {
        if TRAPS.get() != Traps::Nothing {
            set(Traps::Nothing);
        }
    }
}

/// Sets the trap state of this thread. If a call fails, switches stay expensive and nothing else changes.
fn set(traps: Traps) {
    let before = TRAPS.replace(traps);
    let tsc = if traps == Traps::Nothing { libc::PR_TSC_ENABLE } else { libc::PR_TSC_SIGSEGV };
    // Where `cpuid` never traps, its register is left alone.
    let enabled = [before, traps].contains(&Traps::TscAndCpuid).then_some(u64::from(traps != Traps::TscAndCpuid));
    // SAFETY: plain numbers; `on_fault` enables the instructions where they are needed.
    unsafe {
        libc::prctl(libc::PR_SET_TSC, tsc, 0, 0, 0);
        if let Some(enabled) = enabled {
            libc::syscall(libc::SYS_arch_prctl, sys::ARCH_SET_CPUID, enabled);
        }
    }
}

fn install() -> Handler {
    // SAFETY: all bytes zero are a valid `sigaction`.
    let (mut new, mut old): (libc::sigaction, libc::sigaction) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
    new.sa_sigaction = handler as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: both are valid; the handler makes system calls only and leaves other faults to the previous one.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const new, &raw mut old) };
    Handler(old)
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: Linux passes valid pointers. A general protection fault comes from an instruction that has been fetched, so its
    // bytes can be read. The third byte is read only if the instruction has three.
    let ours = unsafe {
        (*info).si_code == libc::SI_KERNEL && {
            let context: *const libc::ucontext_t = context.cast();
            let at = (*context).uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
            let byte = |offset: usize| ptr::with_exposed_provenance::<u8>(at + offset).read();
            let short = [byte(0), byte(1)];
            let traps = |code: &[u8]| Sensitive::that_faults(code).is_some();
            traps(&short) || short == [0x0f, 0x01] && traps(&[0x0f, 0x01, byte(2)])
        }
    };
    if ours {
        return set(Traps::Nothing);
    }
    let Some(Handler(before)) = BEFORE.get() else { return };
    if before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == libc::SIG_IGN {
        // The instruction faults again, and the process ends as it would without this handler.
        // SAFETY: the action is what Linux gave.
        unsafe { libc::sigaction(signal, &raw const *before, ptr::null_mut()) };
    } else if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: with this flag, the address is that of a handler with three arguments.
        unsafe {
            let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(before.sa_sigaction);
            handler(signal, info, context);
        }
    } else {
        // SAFETY: without it, that of a handler with one argument.
        unsafe {
            let handler: extern "C" fn(i32) = std::mem::transmute(before.sa_sigaction);
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fated_engine::cpuid;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the clock is what is tested")]
    fn the_thread_gets_the_instructions_back_when_it_uses_them() {
        let traps = TrapState::new();
        for cpuid in [false, cpuid::can_fault()] {
            traps.match_guests(cpuid);
            assert_ne!(TRAPS.get(), Traps::Nothing);
            // SAFETY: every x86-64 processor has the instruction.
            let one = unsafe { std::arch::x86_64::_rdtsc() };
            assert_eq!(TRAPS.get(), Traps::Nothing);
            traps.match_guests(cpuid);
            assert_eq!(cpuid::real(0, 0).eax, cpuid::real(0, 0).eax);
            assert_eq!(TRAPS.get() == Traps::Nothing, cpuid, "it has trapped if it can");
            traps.match_guests(cpuid);
            let _ = std::time::Instant::now();
            // SAFETY: as above.
            assert!(unsafe { std::arch::x86_64::_rdtsc() } > one);
        }
    }
}
