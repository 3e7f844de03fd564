//! Policies, priorities and affinities: kept and reported. The order in which tasks run is the seed's alone.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::Tid;
use crate::process::task::Task;
use crate::syscall::Args;
use crate::syscall::prctl::{MEMBARRIERS, attribute, set_attribute};
use crate::syscall::resource::is_root;
use alloc::rc::Rc;
use linux_raw_sys::general::{SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO, SCHED_IDLE, SCHED_NORMAL, SCHED_RR};

/// The policy stays with its holder alone (`SCHED_RESET_ON_FORK`).
const RESET_ON_FORK: u32 = 0x4000_0000;
/// `struct sched_attr`: its first size, and this one.
const ATTR_SIZES: (u64, u64) = (48, 56);
const PAGE: u64 = 4096;

/// How a task wishes to be scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    policy: u32,
    priority: u32,
    reset_on_fork: bool,
    /// The processors it may run on; the empty set stands for all.
    affinity: Cpus,
}

/// The most processors that a run can have.
const MAX_CPUS: u32 = 1024;
/// A set of processors.
type Cpus = [u64; MAX_CPUS as usize / 64];

impl Scheduling {
    /// What a child gets of it.
    #[must_use]
    pub fn inherited(self) -> Scheduling {
        if self.reset_on_fork { Scheduling { affinity: self.affinity, ..Scheduling::default() } } else { self }
    }
}

/// sched_yield(2).
pub fn sched_yield(cx: &Cx) -> Result<u64, Errno> {
    cx.kernel.scheduler.yield_turn(&cx.task);
    Ok(0)
}

/// The task that a pid argument names: 0 is the caller, negative ones are invalid. `None` stands for one that never runs:
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

/// The task, to change something about it.
fn named(cx: &Cx, pid: u64) -> Result<Rc<Task>, Errno> {
    find(cx, pid)?.ok_or(Errno::EPERM)
}

/// How the task is scheduled, and its nice value.
fn scheduling(cx: &Cx, pid: u64) -> Result<(Scheduling, i32), Errno> {
    Ok(find(cx, pid)?.map_or_else(Default::default, |task| (task.scheduling.get(), task.process.nice.get())))
}

/// The processors that there are.
fn processors(cx: &Cx) -> Cpus {
    let mut cpus = Cpus::default();
    for cpu in 0..cx.kernel.config.cpus.clamp(1, MAX_CPUS) {
        cpus[cpu as usize / 64] |= 1 << (cpu % 64);
    }
    cpus
}

/// The processors that a task may run on, by number.
pub(crate) fn allowed(cx: &Cx, task: &Task) -> impl Iterator<Item = u32> + use<> {
    let wanted = task.scheduling.get().affinity;
    let set = if wanted == Cpus::default() { processors(cx) } else { wanted };
    (0..MAX_CPUS).filter(move |&cpu| set[cpu as usize / 64] >> (cpu % 64) & 1 == 1)
}

/// How many words Linux's own sets have.
fn words_in_use(cx: &Cx) -> usize {
    cx.kernel.config.cpus.clamp(1, MAX_CPUS).div_ceil(64) as usize
}

/// For the calls on affinities negative ids are ids that nobody has.
fn none_is_negative(error: Errno) -> Errno {
    if error == Errno::EINVAL { Errno::ESRCH } else { error }
}

/// sched_getaffinity(2): returns the size of the kernel's set.
pub fn sched_getaffinity(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const WORD: usize = 8;
    let [pid, len, to, ..] = a;
    let (len, words) = (len as u32 as usize, words_in_use(cx));
    if !len.is_multiple_of(WORD) || len * 8 < cx.kernel.config.cpus as usize {
        return Err(Errno::EINVAL);
    }
    let wanted = scheduling(cx, pid).map_err(none_is_negative)?.0.affinity;
    let set = if wanted == Cpus::default() { processors(cx) } else { wanted };
    cx.write(to, &set.map(u64::to_le_bytes).as_flattened()[..words * WORD])?;
    Ok((words * WORD) as u64)
}

