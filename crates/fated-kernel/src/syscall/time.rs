//! Clocks and sleeping. All clocks are one: virtual time, counted from 1970 or from the host's boot; those of CPU time
//! count the cost of calls.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pid, Tid};
use crate::outcome::SysResult;
use crate::process::task::{Process, Task};
use crate::sched::Woken;
use crate::syscall::{Args, futex, poll};
use alloc::rc::{Rc, Weak};
use linux_raw_sys::general::{
    __NR_clock_nanosleep, __NR_futex, __NR_nanosleep, __NR_poll, CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC,
    CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME,
};

/// Nanoseconds per tick of times(2) (`USER_HZ` is 100).
const TICK_NS: u64 = 10_000_000;
/// What the coarse clocks claim to step by (`HZ` is 250). They step finer.
const COARSE_NS: u64 = 4_000_000;

/// A clock.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Since 1970.
    Real,
    /// Since the host's boot.
    Boot,
    /// CPU time of a process.
    Process(Weak<Process>),
    /// CPU time of a task.
    Thread(Weak<Task>),
}

impl Clock {
    /// The clock of a `clockid_t`; `EINVAL` if there is none. Negative ids name the CPU clock of a process or thread:
    /// the inverted id in the upper 29 bits, whether it is a thread in bit 2, the kind of time below.
    pub fn of(cx: &Cx, id: u64) -> Result<Clock, Errno> {
        let id = id as i32;
        if id < 0 {
            return Clock::of_cpu(cx, id);
        }
        match id as u32 {
            CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => Ok(Clock::Real),
            CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => {
                Ok(Clock::Boot)
            }
            CLOCK_PROCESS_CPUTIME_ID => Ok(Clock::Process(Rc::downgrade(cx.process()))),
            CLOCK_THREAD_CPUTIME_ID => Ok(Clock::Thread(Rc::downgrade(&cx.task))),
            _ => Err(Errno::EINVAL),
        }
    }

    fn of_cpu(cx: &Cx, id: i32) -> Result<Clock, Errno> {
        const PER_THREAD: i32 = 4;
        const KIND: i32 = 3;
        let number = !(id >> 3) as u32;
        if id & KIND == KIND {
            return Err(Errno::EINVAL);
        }
        if id & PER_THREAD != 0 {
            if number == 0 {
                return Ok(Clock::Thread(Rc::downgrade(&cx.task)));
            }
            let task = Tid::new(number).and_then(|tid| cx.kernel.task(tid));
            let own = task.filter(|task| Rc::ptr_eq(&task.process, cx.process()));
            return own.map(|task| Clock::Thread(Rc::downgrade(&task))).ok_or(Errno::EINVAL);
        }
        if number == 0 || number == cx.task.tid.get().get() {
            return Ok(Clock::Process(Rc::downgrade(cx.process())));
        }
        let process = Pid::new(number).and_then(|pid| cx.kernel.process(pid));
        process.map(|process| Clock::Process(Rc::downgrade(&process))).ok_or(Errno::EINVAL)
    }

    /// What it shows now; 0 for one whose owner has ended.
    #[must_use]
    pub fn now(&self, kernel: &crate::host::Kernel) -> u64 {
        match self {
            Clock::Real => kernel.timers.now(),
            Clock::Boot => kernel.timers.uptime(),
            Clock::Process(process) => process.upgrade().map_or(0, |process| process.total_cpu_ns()),
            Clock::Thread(task) => task.upgrade().map_or(0, |task| task.cpu_ns.get()),
        }
    }

    /// Whether it counts CPU time.
    #[must_use]
    pub fn counts_cpu(&self) -> bool {
        matches!(self, Clock::Process(_) | Clock::Thread(_))
    }

    /// The moment since 1970 at which it shows `at`; for clocks of CPU time there is none.
    #[must_use]
    pub fn moment(&self, kernel: &crate::host::Kernel, at: u64) -> Option<u64> {
        match self {
            Clock::Real => Some(at),
            Clock::Boot => Some(kernel.timers.of_uptime(at)),
            Clock::Process(_) | Clock::Thread(_) => None,
        }
    }
}

/// clock_gettime(2).
pub fn clock_gettime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock, to, ..] = a;
    cx.write_timespec(to, Clock::of(cx, clock)?.now(&cx.kernel))?;
    Ok(0)
}

