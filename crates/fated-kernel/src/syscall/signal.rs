//! The calls of signal(7).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pgid, Tid};
use crate::outcome::{Outcome, SysResult};
use crate::process::credentials::Act;
use crate::process::task::{AltStack, Process};
use crate::sched::Woken;
use crate::signal::{Action, SA_NOCLDSTOP, SA_NOCLDWAIT, SI_TKILL, SI_USER, SigInfo, SigSet, frame, nr};
use crate::syscall::Args;
use alloc::{rc::Rc, vec::Vec};
use fated_wait::SigchldAction;

/// The smallest alternate stack (`MINSIGSTKSZ`).
const MINSIGSTKSZ: u64 = 2048;

/// The signal of a call that may also be 0: only check.
fn signal_number(raw: u64) -> Result<i32, Errno> {
    let signal = raw as i32;
    if (0..=64).contains(&signal) { Ok(signal) } else { Err(Errno::EINVAL) }
}

fn from_caller(cx: &Cx, signal: i32, code: i32) -> SigInfo {
    SigInfo::from_process(signal, code, cx.process().pid.get(), cx.process().credentials.borrow().uid[0])
}

/// Whether the caller may signal `target` (kill(2)): root, the same user, or SIGCONT within the session.
fn may_signal(cx: &Cx, target: &Process, signal: i32) -> bool {
    let family = cx.kernel.family.borrow();
    let session = || family.sid(cx.task.tid.get()) == family.sid(target.pid.into());
    let permitted = cx.process().credentials.borrow().may(Act::Signal(&target.credentials.borrow()));
    permitted || (signal == nr::CONT && session())
}

/// Sends to some processes; what kill(2) returns for them.
fn send_all(cx: &Cx, targets: &[Rc<Process>], info: SigInfo) -> Result<u64, Errno> {
    let mut result = Err(Errno::ESRCH);
    for process in targets {
        if !may_signal(cx, process, info.signal()) {
            result = result.or(Err(Errno::EPERM));
            continue;
        }
        result = Ok(0);
        if info.signal() != 0 {
            cx.kernel.send_to_process(process, info);
        }
    }
    result
}

pub fn kill(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let target = a[0] as i32;
    let signal = signal_number(a[1])?;
    let info = from_caller(cx, signal, SI_USER);
    match target {
        1.. => match find_process(cx, target)? {
            Some(process) => send_all(cx, &[process], info),
            None => Ok(0),
        },
        -1 => {
            let own = cx.process().pid;
            let processes = cx.kernel.processes.borrow();
            let all: Vec<_> = processes.values().filter(|process| process.pid != own).cloned().collect();
            drop(processes);
            send_all(cx, &all, info)
        }
        i32::MIN => Err(Errno::ESRCH),
        _ => {
            let own = cx.own_group()?;
            let group = if target == 0 { own } else { Pgid::new(target.unsigned_abs()).ok_or(Errno::ESRCH)? };
            let members = cx.kernel.group_members(group);
            let living: Vec<_> = members.iter().filter_map(|&pid| cx.kernel.process(pid)).collect();
            if living.is_empty() && !members.is_empty() {
                return Ok(0);
            }
            send_all(cx, &living, info)
        }
    }
}

/// The process `pid`; `None` if it is there but nothing is left of it that could take a signal (a zombie, process 1).
pub(super) fn find_process(cx: &Cx, pid: i32) -> Result<Option<Rc<Process>>, Errno> {
    let tid = u32::try_from(pid).ok().and_then(Tid::new).ok_or(Errno::ESRCH)?;
    let family = cx.kernel.family.borrow();
    let pid = family.pid(tid).ok_or(Errno::ESRCH)?;
    drop(family);
    Ok(cx.kernel.process(pid))
}

pub fn tkill(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let signal = signal_number(a[1])?;
    send_to_thread(cx, None, a[0], from_caller(cx, signal, SI_TKILL))
}

pub fn tgkill(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as i32 <= 0 || a[1] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let signal = signal_number(a[2])?;
    send_to_thread(cx, Some(a[0]), a[1], from_caller(cx, signal, SI_TKILL))
}

fn send_to_thread(cx: &Cx, pid: Option<u64>, tid: u64, info: SigInfo) -> Result<u64, Errno> {
    let tid = Tid::new(tid as u32).ok_or(Errno::ESRCH)?;
    let family_pid = cx.kernel.family.borrow().pid(tid).ok_or(Errno::ESRCH)?;
    if pid.is_some_and(|pid| pid as u32 != family_pid.get()) {
        return Err(Errno::ESRCH);
    }
    let Some(task) = cx.kernel.task(tid) else { return Ok(0) };
    if !may_signal(cx, &task.process, info.signal()) {
        return Err(Errno::EPERM);
    }
    if info.signal() == 0 || cx.kernel.send_to_task(&task, info) { Ok(0) } else { Err(Errno::EAGAIN) }
}

/// The siginfo that a caller may pretend with: not the kernel's own codes, except to itself.
fn foreign_info(cx: &Cx, addr: u64, signal: i32, to: u32) -> Result<SigInfo, Errno> {
    let mut info = SigInfo(cx.read_array(addr)?);
    info.put_i32(0, signal);
    if (info.code() >= 0 || info.code() == SI_TKILL) && to != cx.process().pid.get() {
        return Err(Errno::EPERM);
    }
    Ok(info)
}

