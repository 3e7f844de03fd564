//! The signal frame of x86-64: `struct rt_sigframe` of `arch/x86/include/asm/sigframe.h`. Delivery pushes it, rt_sigreturn(2) pops
//! it.

use crate::arch::Regs;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::process::task::AltStack;
use crate::signal::altstack::{SS_AUTODISARM, SS_DISABLE};
use crate::signal::{Action, SA_ONSTACK, SI_KERNEL, SigInfo, SigSet, nr};

/// Offsets in the frame, which begins with the restorer's address; the `ucontext` follows.
mod at {
    pub const UC: u64 = 8;
    pub const STACK: usize = 16;
    pub const REGS: usize = 40;
    pub const SELECTORS: usize = 184;
    pub const FPSTATE: usize = 224;
    pub const MASK: usize = 296;
    pub const UC_SIZE: usize = 304;
    pub const INFO: u64 = UC + UC_SIZE as u64;
    pub const SIZE: u64 = INFO + 128;
}

/// What the calling convention lets a function use below its stack pointer; a frame starts below it.
const RED_ZONE: u64 = 128;
/// `UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`.
const UC_FLAGS: u64 = 6;
/// The extended state is more than what `fxsave` stores.
const UC_FP_XSTATE: u64 = 1;
/// Trap, direction and resume flag: cleared when a handler starts.
const CLEARED_FLAGS: u64 = 0x100 | 0x400 | 0x1_0000;
/// The flags that sigreturn may set (`FIX_EFLAGS`).
const USER_FLAGS: u64 = 0x0005_0dd5 | 0x1_0000;
const USER_CS: u64 = 0x33;
const USER_SS: u64 = 0x2b;
/// What `fxsave` stores.
const LEGACY: usize = 512;
/// The largest extended state that a frame may hold.
const XSTATE_MAX: usize = 16384;

/// Pushes a frame for `info` and points the registers at the handler. `false` if guest memory can't take it.
pub(super) fn push(cx: &Cx, info: &SigInfo, action: &Action, mask: SigSet) -> bool {
    let task = &cx.task;
    let mut regs = task.guest.regs();
    let alt = task.altstack.get();
    let mut sp = regs.rsp.wrapping_sub(RED_ZONE);
    if action.flags & SA_ONSTACK != 0 && alt.size > 0 && !alt.holds(regs.rsp) {
        sp = alt.base.wrapping_add(alt.size);
    }
    let xstate = task.guest.xstate();
    let fpstate = sp.wrapping_sub(xstate.len() as u64) & !63;
    let frame = (fpstate.wrapping_sub(at::SIZE) & !15).wrapping_sub(8);
    let on_alt = alt.size > 0 && (alt.holds(regs.rsp) || action.flags & SA_ONSTACK != 0);
    if on_alt && !alt.spans(frame) {
        return false;
    }

    let mut uc = [0; at::UC_SIZE];
    put(&mut uc, 0, if xstate.len() > LEGACY { UC_FLAGS | UC_FP_XSTATE } else { UC_FLAGS });
    put(&mut uc, at::STACK, alt.base);
    put(&mut uc, at::STACK + 8, u64::from(alt.status(regs.rsp)));
    put(&mut uc, at::STACK + 16, alt.size);
    let (trap, error, fault_addr) = task.fault.get();
    let words = general(&regs).into_iter().chain([
        regs.rip,
        regs.eflags,
        USER_CS | USER_SS << 48,
        error,
        trap,
        mask.0,
        fault_addr,
        fpstate,
    ]);
    words.enumerate().for_each(|(i, word)| put(&mut uc, at::REGS + i * 8, word));
    put(&mut uc, at::MASK, mask.0);

    let written = cx.write(fpstate, &xstate).is_ok()
        && cx.write_words(frame, &[action.restorer]).is_ok()
        && cx.write(frame.wrapping_add(at::UC), &uc).is_ok()
        && cx.write(frame.wrapping_add(at::INFO), &info.0).is_ok();
    if !written {
        return false;
    }
    if alt.flags & SS_AUTODISARM != 0 {
        task.altstack.set(AltStack::default());
    }
    regs.rdi = info.signal() as u64;
    regs.rsi = frame.wrapping_add(at::INFO);
    regs.rdx = frame.wrapping_add(at::UC);
    regs.rax = 0;
    regs.rip = action.handler;
    regs.rsp = frame;
    regs.eflags &= !CLEARED_FLAGS;
    regs.cs = USER_CS;
    regs.ss = USER_SS;
    task.guest.set_regs(&regs);
    true
}