/// clock_getres(2).
pub fn clock_getres(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock, to, ..] = a;
    Clock::of(cx, clock)?;
    let coarse = matches!(clock as u32, CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE);
    if to != 0 {
        cx.write_timespec(to, if coarse { COARSE_NS } else { 1 })?;
    }
    Ok(0)
}

/// clock_settime(2): the run's clock is not the guest's to set.
pub fn clock_settime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock, from, ..] = a;
    // Of all clocks only this one can be set at all.
    if clock as u32 != CLOCK_REALTIME {
        return Err(Errno::EINVAL);
    }
    if cx.read_timespec(from)?.is_none() {
        return Err(Errno::EFAULT);
    }
    Err(Errno::EPERM)
}

/// gettimeofday(2).
pub fn gettimeofday(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [to, zone, ..] = a;
    if to != 0 {
        cx.write_timeval(to, cx.kernel.timers.now())?;
    }
    if zone != 0 {
        // The kernel's own time zone, as after boot: UTC.
        cx.write(zone, &[0; 8])?;
    }
    Ok(0)
}

/// time(2).
pub fn time(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let seconds = cx.kernel.timers.now() / crate::time::timers::SECOND;
    if a[0] != 0 {
        cx.write_words(a[0], &[seconds])?;
    }
    Ok(seconds)
}

/// times(2).
pub fn times(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] != 0 {
        let own = crate::process::usage::usage_of_process(cx.process());
        let children = crate::process::usage::usage_of_children(cx);
        let ticks = [own.utime_ns, own.stime_ns, children.utime_ns, children.stime_ns].map(|ns| ns / TICK_NS);
        cx.write_words(a[0], &ticks)?;
    }
    Ok(cx.kernel.timers.uptime() / TICK_NS)
}

/// nanosleep(2).
pub async fn nanosleep(cx: Cx, a: Args) -> SysResult {
    let [request, remaining, ..] = a;
    let ns = cx.read_timespec(request)?.ok_or(Errno::EFAULT)?;
    let until = cx.kernel.timers.now().saturating_add(ns);
    sleep_until(&cx, cx.task.call.get(), until, remaining).await
}

/// clock_nanosleep(2).
pub async fn clock_nanosleep(cx: Cx, a: Args) -> SysResult {
    let [id, flags, request, remaining, ..] = a;
    let clock = Clock::of(&cx, id)?;
    match id as u32 {
        CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM => return Err(Errno::EPERM),
        CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE | CLOCK_MONOTONIC_RAW => return Err(Errno::EOPNOTSUPP),
        _ if clock.counts_cpu() => return Err(Errno::EOPNOTSUPP),
        _ => {}
    }
    let ns = cx.read_timespec(request)?.ok_or(Errno::EFAULT)?;
    if flags as u32 & TIMER_ABSTIME == 0 {
        let until = cx.kernel.timers.now().saturating_add(ns);
        return sleep_until(&cx, cx.task.call.get(), until, remaining).await;
    }
    match cx.sleep(&[], clock.moment(&cx.kernel, ns)).await {
        Woken::Signal => Err(Errno::ERESTARTNOHAND),
        Woken::Timeout | Woken::Event => Ok(0.into()),
    }
}

/// Sleeps; a signal ends it with what is left of the time at `remaining`.
async fn sleep_until(cx: &Cx, call: Call, until: u64, remaining: u64) -> SysResult {
    if cx.sleep(&[], Some(until)).await != Woken::Signal {
        return Ok(0.into());
    }
    let left = until.saturating_sub(cx.kernel.timers.now());
    if left == 0 {
        return Ok(0.into());
    }
    if remaining != 0 {
        cx.write_timespec(remaining, left)?;
    }
    cx.task.restart.set(Some((call, until)));
    Err(Errno::ERESTART_RESTARTBLOCK)
}

/// Goes on with a call that a signal without a handler interrupted, for restart_syscall(2).
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub async fn resume(cx: Cx, call: Call, deadline: u64) -> SysResult {
    match call.number as u32 {
        __NR_nanosleep => sleep_until(&cx, call, deadline, call.args[1]).await,
        __NR_clock_nanosleep => sleep_until(&cx, call, deadline, call.args[3]).await,
        __NR_futex => futex::resume(cx, call, deadline).await,
        __NR_poll => poll::resume(cx, call, deadline).await,
        _ => Err(Errno::EINTR),
    }
}
