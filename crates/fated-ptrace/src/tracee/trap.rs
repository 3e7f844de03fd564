//! What the processor said of a fault: its trap number and error code, which a signal frame shows.
//!
//! ptrace(2) reports neither. But Linux keeps both with the task until its next fault, and writes them into each signal frame. So the
//! engine maps a page or two, makes them the task's stack, has Linux deliver the fault's signal to a handler that never runs, and
//! reads the frame.
//!
//! Invariant: registers, extended state, signal mask, action and mappings of the real task are then as before.

use super::Tracee;
use crate::memory;
use crate::sys::{self, Os, SignalInfo};
use fated_kernel::arch::{Call, Fault, Regs};
use fated_kernel::errno::Errno;

/// The size of the mapping. No extended state is larger.
const SIZE: u64 = 5 * 4096;
/// The size of a signal's action in the order of Linux: handler, flags, restorer, mask.
const ACTION: usize = 32;
const SA_RESTORER: u64 = 0x0400_0000;
/// Where a frame has error code and trap number, behind the address of the restorer (`struct sigcontext`).
const ERROR: u64 = 8 + 40 + 19 * 8;
/// An upper bound of the size of the extended state.
const XSTATE: usize = 16 * 1024;

impl Tracee {
    /// Decodes the signal that Linux raised for an instruction, and for whose delivery the task is stopped.
    pub(super) fn describe(&self, signal: i32, info: SignalInfo) -> Fault {
        let guess = guess(signal, info);
        let is_certain = matches!(signal, libc::SIGTRAP | libc::SIGILL) || guess.trap == DIVISION;
        let asked = if is_certain { None } else { self.ask_trap(signal).ok() };
        let (trap, error) = asked.unwrap_or((guess.trap, guess.error));
        Fault { trap, error, ..guess }
    }

    /// The trap number and the error code of the last fault.
    fn ask_trap(&self, signal: i32) -> Os<(u64, u64)> {
        let tid = self.tid.get();
        let before = self.regs.get();
        let mut xstate = vec![0; XSTATE];
        let len = sys::get_xstate(tid, &mut xstate)?;
        let call = |number: i64, args: [u64; 6]| self.carry_out(Call { number: number.cast_unsigned(), args });
        let kind = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        let at = call(libc::SYS_mmap, [0, SIZE, (libc::PROT_READ | libc::PROT_WRITE) as u64, kind, u64::MAX, 0])?;
        if let Some(errno) = Errno::of_return(at) {
            self.load_regs(before, true);
            return Err(errno);
        }
        let at = at.cast_unsigned();
        let result = self.take_frame(signal, at);
        let _ = sys::set_xstate(tid, &xstate[..len]);
        let unmapped = call(libc::SYS_munmap, [at, SIZE, 0, 0, 0, 0]);
        self.load_regs(before, true);
        unmapped.and(result)
    }

    /// Sets a handler, lets Linux write a frame to the stack at `at`, and resets the action. The registers are the frame's then.
    fn take_frame(&self, signal: i32, at: u64) -> Os<(u64, u64)> {
        let tid = self.tid.get();
        let number = u64::from(signal.unsigned_abs());
        let set = |new: u64, old: u64| {
            let args = [number, new, old, 8, 0, 0];
            self.carry_out(Call { number: libc::SYS_rt_sigaction as u64, args })
        };
        let flags = (libc::SA_SIGINFO | libc::SA_NODEFER) as u64 | SA_RESTORER;
        // It never runs, so any address of the task's will do.
        let words = [at, flags, at, 0].map(u64::to_le_bytes).concat();
        let old = at + ACTION as u64;
        if memory::write(tid, at, &words) < ACTION || set(at, old)? != 0 {
            return Err(Errno::EFAULT);
        }
        let frame = self.deliver(signal, at + SIZE);
        set(old, 0)?;
        let mut words = [0; 16];
        let [error, trap] = match frame {
            Ok(frame) if memory::read(tid, frame + ERROR, &mut words) == words.len() => [&words[..8], &words[8..]],
            _ => return Err(Errno::EFAULT),
        };
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        Ok((word(trap), word(error)))
    }

    /// Delivers the signal on the stack that ends at `stack`; returns the address of the frame.
    fn deliver(&self, signal: i32, stack: u64) -> Os<u64> {
        let tid = self.tid.get();
        sys::cont_with(tid, signal)?;
        while self.next_stop()? != signal {
            sys::cont(tid)?;
        }
        sys::set_regs(tid, &Regs { rsp: stack, orig_rax: u64::MAX, ..self.regs.get() })?;
        sys::step_with(tid, signal)?;
        let stop = self.next_stop()?;
        if stop == libc::SIGTRAP { Ok(sys::get_regs(tid)?.rsp) } else { Err(Errno::EFAULT) }
    }
}

/// The number of the trap of a division.
const DIVISION: u64 = 0;

/// What number and code most probably were (Intel SDM vol. 3A, 6.15).
fn guess(signal: i32, info: SignalInfo) -> Fault {
    const SEGV_ACCERR: i32 = 2;
    const FPE_INTDIV: i32 = 1;
    const USER: u64 = 4;
    let (trap, error) = match signal {
        libc::SIGSEGV if info.code == libc::SI_KERNEL => (13, 0),
        libc::SIGSEGV => (14, USER | u64::from(info.code == SEGV_ACCERR)),
        libc::SIGBUS if info.code == libc::BUS_ADRALN => (17, 0),
        libc::SIGBUS => (14, USER),
        libc::SIGFPE if info.code == FPE_INTDIV => (DIVISION, 0),
        libc::SIGFPE => (19, 0),
        libc::SIGILL => (6, 0),
        libc::SIGTRAP if info.code == libc::SI_KERNEL => (3, 0),
        libc::SIGTRAP => (1, 0),
        _ => (0, 0),
    };
    Fault { signal, code: info.code, addr: info.addr, trap, error }
}
