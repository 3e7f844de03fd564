//! Policies, priorities and affinities of tasks. They are kept and reported; which task runs next doesn't depend on them.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::Tid;
use crate::process::capabilities::cap;
use crate::process::credentials::Act;
use crate::process::settings::Setting;
use crate::process::task::Task;
use crate::sched::attributes::{Attributes, CpuSet, priorities};
use crate::syscall::Args;
use alloc::rc::Rc;
use linux_raw_sys::general::{SCHED_BATCH, SCHED_DEADLINE, SCHED_NORMAL};

/// In a policy argument: children get the default policy (`SCHED_RESET_ON_FORK`).
const RESET_ON_FORK: u32 = 0x4000_0000;
/// `struct sched_attr`: its first size, and the present one.
const ATTR_SIZES: (u64, u64) = (48, 56);
const PAGE: u64 = 4096;

/// sched_yield(2).
pub fn sched_yield(cx: &Cx) -> Result<u64, Errno> {
    cx.kernel.scheduler.yield_turn(&cx.task);
    Ok(0)
}

/// The task that a pid argument names: 0 is the caller, negative ones are invalid. `None` stands for one that never runs, as
/// process 1 and zombies.
fn find(cx: &Cx, pid: u64) -> Result<Option<Rc<Task>>, Errno> {
    let tid = match pid as i32 {
        0 => return Ok(Some(cx.task.clone())),
        pid if pid < 0 => return Err(Errno::EINVAL),
        pid => Tid::new(pid as u32).ok_or(Errno::ESRCH)?,
    };
    let task = cx.kernel.task(tid);
    if task.is_none() && !cx.kernel.family.borrow().exists(tid) { Err(Errno::ESRCH) } else { Ok(task) }
}

/// The task that a pid argument names, to be changed.
fn named(cx: &Cx, pid: u64) -> Result<Rc<Task>, Errno> {
    find(cx, pid)?.ok_or(Errno::EPERM)
}

/// The attributes of the task that a pid argument names, and its nice value.
fn attributes(cx: &Cx, pid: u64) -> Result<(Attributes, i32), Errno> {
    Ok(find(cx, pid)?.map_or_else(Default::default, |task| (task.attributes.get(), task.process.nice.get())))
}

/// To the calls on affinities a negative id is one that no task has.
fn none_is_negative(error: Errno) -> Errno {
    if error == Errno::EINVAL { Errno::ESRCH } else { error }
}

/// sched_getaffinity(2): returns the size of Linux's own set.
pub fn sched_getaffinity(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const WORD: usize = 8;
    let [pid, len, to, ..] = a;
    let cpus = cx.kernel.config.cpus;
    let (len, size) = (len as u32 as usize, CpuSet::size_for(cpus));
    if !len.is_multiple_of(WORD) || len * 8 < cpus as usize {
        return Err(Errno::EINVAL);
    }
    let affinity = attributes(cx, pid).map_err(none_is_negative)?.0.affinity(cpus);
    cx.write(to, &affinity.to_bytes()[..size])?;
    Ok(size as u64)
}

/// sched_setaffinity(2).
pub fn sched_setaffinity(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, len, from, ..] = a;
    let cpus = cx.kernel.config.cpus;
    let mut bytes = [0; CpuSet::SIZE];
    let len = (len as u32 as usize).min(CpuSet::size_for(cpus));
    cx.read(from, &mut bytes[..len])?;
    let task = named(cx, pid).map_err(none_is_negative)?;
    check_owner(cx, &task)?;
    let affinity = CpuSet::from_bytes(&bytes).and(CpuSet::first(cpus));
    if affinity.is_empty() {
        return Err(Errno::EINVAL);
    }
    task.attributes.set(task.attributes.get().with_affinity(affinity));
    Ok(0)
}

/// An unprivileged task can change those of its own user.
fn check_owner(cx: &Cx, task: &Task) -> Result<(), Errno> {
    let other = task.process.credentials.borrow();
    if cx.process().credentials.borrow().may(Act::Schedule(&other)) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Sets policy and priority.
fn set(cx: &Cx, task: &Task, policy: u32, priority: u32) -> Result<(), Errno> {
    let reset_on_fork = policy & RESET_ON_FORK != 0;
    let privileged = cx.process().credentials.borrow().may(Act::Capable(cap::SYS_NICE));
    let new = task.attributes.get().with_policy(policy & !RESET_ON_FORK, priority, reset_on_fork, privileged)?;
    check_owner(cx, task)?;
    task.attributes.set(new);
    Ok(())
}

/// A policy as guests name it.
fn policy_word(attributes: &Attributes) -> u32 {
    attributes.policy | if attributes.reset_on_fork { RESET_ON_FORK } else { 0 }
}

/// sched_getscheduler(2).
pub fn sched_getscheduler(cx: &Cx, a: Args) -> Result<u64, Errno> {
    Ok(policy_word(&attributes(cx, a[0])?.0).into())
}

/// sched_setscheduler(2).
pub fn sched_setscheduler(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, policy, param, ..] = a;
    if (policy as i32) < 0 || param == 0 || (pid as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = cx.read_u32(param)?;
    set(cx, &*named(cx, pid)?, policy as u32, priority)?;
    Ok(0)
}

/// sched_getparam(2).
pub fn sched_getparam(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, param, ..] = a;
    if param == 0 {
        return Err(Errno::EINVAL);
    }
    cx.write_u32(param, attributes(cx, pid)?.0.priority)?;
    Ok(0)
}

