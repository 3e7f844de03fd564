//! timerfd_create(2), timerfd_settime(2), timerfd_gettime(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::OpenFile;
use crate::process::capabilities::cap;
use crate::process::credentials::Act;
use crate::syscall::Args;
use crate::syscall::timer::write_itimerspec;
use crate::time::timer::TimerSpec;
use crate::time::timerfd::TimerFd;
use alloc::rc::Rc;
use linux_raw_sys::general as c;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};

pub fn timerfd_create(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let (clock, flags) = (a[0] as u32, a[1] as u32);
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let realtime = match clock {
        c::CLOCK_REALTIME => true,
        c::CLOCK_MONOTONIC | c::CLOCK_BOOTTIME => false,
        c::CLOCK_REALTIME_ALARM | c::CLOCK_BOOTTIME_ALARM => {
            // CAP_WAKE_ALARM.
            if !cx.process().credentials.borrow().may(Act::Capable(cap::WAKE_ALARM)) {
                return Err(Errno::EPERM);
            }
            clock == c::CLOCK_REALTIME_ALARM
        }
        _ => return Err(Errno::EINVAL),
    };
    let fd = cx.install(TimerFd::new(&cx.kernel, realtime), flags | O_RDWR)?;
    Ok(fd as u64)
}

fn find(cx: &Cx, fd: u64) -> Result<Rc<OpenFile>, Errno> {
    let open = cx.file_or(fd as i32, Errno::EINVAL)?;
    if open.downcast::<TimerFd>().is_some() { Ok(open) } else { Err(Errno::EINVAL) }
}

pub fn timerfd_settime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [fd, flags, new_addr, old_addr, ..] = a;
    let interval = cx.read_timespec(new_addr)?.ok_or(Errno::EFAULT)?;
    let value = cx.read_timespec(new_addr.wrapping_add(16))?.ok_or(Errno::EFAULT)?;
    let flags = flags as u32;
    if flags & !(c::TFD_TIMER_ABSTIME | c::TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let open = find(cx, fd)?;
    let timer = open.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    let old = timer.get(&cx.kernel);
    timer.set(&cx.kernel, TimerSpec { interval, value }, flags & c::TFD_TIMER_ABSTIME != 0);
    if old_addr != 0 {
        write_itimerspec(cx, old_addr, old)?;
    }
    Ok(0)
}

pub fn timerfd_gettime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let open = find(cx, a[0])?;
    let timer = open.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    write_itimerspec(cx, a[1], timer.get(&cx.kernel))?;
    Ok(0)
}