/// Pops the frame that ends below the stack pointer: registers, extended state, alternate stack, mask.
pub fn pop(cx: &Cx) -> Result<(), Errno> {
    let task = &cx.task;
    let mut regs = task.guest.regs();
    let uc: [u8; at::UC_SIZE] = cx.read_array(regs.rsp)?;
    let mut words = [0; 18];
    words.iter_mut().enumerate().for_each(|(i, word)| *word = get(&uc, at::REGS + i * 8));
    let [r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, flags] = words;
    let eflags = (regs.eflags & !USER_FLAGS) | (flags & USER_FLAGS);
    regs = Regs {
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rdi,
        rsi,
        rbp,
        rbx,
        rdx,
        rax,
        rcx,
        rsp,
        rip,
        eflags,
        cs: USER_CS,
        ss: USER_SS,
        ..regs
    };
    let fpstate = get(&uc, at::FPSTATE);
    if fpstate != 0 {
        let image = read_xstate(cx, fpstate)?;
        task.guest.set_xstate(&image)?;
    }
    let base = get(&uc, at::STACK);
    let flags = get(&uc, at::STACK + 8) as u32;
    let size = get(&uc, at::STACK + 16);
    let disabled = flags & SS_DISABLE != 0;
    // While the task is on its alternate stack, that stays as it is.
    if !task.altstack.get().holds(regs.rsp) {
        task.altstack.set(if disabled {
            AltStack::default()
        } else {
            AltStack { base, flags: flags & SS_AUTODISARM, size }
        });
    }
    task.set_mask(SigSet(get(&uc, at::MASK)));
    task.guest.set_regs(&regs);
    let selectors = get(&uc, at::SELECTORS);
    check_selectors(cx, (selectors & 0xffff) | RPL, selectors >> 48 | RPL);
    Ok(())
}

/// The privilege level of user code, which Linux puts into selectors of a frame.
const RPL: u64 = 3;

/// A return to other segments than those of 64-bit user code faults (`iret`): there are no others.
fn check_selectors(cx: &Cx, cs: u64, ss: u64) {
    const GENERAL_PROTECTION: u64 = 13;
    let bad = [(cs, USER_CS), (ss, USER_SS)].into_iter().find(|(selector, good)| selector != good);
    if let Some((selector, _)) = bad {
        let (.., last) = cx.task.fault.get();
        cx.task.fault.set((GENERAL_PROTECTION, selector & !RPL, last));
        cx.kernel.force_signal(&cx.task, SigInfo::new(nr::SEGV, SI_KERNEL));
    }
}

/// The extended state in a frame; its header says how long it is.
fn read_xstate(cx: &Cx, addr: u64) -> Result<alloc::vec::Vec<u8>, Errno> {
    const SW_RESERVED: usize = 464;
    const MAGIC1: u32 = 0x4650_5853;
    let legacy: [u8; LEGACY] = cx.read_array(addr)?;
    let word = |offset: usize| get(&legacy, offset);
    let extended = (word(SW_RESERVED) >> 32) as usize;
    if word(SW_RESERVED) as u32 != MAGIC1 || !(LEGACY..=XSTATE_MAX).contains(&extended) {
        return Ok(legacy.to_vec());
    }
    cx.read_vec(addr, extended)
}

fn general(r: &Regs) -> [u64; 16] {
    [r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp]
}

fn put(bytes: &mut [u8], offset: usize, word: u64) {
    if let Some(place) = bytes.get_mut(offset..offset + 8) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

fn get(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(place) = bytes.get(offset..offset + 8) {
        word.copy_from_slice(place);
    }
    u64::from_le_bytes(word)
}
