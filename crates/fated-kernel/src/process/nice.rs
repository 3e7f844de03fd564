//! Nice values (getpriority(2), setpriority(2)). They are kept and reported; the order of tasks doesn't depend on them.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pgid, Pid, Tid};
use crate::process::capabilities::cap;
use crate::process::credentials::Act;
use crate::process::thread_group::Process;
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general::{PRIO_PGRP, PRIO_PROCESS, PRIO_USER};

/// Whose nice value a call is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose {
    /// `PRIO_PROCESS`, `PRIO_PGRP` or `PRIO_USER`.
    pub(crate) which: u32,
    /// The id; 0 stands for the caller's own.
    pub(crate) id: u32,
}

/// The processes that are meant.
pub(crate) fn named(cx: &Cx, whose: Whose) -> Result<Vec<Rc<Process>>, Errno> {
    let kernel = &cx.kernel;
    let found: Vec<Rc<Process>> = match (whose.which, whose.id) {
        (PRIO_PROCESS, 0) => [cx.process().clone()].into(),
        (PRIO_PROCESS, id) => {
            Tid::new(id).and_then(|tid| kernel.task(tid)).map(|task| task.process.clone()).into_iter().collect()
        }
        (PRIO_PGRP, id) => {
            let group = if id == 0 { cx.own_group().ok() } else { Pgid::new(id) };
            let members = group.map(|group| kernel.group_members(group)).unwrap_or_default();
            members.into_iter().filter_map(|pid: Pid| kernel.process(pid)).collect()
        }
        (PRIO_USER, id) => {
            let uid = if id == 0 { cx.process().credentials.borrow().uid[0] } else { id };
            let processes = kernel.processes.borrow();
            processes.values().filter(|process| process.credentials.borrow().uid[0] == uid).cloned().collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

/// The lowest nice value among the processes that are meant.
pub(crate) fn lowest(cx: &Cx, whose: Whose) -> Result<i32, Errno> {
    if whose.which == PRIO_PROCESS && whose.id == 1 {
        // Process 1 is the kernel's own.
        return Ok(0);
    }
    Ok(named(cx, whose)?.iter().map(|process| process.nice.get()).min().unwrap_or(0))
}

/// Sets the nice value of all processes that are meant, as far as the caller may. The latest error is reported.
pub(crate) fn set(cx: &Cx, whose: Whose, nice: i32) -> Result<(), Errno> {
    let nice = nice.clamp(-20, 19);
    let mut result = Ok(());
    for process in named(cx, whose)? {
        let own = cx.process().credentials.borrow();
        if !own.may(Act::Schedule(&process.credentials.borrow())) {
            result = Err(Errno::EPERM);
        } else if nice < process.nice.get() && !own.may(Act::Capable(cap::SYS_NICE)) {
            // Without CAP_SYS_NICE a process can only become nicer.
            result = Err(Errno::EACCES);
        } else {
            process.nice.set(nice);
        }
    }
    result
}
