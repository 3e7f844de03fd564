//! The calls of signal(7).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::{Outcome, SysResult};
use crate::process::task::AltStack;
use crate::signal::kill::{self, from_caller, queue_to_process, queue_to_task};
use crate::signal::{Action, SI_KERNEL, SI_TKILL, SI_USER, SigInfo, SigSet, frame, nr, wait};
use crate::syscall::Args;

/// The signal of a call that may also be 0: then it only checks.
pub(super) fn signal_number(raw: u64) -> Result<i32, Errno> {
    let signal = raw as i32;
    if (0..=64).contains(&signal) { Ok(signal) } else { Err(Errno::EINVAL) }
}

pub fn kill(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let signal = signal_number(a[1])?;
    kill::kill(cx, a[0] as i32, from_caller(cx, signal, SI_USER))?;
    Ok(0)
}

pub fn tkill(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let signal = signal_number(a[1])?;
    queue_to_task(cx, None, a[0] as u32, from_caller(cx, signal, SI_TKILL))?;
    Ok(0)
}

pub fn tgkill(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as i32 <= 0 || a[1] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let signal = signal_number(a[2])?;
    queue_to_task(cx, Some(a[0] as u32), a[1] as u32, from_caller(cx, signal, SI_TKILL))?;
    Ok(0)
}

/// Reads a `siginfo_t` for process or thread `to`. A caller must not pretend to be the kernel or kill(2), except to itself.
pub(super) fn read_info(cx: &Cx, addr: u64, signal: i32, to: u32) -> Result<SigInfo, Errno> {
    let mut info = SigInfo(cx.read_array(addr)?);
    info.put_i32(0, signal);
    if (info.code() >= 0 || info.code() == SI_TKILL) && to != cx.process().pid.get() {
        return Err(Errno::EPERM);
    }
    Ok(info)
}

pub fn rt_sigqueueinfo(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let signal = signal_number(a[1])?;
    let info = read_info(cx, a[2], signal, a[0] as u32)?;
    queue_to_process(cx, a[0] as i32, info)?;
    Ok(0)
}

pub fn rt_tgsigqueueinfo(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as i32 <= 0 || a[1] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let signal = signal_number(a[2])?;
    let info = read_info(cx, a[3], signal, a[0] as u32)?;
    queue_to_task(cx, Some(a[0] as u32), a[1] as u32, info)?;
    Ok(0)
}

fn check_set_size(size: u64) -> Result<(), Errno> {
    if size == 8 { Ok(()) } else { Err(Errno::EINVAL) }
}

pub fn rt_sigaction(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [signal, new_addr, old_addr, size, ..] = a;
    check_set_size(size)?;
    let signal = signal as i32;
    let new = if new_addr == 0 { None } else { Some(cx.read_words::<4>(new_addr)?) };
    if !(1..=64).contains(&signal) || (new.is_some() && SigSet::UNBLOCKABLE.has(signal)) {
        return Err(Errno::EINVAL);
    }
    let old = match new {
        None => cx.task.actions.borrow().borrow().get(signal),
        Some([handler, flags, restorer, mask]) => {
            let mask = SigSet(mask).without(SigSet::UNBLOCKABLE);
            wait::set_action(cx, signal, Action { handler, flags, restorer, mask })
        }
    };
    if old_addr != 0 {
        cx.write_words(old_addr, &[old.handler, old.flags, old.restorer, old.mask.0])?;
    }
    Ok(0)
}

pub fn rt_sigprocmask(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const BLOCK: u64 = 0;
    const UNBLOCK: u64 = 1;
    const SETMASK: u64 = 2;
    let [how, set_addr, old_addr, size, ..] = a;
    check_set_size(size)?;
    let old = cx.task.mask.get();
    if set_addr != 0 {
        let set = SigSet(cx.read_u64(set_addr)?);
        cx.task.set_mask(match how & 0xffff_ffff {
            BLOCK => old.with(set),
            UNBLOCK => old.without(set),
            SETMASK => set,
            _ => return Err(Errno::EINVAL),
        });
    }
    if old_addr != 0 {
        cx.write_words(old_addr, &[old.0])?;
    }
    Ok(0)
}

pub fn rt_sigpending(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[1] > 8 {
        return Err(Errno::EINVAL);
    }
    let set = cx.task.pending_set().and(cx.task.mask.get());
    cx.write(a[0], &set.0.to_le_bytes()[..a[1] as usize])?;
    Ok(0)
}

pub fn sigaltstack(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [new_addr, old_addr, ..] = a;
    let sp = cx.task.guest.regs().rsp;
    let old = cx.task.altstack.get();
    let new = if new_addr == 0 { None } else { Some(cx.read_words::<3>(new_addr)?) };
    if let Some([base, flags, size]) = new {
        let mut altstack = old;
        altstack.replace(AltStack { base, flags: flags as u32, size }, sp)?;
        cx.task.altstack.set(altstack);
    }
    if old_addr != 0 {
        cx.write_words(old_addr, &[old.base, u64::from(old.status(sp)), old.size])?;
    }
    Ok(0)
}

pub fn rt_sigreturn(cx: &Cx) -> SysResult {
    if frame::pop(cx).is_err() {
        cx.kernel.force_signal(&cx.task, SigInfo::fault(nr::SEGV, SI_KERNEL, 0));
    }
    Ok(Outcome::Resume)
}

pub async fn pause(cx: Cx) -> SysResult {
    Err(wait::pause(&cx).await)
}

pub async fn rt_sigsuspend(cx: Cx, a: Args) -> SysResult {
    check_set_size(a[1])?;
    let mask = SigSet(cx.read_u64(a[0])?);
    Err(wait::suspend(&cx, mask).await)
}

pub async fn rt_sigtimedwait(cx: Cx, a: Args) -> SysResult {
    let [set_addr, info_addr, timeout_addr, size, ..] = a;
    check_set_size(size)?;
    let wanted = SigSet(cx.read_u64(set_addr)?).without(SigSet::UNBLOCKABLE);
    let timeout = cx.read_timespec(timeout_addr)?;
    let deadline = timeout.map(|ns| cx.kernel.timers.now().saturating_add(ns));
    let info = wait::take(&cx, wanted, deadline).await?;
    if info_addr != 0 {
        cx.write(info_addr, &info.0)?;
    }
    Ok((info.signal() as u64).into())
}
