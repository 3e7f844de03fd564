//! alarm(2), setitimer(2), timer_create(2) and their kin.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::Tid;
use crate::signal::nr;
use crate::syscall::Args;
use crate::time::clock_id::check_timer_clock;
use crate::time::interval::{self, Interval};
use crate::time::posix;
use crate::time::timer::{Notify, TimerSpec};
use crate::time::timers::SECOND;
use alloc::rc::Rc;
use linux_raw_sys::general::{
    ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, TIMER_ABSTIME,
};

/// alarm(2).
pub fn alarm(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let new = TimerSpec { interval: 0, value: u64::from(a[0] as u32) * SECOND };
    let left = interval::set(&cx.kernel, cx.process(), Interval::Real, new).value / 1000;
    let (seconds, micros) = (left / 1_000_000, left % 1_000_000);
    // Rounded, but never to 0 while one is pending.
    Ok(seconds + u64::from((seconds == 0 && micros > 0) || micros >= 500_000))
}

/// getitimer(2).
pub fn getitimer(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [which, to, ..] = a;
    write_itimerval(cx, to, interval::get(&cx.kernel, cx.process(), which_interval(which)?))?;
    Ok(0)
}

/// setitimer(2).
pub fn setitimer(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [which, from, old_to, ..] = a;
    let new = if from == 0 {
        TimerSpec::default()
    } else {
        let interval = cx.read_timeval(from)?.unwrap_or(0);
        TimerSpec { interval, value: cx.read_timeval(from.wrapping_add(16))?.unwrap_or(0) }
    };
    let old = interval::set(&cx.kernel, cx.process(), which_interval(which)?, new);
    if old_to != 0 {
        write_itimerval(cx, old_to, old)?;
    }
    Ok(0)
}

fn which_interval(which: u64) -> Result<Interval, Errno> {
    match which as u32 {
        ITIMER_REAL => Ok(Interval::Real),
        ITIMER_VIRTUAL => Ok(Interval::Virtual),
        ITIMER_PROF => Ok(Interval::Prof),
        _ => Err(Errno::EINVAL),
    }
}

fn write_itimerval(cx: &Cx, to: u64, setting: TimerSpec) -> Result<(), Errno> {
    cx.write_timeval(to, setting.interval)?;
    cx.write_timeval(to.wrapping_add(16), setting.value)
}

/// timer_create(2).
pub fn timer_create(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock_id, event, id_to, ..] = a;
    let event: Option<[u64; 8]> = if event == 0 { None } else { Some(cx.read_words(event)?) };
    let clock = cx.clock(clock_id)?;
    check_timer_clock(clock_id)?;
    let id = posix::new_id(cx.process())?;
    let notify = match event {
        None => Notify::Signal { signal: nr::ALRM, value: id.get() as u64, task: None },
        Some(event) => decode_event(cx, event)?,
    };
    cx.write_u32(id_to, id.get() as u32)?;
    posix::create(cx.process(), id, clock, notify);
    Ok(0)
}

/// Decodes `struct sigevent`, which Linux copies as a whole.
fn decode_event(cx: &Cx, [value, kind, tid, ..]: [u64; 8]) -> Result<Notify, Errno> {
    const THREAD_SIGNAL: u32 = SIGEV_SIGNAL | SIGEV_THREAD_ID;
    let (signal, how) = (kind as i32, (kind >> 32) as u32);
    let task = if how == THREAD_SIGNAL {
        let task = Tid::new(tid as u32).and_then(|tid| cx.kernel.task(tid));
        let own = task.filter(|task| Rc::ptr_eq(&task.process, cx.process())).ok_or(Errno::EINVAL)?;
        Some(own.tid.get())
    } else {
        None
    };
    match how {
        SIGEV_NONE => Ok(Notify::Nobody),
        // The kernel takes SIGEV_THREAD for SIGEV_SIGNAL; making threads is the C library's part.
        THREAD_SIGNAL | SIGEV_SIGNAL | SIGEV_THREAD if (1..=64).contains(&signal) => {
            Ok(Notify::Signal { signal, value, task })
        }
        _ => Err(Errno::EINVAL),
    }
}

/// timer_settime(2).
pub fn timer_settime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [id, flags, from, old_to, ..] = a;
    if from == 0 {
        return Err(Errno::EINVAL);
    }
    let interval = cx.read_timespec(from)?.unwrap_or(0);
    let value = cx.read_timespec(from.wrapping_add(16))?.unwrap_or(0);
    let absolute = flags as u32 & TIMER_ABSTIME != 0;
    let old = posix::set(&cx.kernel, cx.process(), id as i32, TimerSpec { interval, value }, absolute)?;
    if old_to != 0 {
        write_itimerspec(cx, old_to, old)?;
    }
    // An absolute time that has passed expires before the call returns.
    cx.kernel.pass_time(0);
    Ok(0)
}

/// timer_gettime(2).
pub fn timer_gettime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    write_itimerspec(cx, a[1], posix::get(&cx.kernel, cx.process(), a[0] as i32)?)?;
    Ok(0)
}

/// Writes a `struct itimerspec`.
pub(super) fn write_itimerspec(cx: &Cx, to: u64, setting: TimerSpec) -> Result<(), Errno> {
    cx.write_timespec(to, setting.interval)?;
    cx.write_timespec(to.wrapping_add(16), setting.value)
}

/// timer_getoverrun(2).
pub fn timer_getoverrun(cx: &Cx, a: Args) -> Result<u64, Errno> {
    Ok(posix::overrun(cx.process(), a[0] as i32)? as u64)
}

/// timer_delete(2).
pub fn timer_delete(cx: &Cx, a: Args) -> Result<u64, Errno> {
    posix::delete(&cx.kernel, cx.process(), a[0] as i32)?;
    Ok(0)
}