/// sched_setaffinity(2).
pub fn sched_setaffinity(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, len, from, ..] = a;
    let mut bytes = [0; MAX_CPUS as usize / 8];
    let len = (len as u32 as usize).min(words_in_use(cx) * 8);
    cx.read(from, &mut bytes[..len])?;
    let task = named(cx, pid).map_err(none_is_negative)?;
    check_owner(cx, &task)?;
    let mut affinity = processors(cx);
    for (word, bytes) in affinity.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut raw = [0; 8];
        raw.copy_from_slice(bytes);
        *word &= u64::from_le_bytes(raw);
    }
    if affinity == Cpus::default() {
        return Err(Errno::EINVAL);
    }
    task.scheduling.set(Scheduling { affinity, ..task.scheduling.get() });
    Ok(0)
}

/// Only tasks of one's own user can be changed.
fn check_owner(cx: &Cx, task: &Task) -> Result<(), Errno> {
    let own = cx.process().credentials.borrow().uid[1];
    let other = task.process.credentials.borrow().uid;
    if own == other[0] || own == other[1] || is_root(cx) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Sets policy and priority. `EPERM` for all that Linux keeps for the privileged.
fn set(cx: &Cx, task: &Task, policy: u32, priority: u32) -> Result<(), Errno> {
    let reset_on_fork = policy & RESET_ON_FORK != 0;
    let policy = policy & !RESET_ON_FORK;
    let real_time = matches!(policy, SCHED_FIFO | SCHED_RR);
    if !real_time && !matches!(policy, SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE) {
        return Err(Errno::EINVAL);
    }
    if (real_time && !(1..=99).contains(&priority)) || (!real_time && priority != 0) {
        return Err(Errno::EINVAL);
    }
    let old = task.scheduling.get();
    let leaves_idle = old.policy == SCHED_IDLE && policy != SCHED_IDLE;
    if (real_time || leaves_idle || (old.reset_on_fork && !reset_on_fork)) && !is_root(cx) {
        return Err(Errno::EPERM);
    }
    check_owner(cx, task)?;
    task.scheduling.set(Scheduling { policy, priority, reset_on_fork, ..old });
    Ok(())
}

/// sched_getscheduler(2).
pub fn sched_getscheduler(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let (scheduling, _) = scheduling(cx, a[0])?;
    let flag = if scheduling.reset_on_fork { RESET_ON_FORK } else { 0 };
    Ok(u64::from(scheduling.policy | flag))
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
    let (scheduling, _) = scheduling(cx, pid)?;
    cx.write_u32(param, scheduling.priority)?;
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
    let Scheduling { policy, reset_on_fork, .. } = task.scheduling.get();
    set(cx, &task, policy | if reset_on_fork { RESET_ON_FORK } else { 0 }, priority)?;
    Ok(0)
}

/// sched_getattr(2).
pub fn sched_getattr(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, to, size, flags, ..] = a;
    let size = u64::from(size as u32);
    if to == 0 || !(ATTR_SIZES.0..=PAGE).contains(&size) || flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let (Scheduling { policy, priority, reset_on_fork, .. }, nice) = scheduling(cx, pid)?;
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
    let old = task.scheduling.get();
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
    if sets_nice && nice < task.process.nice.get() && !is_root(cx) {
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
    match a[0] as u32 {
        SCHED_FIFO | SCHED_RR => Ok((1, 99)),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok((0, 0)),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_rr_get_interval(2).
pub fn sched_rr_get_interval(cx: &Cx, a: Args) -> Result<u64, Errno> {
    /// What Linux gives an ordinary task where nothing else wants to run.
    const SLICE_NS: u64 = 4_000_000;
    find(cx, a[0])?;
    cx.write_timespec(a[1], SLICE_NS)?;
    Ok(0)
}

/// membarrier(2): tasks run one at a time, so all memory is in order; what is left are the rules of registration.
pub fn membarrier(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const GET_REGISTRATIONS: u64 = 512;
    /// Commands that only work after the next higher one.
    const EXPEDITED: [u64; 3] = [8, 32, 128];
    const ALL: u64 = 1023;
    let [command, flags, ..] = a;
    let (command, flags) = (u64::from(command as u32), flags as u32);
    // The one flag names a processor, for restarting sequences.
    if flags != 0 && !(command == 128 && flags == 1) {
        return Err(Errno::EINVAL);
    }
    let registered = attribute(cx, MEMBARRIERS);
    match command {
        0 => Ok(ALL & !128 & !256),
        1 | 2 => Ok(0),
        GET_REGISTRATIONS => Ok(registered),
        4 | 16 | 64 => {
            set_attribute(cx, MEMBARRIERS, registered | command);
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