pub fn rt_sigqueueinfo(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let signal = signal_number(a[1])?;
    let info = foreign_info(cx, a[2], signal, a[0] as u32)?;
    let Some(process) = find_process(cx, a[0] as i32)? else { return Ok(0) };
    if !may_signal(cx, &process, signal) {
        return Err(Errno::EPERM);
    }
    if signal == 0 || cx.kernel.send_to_process(&process, info) { Ok(0) } else { Err(Errno::EAGAIN) }
}

pub fn rt_tgsigqueueinfo(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as i32 <= 0 || a[1] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let signal = signal_number(a[2])?;
    let info = foreign_info(cx, a[3], signal, a[0] as u32)?;
    send_to_thread(cx, Some(a[0]), a[1], info)
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
    let actions = cx.task.actions.borrow().clone();
    let old = match new {
        None => actions.borrow().get(signal),
        Some([handler, flags, restorer, mask]) => {
            let mask = SigSet(mask).without(SigSet::UNBLOCKABLE);
            let old = actions.borrow_mut().set(signal, Action { handler, flags, restorer, mask });
            changed(cx, signal, Action { handler, flags, restorer, mask });
            old
        }
    };
    if old_addr != 0 {
        cx.write_words(old_addr, &[old.handler, old.flags, old.restorer, old.mask.0])?;
    }
    Ok(0)
}

/// A signal that is ignored from now on is no longer pending; what happens to children depends on SIGCHLD's action.
fn changed(cx: &Cx, signal: i32, action: Action) {
    let process = cx.process();
    if cx.task.actions.borrow().borrow().ignores(signal) {
        let one = SigSet::of(&[signal]);
        process.pending.remove(one);
        process.tasks.borrow().iter().for_each(|task| task.pending.remove(one));
    }
    if signal == nr::CHLD {
        let sigchld = SigchldAction {
            ignore: action.handler == 1,
            no_wait: action.flags & SA_NOCLDWAIT != 0,
            no_stop: action.flags & SA_NOCLDSTOP != 0,
        };
        // The caller's process exists.
        let _ = cx.kernel.family.borrow_mut().set_sigchld(process.pid, sigchld);
    }
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
        let flags = flags as u32;
        if old.size > 0 && old.holds(sp) {
            return Err(Errno::EPERM);
        }
        let disable = match flags & !frame::SS_AUTODISARM {
            frame::SS_DISABLE => true,
            0 | frame::SS_ONSTACK => false,
            _ => return Err(Errno::EINVAL),
        };
        if !disable && size < MINSIGSTKSZ {
            return Err(Errno::ENOMEM);
        }
        cx.task.altstack.set(if disable {
            AltStack::default()
        } else {
            AltStack { base, flags: flags & frame::SS_AUTODISARM, size }
        });
    }
    if old_addr != 0 {
        cx.write_words(old_addr, &[old.base, u64::from(old.status(sp)), old.size])?;
    }
    Ok(0)
}

pub fn rt_sigreturn(cx: &Cx) -> SysResult {
    if frame::pop(cx).is_err() {
        cx.kernel.force_signal(&cx.task, SigInfo::fault(nr::SEGV, crate::signal::SI_KERNEL, 0));
    }
    Ok(Outcome::Resume)
}

/// Sleeps until a handler has run or the process ends.
pub async fn pause(cx: Cx) -> SysResult {
    while cx.sleep(&[], None).await != Woken::Signal {}
    Err(Errno::ERESTARTNOHAND)
}

pub async fn rt_sigsuspend(cx: Cx, a: Args) -> SysResult {
    check_set_size(a[1])?;
    let mask = SigSet(cx.read_u64(a[0])?);
    cx.task.saved_mask.set(Some(cx.task.mask.get()));
    cx.task.set_mask(mask);
    pause(cx).await
}

pub async fn rt_sigtimedwait(cx: Cx, a: Args) -> SysResult {
    let [set_addr, info_addr, timeout_addr, size, ..] = a;
    check_set_size(size)?;
    let wanted = SigSet(cx.read_u64(set_addr)?).without(SigSet::UNBLOCKABLE);
    let timeout = cx.read_timespec(timeout_addr)?;
    let deadline = timeout.map(|ns| cx.kernel.timers.now().saturating_add(ns));
    let info = loop {
        if let Some(info) = cx.take_signal(wanted) {
            break info;
        }
        cx.task.sigwait.set(wanted);
        let woken = cx.sleep(&[], deadline).await;
        cx.task.sigwait.set(SigSet::EMPTY);
        match woken {
            Woken::Timeout => break cx.take_signal(wanted).ok_or(Errno::EAGAIN)?,
            // One of those waited for, or another one that has a handler.
            Woken::Signal => break cx.take_signal(wanted).ok_or(Errno::EINTR)?,
            Woken::Event => {}
        }
    };
    if info_addr != 0 {
        cx.write(info_addr, &info.0)?;
    }
    Ok((info.signal() as u64).into())
}
