//! Limits, usage and nice values.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pgid, Pid, Tid};
use crate::process::task::{Limit, Process};
use crate::syscall::Args;
use alloc::{rc::Rc, vec::Vec};
use fated_wait::Usage;
use linux_raw_sys::general::{
    __NR_prlimit64, PRIO_PGRP, PRIO_PROCESS, PRIO_USER, RLIMIT_NOFILE, RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD,
};

const INFINITY: u64 = u64::MAX;

/// The limit on descriptors. An engine lets real processes have at least as many as its soft one; no Linux has a lower hard one
/// by default.
pub const DESCRIPTORS: Limit = Limit { soft: 1024, hard: 4096 };

/// What no limit on descriptors can exceed (`/proc/sys/fs/nr_open`).
const MOST_DESCRIPTORS: u64 = 1 << 20;

/// The limits of the first process, by number (getrlimit(2)).
#[must_use]
pub fn default_limits() -> [Limit; 16] {
    let none = Limit { soft: INFINITY, hard: INFINITY };
    let both = |value| Limit { soft: value, hard: value };
    [
        none,                                    // CPU
        none,                                    // FSIZE
        none,                                    // DATA
        Limit { soft: 8 << 20, hard: INFINITY }, // STACK
        Limit { soft: 0, hard: INFINITY },       // CORE
        none,                                    // RSS
        both(31_000),                            // NPROC
        DESCRIPTORS,                             // NOFILE
        both(8 << 20),                           // MEMLOCK
        none,                                    // AS
        none,                                    // LOCKS
        both(31_000),                            // SIGPENDING
        both(819_200),                           // MSGQUEUE
        both(0),                                 // NICE
        both(0),                                 // RTPRIO
        none,                                    // RTTIME
    ]
}

/// What a process has used, its ended tasks included.
#[must_use]
pub fn usage_of_process(cx: &Cx, process: &Process) -> Usage {
    Usage { utime_ns: process.total_cpu_ns(), ..cx.kernel.usage_of(&cx.task) }
}

/// What the reaped children of the calling process have used.
#[must_use]
pub fn usage_of_children(cx: &Cx) -> Usage {
    cx.kernel.family.borrow().children_usage(cx.process().pid).unwrap_or_default()
}

/// getrusage(2).
pub fn getrusage(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [who, to, ..] = a;
    let usage = match who as i32 {
        who if who == RUSAGE_SELF as i32 => usage_of_process(cx, cx.process()),
        who if who == RUSAGE_THREAD as i32 => cx.kernel.usage_of(&cx.task),
        RUSAGE_CHILDREN => usage_of_children(cx),
        _ => return Err(Errno::EINVAL),
    };
    cx.write(to, &usage.to_bytes())?;
    Ok(0)
}

/// getrlimit(2).
pub fn getrlimit(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [number, to, ..] = a;
    let limit = get(cx.process(), number)?;
    cx.write_words(to, &[limit.soft, limit.hard])?;
    Ok(0)
}

/// setrlimit(2).
pub fn setrlimit(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [number, from, ..] = a;
    let [soft, hard] = cx.read_words(from)?;
    set(cx, cx.process(), number, Limit { soft, hard }, from)?;
    Ok(0)
}

/// prlimit64(2).
pub fn prlimit64(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, number, from, to, ..] = a;
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
    if !may_change(cx, &process) {
        return Err(Errno::EPERM);
    }
    let old = get(&process, number)?;
    if let Some(new) = new {
        set(cx, &process, number, new, from)?;
    }
    if to != 0 {
        cx.write_words(to, &[old.soft, old.hard])?;
    }
    Ok(0)
}

/// Whether the caller has the rights of root, all of which go with its effective user id.
pub(crate) fn is_root(cx: &Cx) -> bool {
    cx.process().credentials.borrow().uid[1] == 0
}

/// Whether the users of two processes are the same in all respects.
fn may_change(cx: &Cx, process: &Rc<Process>) -> bool {
    if Rc::ptr_eq(process, cx.process()) || is_root(cx) {
        return true;
    }
    let own = cx.process().credentials.borrow();
    let other = process.credentials.borrow();
    other.uid.iter().all(|&id| id == own.uid[0]) && other.gid.iter().all(|&id| id == own.gid[0])
}

fn get(process: &Process, number: u64) -> Result<Limit, Errno> {
    process.limits.borrow().get(number as u32 as usize).copied().ok_or(Errno::EINVAL)
}

/// Sets a limit that stands at `from` in the caller's memory.
fn set(cx: &Cx, process: &Rc<Process>, number: u64, new: Limit, from: u64) -> Result<(), Errno> {
    let old = get(process, number)?;
    if new.soft > new.hard {
        return Err(Errno::EINVAL);
    }
    if new.hard > old.hard && !is_root(cx) {
        return Err(Errno::EPERM);
    }
    if number as u32 == RLIMIT_NOFILE {
        if new.hard > MOST_DESCRIPTORS {
            return Err(Errno::EPERM);
        }
        if new.soft > DESCRIPTORS.soft {
            // The real process needs that many as well, and sets them itself.
            if !Rc::ptr_eq(process, cx.process()) {
                return Err(Errno::EPERM);
            }
            cx.native(u64::from(__NR_prlimit64), [0, number, from, 0, 0, 0])?;
        }
    }
    if let Some(limit) = process.limits.borrow_mut().get_mut(number as u32 as usize) {
        *limit = new;
    }
    Ok(())
}

/// The processes that getpriority(2) and setpriority(2) name.
fn named(cx: &Cx, a: Args) -> Result<Vec<Rc<Process>>, Errno> {
    let [which, who, ..] = a;
    let who = who as i32;
    let kernel = &cx.kernel;
    let found: Vec<Rc<Process>> = match which as u32 {
        PRIO_PROCESS if who == 0 => [cx.process().clone()].into(),
        PRIO_PROCESS => {
            Tid::new(who as u32).and_then(|tid| kernel.task(tid)).map(|task| task.process.clone()).into_iter().collect()
        }
        PRIO_PGRP => {
            let own = kernel.family.borrow().pgid(cx.task.tid.get());
            let group = if who == 0 { own } else { Pgid::new(who as u32) };
            let members = group.map(|group| kernel.group_members(group)).unwrap_or_default();
            members.into_iter().filter_map(|pid: Pid| kernel.process(pid)).collect()
        }
        PRIO_USER => {
            let uid = if who == 0 { cx.process().credentials.borrow().uid[0] } else { who as u32 };
            let processes = kernel.processes.borrow();
            processes.values().filter(|process| process.credentials.borrow().uid[0] == uid).cloned().collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

/// getpriority(2): 20 minus the nice value, so that no result is negative.
pub fn getpriority(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as u32 == PRIO_PROCESS && a[1] as u32 == 1 {
        // Process 1 is the kernel's own.
        return Ok(20);
    }
    let best = named(cx, a)?.iter().map(|process| process.nice.get()).min().unwrap_or(0);
    Ok(20i32.saturating_sub(best) as u64)
}

/// setpriority(2).
pub fn setpriority(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let nice = (a[2] as i32).clamp(-20, 19);
    let mut result = Ok(0);
    for process in named(cx, a)? {
        let own = cx.process().credentials.borrow().uid[1];
        let other = process.credentials.borrow().uid;
        if own != other[0] && own != other[1] && !is_root(cx) {
            result = Err(Errno::EPERM);
        } else if nice < process.nice.get() && !is_root(cx) {
            // Without CAP_SYS_NICE a process can only be nicer.
            result = Err(Errno::EACCES);
        } else {
            process.nice.set(nice);
        }
    }
    result
}
