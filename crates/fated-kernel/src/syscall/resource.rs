//! getrlimit(2), setrlimit(2), prlimit64(2), getrusage(2), getpriority(2), setpriority(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::host::borrowed::Borrowed;
use crate::id::Tid;
use crate::mm::sizes::look;
use crate::process::capabilities::cap;
use crate::process::credentials::Act;
use crate::process::limits::{INFINITY, Limit};
use crate::process::nice::{self, Whose};
use crate::process::thread_group::Process;
use crate::process::usage::{usage_of_children, usage_of_process};
use crate::syscall::Args;
use crate::time::cpu;
use alloc::rc::Rc;
use linux_raw_sys::general::{__NR_prlimit64, RLIMIT_CPU, RLIMIT_STACK, RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD};

/// getrusage(2).
pub fn getrusage(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [who, to, ..] = a;
    if cx.process().memory.has_changed() && who as i32 != RUSAGE_CHILDREN {
        look(&cx.task);
    }
    let usage = match who as i32 {
        who if who == RUSAGE_SELF as i32 => usage_of_process(cx.process()),
        who if who == RUSAGE_THREAD as i32 => cx.kernel.usage_of(&cx.task),
        RUSAGE_CHILDREN => usage_of_children(cx, cx.process()),
        _ => return Err(Errno::EINVAL),
    };
    cx.write(to, &usage.to_bytes())?;
    Ok(0)
}

/// getrlimit(2).
pub fn getrlimit(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [number, to, ..] = a;
    let limit = cx.process().limits.get(number as u32)?;
    cx.write_words(to, &[limit.soft, limit.hard])?;
    Ok(0)
}

/// setrlimit(2).
pub fn setrlimit(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [number, from, ..] = a;
    let [soft, hard] = cx.read_words(from)?;
    set(cx, cx.process(), number as u32, Limit { soft, hard })?;
    Ok(0)
}

/// prlimit64(2).
pub fn prlimit64(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, number, from, to, ..] = a;
    let number = number as u32;
    let new = if from == 0 {
        None
    } else {
        let [soft, hard] = cx.read_words(from)?;
        Some(Limit { soft, hard })
    };
    let process = match pid as i32 {
        0 => cx.process().clone(),
        pid => {
            let tid = Tid::new(pid as u32).ok_or(Errno::ESRCH)?;
            cx.kernel.task(tid).ok_or(Errno::ESRCH)?.process.clone()
        }
    };
    let own = Rc::ptr_eq(&process, cx.process());
    if !own && !cx.process().credentials.borrow().may(Act::Limit(&process.credentials.borrow())) {
        return Err(Errno::EPERM);
    }
    let old = process.limits.get(number)?;
    if let Some(new) = new {
        set(cx, &process, number, new)?;
    }
    if to != 0 {
        cx.write_words(to, &[old.soft, old.hard])?;
    }
    Ok(0)
}

/// Sets a limit.
fn set(cx: &Cx, process: &Process, number: u32, new: Limit) -> Result<(), Errno> {
    let limits = &process.limits;
    limits.check(number, new, cx.process().credentials.borrow().may(Act::Capable(cap::SYS_RESOURCE)))?;
    limits.set(number, new);
    if number == RLIMIT_CPU {
        cpu::limit_set(&cx.kernel, process);
    }
    if number == RLIMIT_STACK && core::ptr::eq(process, &**cx.process()) {
        limit_stack(cx, new.soft);
    }
    Ok(())
}

/// The stack grows in the real process, which therefore has the limit, too: up to where it would move other memory.
fn limit_stack(cx: &Cx, soft: u64) {
    /// Mappings begin below a gap of 128 MiB.
    const MOST: u64 = 120 << 20;
    let words = [soft.min(MOST), INFINITY].map(u64::to_le_bytes);
    if let Ok(memory) = Borrowed::new(cx, words.as_flattened()) {
        // Without the right to it, the stack keeps its limit.
        let _ = cx.native(__NR_prlimit64.into(), [0, RLIMIT_STACK.into(), memory.addr, 0, 0, 0]);
        memory.restore(cx);
    }
}

fn whose(a: Args) -> Whose {
    Whose { which: a[0] as u32, id: a[1] as u32 }
}

/// getpriority(2). The result is 20 minus the nice value, so that it is never negative.
pub fn getpriority(cx: &Cx, a: Args) -> Result<u64, Errno> {
    Ok(20i32.saturating_sub(nice::lowest(cx, whose(a))?) as u64)
}

/// setpriority(2).
pub fn setpriority(cx: &Cx, a: Args) -> Result<u64, Errno> {
    nice::set(cx, whose(a), a[2] as i32)?;
    Ok(0)
}
