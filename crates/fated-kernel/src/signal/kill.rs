//! Who may send a signal to whom, and which tasks kill(2) and its kin mean.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pgid, Tid};
use crate::process::credentials::{Act, Credentials};
use crate::process::task::Process;
use crate::signal::{SigInfo, nr};
use alloc::{rc::Rc, vec::Vec};

/// A signal that the caller sends.
#[must_use]
pub fn from_caller(cx: &Cx, signal: i32, code: i32) -> SigInfo {
    SigInfo::from_process(signal, code, cx.process().pid.get(), cx.process().credentials.borrow().uid[0])
}

/// Whether the caller may signal `target` (kill(2)): as root, as the same user, or SIGCONT within the session.
fn may_signal(cx: &Cx, target: &Process, signal: i32) -> bool {
    let family = cx.kernel.family.borrow();
    let session = || family.sid(cx.task.tid.get()) == family.sid(target.pid.into());
    let permitted = cx.process().credentials.borrow().may(Act::Signal(&target.credentials.borrow()));
    permitted || (signal == nr::CONT && session())
}

/// `EPERM` if `target`, which takes no signals, isn't the caller's to signal: process 1 is root's.
fn check_deaf(cx: &Cx, target: i32) -> Result<(), Errno> {
    const INIT: i32 = 1;
    let root = Credentials::default();
    let permitted = target != INIT || cx.process().credentials.borrow().may(Act::Signal(&root));
    if permitted { Ok(()) } else { Err(Errno::EPERM) }
}

/// The process `pid`, or that of the thread `pid`; `None` if it exists but has no task that could take a signal: a zombie, process 1.
pub fn find_process(cx: &Cx, pid: i32) -> Result<Option<Rc<Process>>, Errno> {
    let tid = u32::try_from(pid).ok().and_then(Tid::new).ok_or(Errno::ESRCH)?;
    let pid = cx.kernel.family.borrow().pid(tid).ok_or(Errno::ESRCH)?;
    Ok(cx.kernel.process(pid))
}

/// Sends to the processes that kill(2) means by `target`. Signal 0 only checks.
pub fn kill(cx: &Cx, target: i32, info: SigInfo) -> Result<(), Errno> {
    match target {
        1.. => match find_process(cx, target)? {
            Some(process) => send_to_any(cx, &[process], info),
            None => check_deaf(cx, target),
        },
        -1 => {
            let own = cx.process().pid;
            let processes = cx.kernel.processes.borrow();
            let others: Vec<_> = processes.values().filter(|process| process.pid != own).cloned().collect();
            drop(processes);
            send_to_any(cx, &others, info)
        }
        i32::MIN => Err(Errno::ESRCH),
        _ => {
            let own = cx.kernel.family.borrow().pgid(cx.task.tid.get()).ok_or(Errno::ESRCH)?;
            let group = if target == 0 { own } else { Pgid::new(target.unsigned_abs()).ok_or(Errno::ESRCH)? };
            kill_group(cx, group, info)
        }
    }
}

/// Sends to the processes of a group.
pub fn kill_group(cx: &Cx, group: Pgid, info: SigInfo) -> Result<(), Errno> {
    let members = cx.kernel.group_members(group);
    let living: Vec<_> = members.iter().filter_map(|&pid| cx.kernel.process(pid)).collect();
    if living.is_empty() && !members.is_empty() {
        return Ok(());
    }
    send_to_any(cx, &living, info)
}

/// Sends to all of `targets` that the caller may signal. It fails only if that is none of them.
fn send_to_any(cx: &Cx, targets: &[Rc<Process>], info: SigInfo) -> Result<(), Errno> {
    let mut result = Err(Errno::ESRCH);
    for process in targets {
        if !may_signal(cx, process, info.signal()) {
            result = result.or(Err(Errno::EPERM));
            continue;
        }
        result = Ok(());
        if info.signal() != 0 {
            cx.kernel.send_to_process(process, info);
        }
    }
    result
}

/// Sends to one process; `EAGAIN` if it has too many pending signals.
pub fn queue_to_process(cx: &Cx, pid: i32, info: SigInfo) -> Result<(), Errno> {
    let Some(process) = find_process(cx, pid)? else { return check_deaf(cx, pid) };
    if !may_signal(cx, &process, info.signal()) {
        return Err(Errno::EPERM);
    }
    if info.signal() == 0 || cx.kernel.send_to_process(&process, info) { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// Sends to one task, which with `pid` has to be of that process; `EAGAIN` if it has too many pending signals.
pub fn queue_to_task(cx: &Cx, pid: Option<u32>, tid: u32, info: SigInfo) -> Result<(), Errno> {
    let tid = Tid::new(tid).ok_or(Errno::ESRCH)?;
    let process = cx.kernel.family.borrow().pid(tid).ok_or(Errno::ESRCH)?;
    if pid.is_some_and(|pid| pid != process.get()) {
        return Err(Errno::ESRCH);
    }
    let Some(task) = cx.kernel.task(tid) else { return check_deaf(cx, tid.get() as i32) };
    if !may_signal(cx, &task.process, info.signal()) {
        return Err(Errno::EPERM);
    }
    if info.signal() == 0 || cx.kernel.send_to_task(&task, info) { Ok(()) } else { Err(Errno::EAGAIN) }
}
