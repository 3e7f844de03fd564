//! clock_gettime(2), nanosleep(2) and their kin.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::SysResult;
use crate::sched::Woken;
use crate::syscall::{Args, futex, poll};
use crate::time::clock_id::check_timer_clock;
use linux_raw_sys::general::{
    __NR_clock_nanosleep, __NR_futex, __NR_nanosleep, __NR_poll, CLOCK_MONOTONIC_COARSE, CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE, CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME,
};

/// Nanoseconds per tick of times(2) (`USER_HZ` is 100).
const TICK_NS: u64 = 10_000_000;
/// The resolution that the coarse clocks report (`HZ` is 250). Theirs is finer.
const COARSE_NS: u64 = 4_000_000;

/// clock_gettime(2).
pub fn clock_gettime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock, to, ..] = a;
    cx.begin_reading();
    cx.write_timespec(to, cx.clock(clock)?.now(&cx.kernel.timers))?;
    Ok(0)
}

/// clock_getres(2).
pub fn clock_getres(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock, to, ..] = a;
    cx.clock(clock)?;
    let coarse = matches!(clock as u32, CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE);
    if to != 0 {
        cx.write_timespec(to, if coarse { COARSE_NS } else { 1 })?;
    }
    Ok(0)
}

/// clock_settime(2): a guest can't set the clock of the run.
pub fn clock_settime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock, from, ..] = a;
    // Linux can set no other clock.
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
    cx.begin_reading();
    if to != 0 {
        cx.write_timeval(to, cx.kernel.timers.now())?;
    }
    if zone != 0 {
        // The kernel's time zone is UTC until it is set.
        cx.write(zone, &[0; 8])?;
    }
    Ok(0)
}

/// time(2).
pub fn time(cx: &Cx, a: Args) -> Result<u64, Errno> {
    cx.begin_reading();
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
        let children = crate::process::usage::usage_of_children(cx, cx.process());
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
    let clock = cx.clock(id);
    // Before it looks at the time, Linux only knows whether a clock's number is one, and whether it can wake anybody.
    if let (Err(error), 0..) = (&clock, id as i32) {
        return Err(*error);
    }
    if id as u32 == CLOCK_THREAD_CPUTIME_ID {
        return Err(Errno::EOPNOTSUPP);
    }
    let ns = cx.read_timespec(request)?.ok_or(Errno::EFAULT)?;
    let clock = clock?;
    check_timer_clock(id)?;
    if clock.counts_cpu() {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags as u32 & TIMER_ABSTIME == 0 {
        let until = cx.kernel.timers.now().saturating_add(ns);
        return sleep_until(&cx, cx.task.call.get(), until, remaining).await;
    }
    match cx.sleep(&[], clock.moment(&cx.kernel.timers, ns)).await {
        Woken::Signal => Err(Errno::ERESTARTNOHAND),
        Woken::Timeout | Woken::Event => Ok(0.into()),
    }
}

/// Sleeps. If a signal interrupts that, what is left of the time is written to `remaining`.
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

/// restart_syscall(2): continues a call that was interrupted by a signal without a handler.
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
