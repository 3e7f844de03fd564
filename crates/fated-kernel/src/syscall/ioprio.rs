//! Priorities of input and output (ioprio_set(2), ioprio_get(2)). They are kept and reported: all disks here are equally fast.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::Tid;
use crate::process::capabilities::cap;
use crate::process::credentials::Act;
use crate::process::nice::{Whose, named};
use crate::process::task::Task;
use crate::syscall::Args;
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general::PRIO_PROCESS;

/// The classes: `IOPRIO_CLASS_*` of `<linux/ioprio.h>`.
mod class {
    pub const NONE: u32 = 0;
    pub const REAL_TIME: u32 = 1;
    pub const BEST_EFFORT: u32 = 2;
    pub const IDLE: u32 = 3;
}
const CLASS_SHIFT: u32 = 13;

/// Whose priority a call is about: `IOPRIO_WHO_*`, which are those of setpriority(2) plus one.
fn whose(which: u64, id: u64) -> Result<Whose, Errno> {
    let which = (which as u32).checked_sub(1).ok_or(Errno::EINVAL)?;
    Ok(Whose { which, id: id as u32 })
}

/// The tasks that are meant.
fn tasks(cx: &Cx, whose: Whose) -> Result<Vec<Rc<Task>>, Errno> {
    if whose.which == PRIO_PROCESS {
        let task = match whose.id {
            0 => Some(cx.task.clone()),
            id => Tid::new(id).and_then(|tid| cx.kernel.task(tid)),
        };
        return task.map(|task| [task].into()).ok_or(Errno::ESRCH);
    }
    Ok(named(cx, whose)?.iter().flat_map(|process| process.tasks.borrow().clone()).collect())
}

/// ioprio_set(2).
pub fn ioprio_set(cx: &Cx, [which, id, priority, ..]: Args) -> Result<u64, Errno> {
    let (class, level) = (priority as u32 >> CLASS_SHIFT & 7, priority & 7);
    let has = |capability| cx.process().credentials.borrow().may(Act::Capable(capability));
    let privileged = has(cap::SYS_NICE) || has(cap::SYS_ADMIN);
    match class {
        class::REAL_TIME if !privileged => return Err(Errno::EPERM),
        class::REAL_TIME | class::BEST_EFFORT | class::IDLE => {}
        class::NONE if level == 0 => {}
        _ => return Err(Errno::EINVAL),
    }
    let whose = whose(which, id)?;
    if is_first(whose) {
        return if privileged { Ok(0) } else { Err(Errno::EPERM) };
    }
    for task in tasks(cx, whose)? {
        if !cx.process().credentials.borrow().may(Act::Schedule(&task.process.credentials.borrow())) {
            return Err(Errno::EPERM);
        }
        let mut attributes = task.attributes.get();
        attributes.io_priority = priority as u16;
        task.attributes.set(attributes);
    }
    Ok(0)
}

/// ioprio_get(2): of several tasks the best.
pub fn ioprio_get(cx: &Cx, [which, id, ..]: Args) -> Result<u64, Errno> {
    let whose = whose(which, id)?;
    if is_first(whose) {
        return Ok(0);
    }
    let tasks = tasks(cx, whose)?;
    let stored = |task: &Rc<Task>| u64::from(task.attributes.get().io_priority);
    let best = if whose.which == PRIO_PROCESS {
        tasks.iter().map(stored).min()
    } else {
        // One without a priority has the one that follows from its nice value.
        let effective = |task: &Rc<Task>| match stored(task) {
            0 => u64::from(class::BEST_EFFORT << CLASS_SHIFT) + (task.process.nice.get() + 20) as u64 / 5,
            priority => priority,
        };
        tasks.iter().map(effective).min()
    };
    best.ok_or(Errno::ESRCH)
}

/// Whether it is process 1, which is the kernel's own.
fn is_first(whose: Whose) -> bool {
    whose.which == PRIO_PROCESS && whose.id == 1
}
