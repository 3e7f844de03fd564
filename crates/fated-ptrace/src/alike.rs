//! The tracer's thread traps `rdtsc` and `cpuid` as its guests do.
//!
//! It uses neither, but a switch between tasks that differ in this writes a control register and a model-specific one.
//! In a virtual machine the latter is an exit: two of them made a stop five times as dear (18 µs instead of 3.6 where
//! this was measured).
//!
//! Should code of fated on this thread use one of these instructions after all (the vDSO's clocks do), a handler lets the
//! thread have them, and the next stop of a guest takes them away again.

use crate::fault::Trap;
use crate::sys;
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
    /// What traps in this thread now.
    static TRAPS: Cell<Traps> = const { Cell::new(Traps::Nothing) };
}

struct Handler(libc::sigaction);

// SAFETY: a `sigaction` is plain data; its function pointers belong to the process, not to a thread.
unsafe impl Send for Handler {}
// SAFETY: it is never changed.
unsafe impl Sync for Handler {}

/// What handled `SIGSEGV` before: Rust's own reporter of stack overflows, as a rule.
static BEFORE: OnceLock<Handler> = OnceLock::new();

/// Makes this thread trap, until dropped.
#[derive(Debug)]
pub(crate) struct Alike(());

impl Alike {
    pub(crate) fn new() -> Alike {
        BEFORE.get_or_init(install);
        Alike(())
    }

    /// Takes the instructions away if this thread has them. `cpuid`: whether guests' faults, too.
    pub(crate) fn trap(&self, cpuid: bool) {
        if TRAPS.get() == Traps::Nothing {
            set(if cpuid { Traps::TscAndCpuid } else { Traps::Tsc });
        }
    }
}

impl Drop for Alike {
    fn drop(&mut self) {
        if TRAPS.get() != Traps::Nothing {
            set(Traps::Nothing);
        }
    }
}

/// Both calls concern this thread alone. Where they fail, switches stay dear and nothing else changes.
fn set(traps: Traps) {
    let before = TRAPS.replace(traps);
    let tsc = if traps == Traps::Nothing { libc::PR_TSC_ENABLE } else { libc::PR_TSC_SIGSEGV };
    // Where `cpuid` never traps, nothing is asked of the processor.
    let enabled = [before, traps].contains(&Traps::TscAndCpuid).then_some(u64::from(traps != Traps::TscAndCpuid));
    // SAFETY: plain numbers; the instructions are given back by `on_fault` where they are needed.
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
    // SAFETY: both are valid; the handler makes system calls only and then leaves the rest to the one before.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const new, &raw mut old) };
    Handler(old)
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: Linux hands over valid pointers. A general protection fault happened in an instruction that had been
    // fetched, so that its bytes can be read; the last one of three only if the first two don't tell.
    let ours = unsafe {
        (*info).si_code == libc::SI_KERNEL && {
            let context: *const libc::ucontext_t = context.cast();
            let at = (*context).uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
            let byte = |offset: usize| ptr::with_exposed_provenance::<u8>(at + offset).read();
            let short = [byte(0), byte(1)];
            Trap::decode(&short).is_some() || short == [0x0f, 0x01] && Trap::decode(&[0x0f, 0x01, byte(2)]).is_some()
        }
    };
    if ours {
        return set(Traps::Nothing);
    }
    let Some(Handler(before)) = BEFORE.get() else { return };
    if before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == libc::SIG_IGN {
        // The instruction faults again, and then the process ends as it would have.
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
        let alike = Alike::new();
        for cpuid in [false, cpuid::can_fault()] {
            alike.trap(cpuid);
            assert_ne!(TRAPS.get(), Traps::Nothing);
            // SAFETY: every x86-64 processor has the instruction.
            let one = unsafe { std::arch::x86_64::_rdtsc() };
            assert_eq!(TRAPS.get(), Traps::Nothing);
            alike.trap(cpuid);
            assert_eq!(cpuid::real(0, 0).eax, cpuid::real(0, 0).eax);
            assert_eq!(TRAPS.get() == Traps::Nothing, cpuid, "it has trapped if it can");
            alike.trap(cpuid);
            let _ = std::time::Instant::now();
            // SAFETY: as above.
            assert!(unsafe { std::arch::x86_64::_rdtsc() } > one);
        }
    }
}