/// sched_setparam(2).
pub fn sched_setparam(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, param, ..] = a;
    if param == 0 || (pid as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = cx.read_u32(param)?;
    let task = named(cx, pid)?;
    set(cx, &task, policy_word(&task.attributes.get()), priority)?;
    Ok(0)
}

/// sched_getattr(2).
pub fn sched_getattr(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, to, size, flags, ..] = a;
    let size = u64::from(size as u32);
    if to == 0 || !(ATTR_SIZES.0..=PAGE).contains(&size) || flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let (Attributes { policy, priority, reset_on_fork, .. }, nice) = attributes(cx, pid)?;
    let size = size.min(ATTR_SIZES.1);
    let nice = u64::from(nice as u32);
    // Size and policy, flags, nice and priority; runtime, deadline, period, clamps of utilisation.
    let words =
        [u64::from(policy) << 32 | size, u64::from(reset_on_fork), u64::from(priority) << 32 | nice, 0, 0, 0, 0];
    cx.write(to, &words.map(u64::to_le_bytes).as_flattened()[..size as usize & !7])?;
    Ok(0)
}

/// sched_setattr(2).
pub fn sched_setattr(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const KEEP_POLICY: u64 = 8;
    const KEEP_PARAMS: u64 = 16;
    const ALL: u64 = 0x7f;
    let [pid, from, flags, ..] = a;
    if from == 0 || (pid as i32) < 0 || flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let size = match u64::from(cx.read_u32(from)?) {
        0 => ATTR_SIZES.0,
        size => size,
    };
    if !(ATTR_SIZES.0..=PAGE).contains(&size) {
        cx.write_u32(from, ATTR_SIZES.1 as u32)?;
        return Err(Errno::E2BIG);
    }
    let bytes = cx.read_vec(from, size as usize)?;
    if bytes.iter().skip(ATTR_SIZES.1 as usize).any(|&byte| byte != 0) {
        cx.write_u32(from, ATTR_SIZES.1 as u32)?;
        return Err(Errno::E2BIG);
    }
    let [head, attr_flags, nice_and_priority] = cx.read_words(from)?;
    let policy = (head >> 32) as u32;
    if (policy as i32) < 0 || attr_flags & !ALL != 0 {
        return Err(Errno::EINVAL);
    }
    let task = named(cx, pid)?;
    let old = task.attributes.get();
    let keeps_policy = attr_flags & KEEP_POLICY != 0;
    let policy = if keeps_policy { old.policy } else { policy };
    if policy == SCHED_DEADLINE {
        return Err(Errno::EPERM);
    }
    let reset = if attr_flags & 1 != 0 { RESET_ON_FORK } else { 0 };
    let keeps_params = attr_flags & KEEP_PARAMS != 0;
    let priority = if keeps_params { old.priority } else { (nice_and_priority >> 32) as u32 };
    let nice = (nice_and_priority as i32).clamp(-20, 19);
    let sets_nice = !keeps_params && matches!(policy, SCHED_NORMAL | SCHED_BATCH);
    if sets_nice
        && nice < task.process.nice.get()
        && !cx.process().credentials.borrow().may(Act::Capable(cap::SYS_NICE))
    {
        return Err(Errno::EPERM);
    }
    set(cx, &task, policy | reset, priority)?;
    if sets_nice {
        task.process.nice.set(nice);
    }
    Ok(0)
}

/// sched_get_priority_max(2).
pub fn sched_get_priority_max(a: Args) -> Result<u64, Errno> {
    priority_range(a).map(|(_, max)| max)
}

/// sched_get_priority_min(2).
pub fn sched_get_priority_min(a: Args) -> Result<u64, Errno> {
    priority_range(a).map(|(min, _)| min)
}

fn priority_range(a: Args) -> Result<(u64, u64), Errno> {
    let (lowest, highest) = priorities(a[0] as u32).ok_or(Errno::EINVAL)?;
    Ok((lowest.into(), highest.into()))
}

/// sched_rr_get_interval(2).
pub fn sched_rr_get_interval(cx: &Cx, a: Args) -> Result<u64, Errno> {
    /// The slice of an ordinary task on an idle Linux.
    const SLICE_NS: u64 = 4_000_000;
    find(cx, a[0])?;
    cx.write_timespec(a[1], SLICE_NS)?;
    Ok(0)
}

/// membarrier(2). Tasks run one at a time, so memory is always in order; what remains are the rules of registration.
pub fn membarrier(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const GET_REGISTRATIONS: u64 = 512;
    /// Commands that need a registration, which is the next higher bit.
    const EXPEDITED: [u64; 3] = [8, 32, 128];
    const ALL: u64 = 1023;
    let [command, flags, ..] = a;
    let (command, flags) = (u64::from(command as u32), flags as u32);
    // The one flag is for restartable sequences: it says that a processor is named.
    if flags != 0 && !(command == 128 && flags == 1) {
        return Err(Errno::EINVAL);
    }
    let settings = &cx.process().settings;
    let registered = settings.get(Setting::Membarriers);
    match command {
        0 => Ok(ALL & !128 & !256),
        1 | 2 => Ok(0),
        GET_REGISTRATIONS => Ok(registered),
        4 | 16 | 64 => {
            settings.set(Setting::Membarriers, registered | command);
            Ok(0)
        }
        command if EXPEDITED.contains(&command) && command != 128 => {
            if registered & (command << 1) == 0 {
                Err(Errno::EPERM)
            } else {
                Ok(0)
            }
        }
        _ => Err(Errno::EINVAL),
    }
}
