//! Timers of a process: alarm(2), setitimer(2), timer_create(2).
//!
//! As in Linux, a timer that repeats is set anew when its signal is taken, not when it expires: what it missed meanwhile is
//! its overrun. So a timer whose signal nobody takes never keeps virtual time moving.
//!
//! Timers on CPU time are looked at when a call has cost some (`cpu_spent`).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::Kernel;
use crate::id::Tid;
use crate::process::task::{Process, Task};
use crate::sched::wait_queue::Watcher;
use crate::signal::{SI_KERNEL, SI_TIMER, SigInfo, nr};
use crate::syscall::Args;
use crate::syscall::time::Clock;
use crate::time::timers::{Alarm, AlarmId, SECOND};
use alloc::{
    collections::BTreeMap,
    rc::{Rc, Weak},
    vec::Vec,
};
use core::cell::{Cell, RefCell};
use linux_raw_sys::general::{
    CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_ALARM, CLOCK_REALTIME_COARSE,
    ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, RLIMIT_SIGPENDING, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD,
    SIGEV_THREAD_ID, TIMER_ABSTIME,
};

/// All timers of a process.
#[derive(Debug, Default)]
pub struct ProcessTimers {
    /// `ITIMER_REAL`, which is alarm(2)'s too, `ITIMER_VIRTUAL`, `ITIMER_PROF`.
    interval: RefCell<[Option<Rc<Timer>>; 3]>,
    posix: RefCell<BTreeMap<i32, Rc<Timer>>>,
    next_id: Cell<i32>,
    /// Whether any timer on CPU time may be set.
    pub(crate) cpu: Cell<bool>,
}

/// What a timer does when it expires.
#[derive(Clone, Debug)]
enum Notify {
    /// Nothing: it is only looked at.
    Nobody,
    /// A signal of the kernel's own.
    Kernel(i32),
    /// A signal with `SI_TIMER` and this value, to the process or to one task.
    Signal { signal: i32, value: u64, task: Option<Weak<Task>> },
}

/// A timer.
#[derive(Debug)]
struct Timer {
    id: i32,
    process: Weak<Process>,
    clock: Clock,
    notify: Notify,
    /// When it expires, on its clock.
    due: Cell<Option<u64>>,
    interval: Cell<u64>,
    /// What stands for it in virtual time.
    alarm: Cell<Option<AlarmId>>,
    /// Its signal has been sent and not taken yet.
    sent: Cell<bool>,
    /// Expirations since its signal was sent, as far as they have been counted.
    overrun: Cell<u64>,
    /// What timer_getoverrun(2) tells: the overrun of the last taken signal.
    last_overrun: Cell<i32>,
}

/// What `struct itimerspec` and `struct itimerval` hold, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Setting {
    interval: u64,
    value: u64,
}

impl Timer {
    fn new(cx: &Cx, id: i32, clock: Clock, notify: Notify) -> Rc<Timer> {
        Rc::new(Timer {
            id,
            process: Rc::downgrade(cx.process()),
            clock,
            notify,
            due: Cell::new(None),
            interval: Cell::new(0),
            alarm: Cell::new(None),
            sent: Cell::new(false),
            overrun: Cell::new(0),
            last_overrun: Cell::new(0),
        })
    }

    fn arm(self: &Rc<Self>, kernel: &Kernel, due: u64, interval: u64) {
        self.disarm(kernel);
        self.interval.set(interval);
        self.set_due(kernel, due);
    }

    fn set_due(self: &Rc<Self>, kernel: &Kernel, due: u64) {
        self.due.set(Some(due));
        match self.clock.moment(kernel, due) {
            _ if matches!(self.notify, Notify::Nobody) => {}
            Some(moment) => self.alarm.set(Some(kernel.timers.set(moment, Alarm::Watcher(self.clone())))),
            None => {
                if let Some(process) = self.process.upgrade() {
                    process.timers.cpu.set(true);
                    kernel.watch();
                }
            }
        }
    }

    fn disarm(&self, kernel: &Kernel) {
        if let Some(alarm) = self.alarm.take() {
            kernel.timers.cancel(alarm);
        }
        self.due.set(None);
        self.interval.set(0);
        self.sent.set(false);
    }

    /// Moves the expiry past now by whole intervals; returns by how many.
    fn forward(&self, now: u64) -> u64 {
        let (Some(due), interval) = (self.due.get(), self.interval.get()) else { return 0 };
        if interval == 0 || due > now {
            return 0;
        }
        let steps = (now - due) / interval + 1;
        self.due.set(Some(due.saturating_add(steps.saturating_mul(interval))));
        steps
    }

    /// What is left of it; `least` for one that has expired and whose signal is on its way.
    fn setting(&self, kernel: &Kernel, least: u64) -> Setting {
        let interval = self.interval.get();
        let now = self.clock.now(kernel);
        let silent = matches!(self.notify, Notify::Nobody);
        if silent || self.sent.get() {
            let missed = self.forward(now);
            self.overrun.set(self.overrun.get().saturating_add(missed));
        }
        let value = match self.due.get() {
            // The signal of setitimer(2)'s has to be taken first.
            Some(_) if self.sent.get() && matches!(self.notify, Notify::Kernel(_)) => 0,
            Some(due) if due > now => due - now,
            Some(_) if !silent => least,
            _ => 0,
        };
        Setting { interval, value }
    }

    /// It has expired: its signal is sent.
    fn expire(&self, kernel: &Rc<Kernel>) {
        self.alarm.set(None);
        if self.interval.get() == 0 {
            self.due.set(None);
        }
        let Some(process) = self.process.upgrade() else { return };
        if self.clock.counts_cpu() && matches!(self.notify, Notify::Kernel(_)) {
            // Linux doesn't wait with these until the signal is taken.
            self.forward(self.clock.now(kernel));
        } else {
            self.sent.set(true);
        }
        match &self.notify {
            Notify::Nobody => {}
            Notify::Kernel(signal) => {
                kernel.send_to_process(&process, SigInfo::new(*signal, SI_KERNEL));
            }
            Notify::Signal { signal, value, task } => {
                let mut info = SigInfo::new(*signal, SI_TIMER);
                info.put_i32(16, self.id);
                info.put_u64(24, *value);
                match task {
                    None => {
                        kernel.send_to_process(&process, info);
                    }
                    Some(task) => {
                        if let Some(task) = task.upgrade().filter(|task| !task.is_gone()) {
                            kernel.send_to_task(&task, info);
                        }
                    }
                }
            }
        }
    }

    /// Its signal has been taken: the next one is due by the interval after the last. Returns the overrun.
    fn taken(self: &Rc<Self>, kernel: &Kernel) -> u64 {
        if !self.sent.replace(false) {
            return 0;
        }
        let mut missed = self.overrun.take();
        if self.due.get().is_some() && self.interval.get() > 0 {
            // The first step is the expiry whose signal was taken.
            missed = missed.saturating_add(self.forward(self.clock.now(kernel))).saturating_sub(1);
            if let Some(due) = self.due.get() {
                self.set_due(kernel, due);
            }
        }
        missed.min(i32::MAX as u64)
    }
}

impl Watcher for Timer {
    fn fire(&self, kernel: &Rc<Kernel>) {
        self.expire(kernel);
    }
}

impl ProcessTimers {
    fn all(&self) -> Vec<Rc<Timer>> {
        let interval = self.interval.borrow();
        let posix = self.posix.borrow();
        interval.iter().flatten().chain(posix.values()).cloned().collect()
    }

    /// The process ends.
    pub fn clear(&self, kernel: &Kernel) {
        self.exec(kernel);
        for timer in self.interval.take().into_iter().flatten() {
            timer.disarm(kernel);
        }
    }

    /// The process execs: POSIX timers go, the others stay.
    pub fn exec(&self, kernel: &Kernel) {
        for timer in self.posix.take().into_values() {
            timer.disarm(kernel);
        }
    }

    fn interval_timer(&self, cx: &Cx, which: u32) -> Rc<Timer> {
        let mut timers = self.interval.borrow_mut();
        let [real, virt, prof] = &mut *timers;
        let cpu = || Clock::Process(Rc::downgrade(cx.process()));
        let (slot, clock, signal) = match which {
            ITIMER_VIRTUAL => (virt, cpu(), nr::VTALRM),
            ITIMER_PROF => (prof, cpu(), nr::PROF),
            _ => (real, Clock::Boot, nr::ALRM),
        };
        slot.get_or_insert_with(|| Timer::new(cx, -1, clock, Notify::Kernel(signal))).clone()
    }

    fn posix_timer(&self, id: u64) -> Result<Rc<Timer>, Errno> {
        self.posix.borrow().get(&(id as i32)).cloned().ok_or(Errno::EINVAL)
    }
}

/// A call has cost CPU time: sends the signals of timers on it that have expired.
#[inline]
pub(crate) fn cpu_spent(cx: &Cx) {
    if cx.process().timers.cpu.get() {
        look_at_cpu_timers(cx);
    }
}

#[cold]
fn look_at_cpu_timers(cx: &Cx) {
    let timers = &cx.process().timers;
    let cpu_timers: Vec<_> = timers.all().into_iter().filter(|timer| timer.clock.counts_cpu()).collect();
    timers.cpu.set(cpu_timers.iter().any(|timer| timer.due.get().is_some()));
    for timer in cpu_timers {
        let due = timer.due.get().filter(|&due| due <= timer.clock.now(&cx.kernel));
        if due.is_some() && !timer.sent.get() {
            timer.expire(&cx.kernel);
        }
    }
}

/// A signal of `process` has been taken: if a timer sent it, the overrun is entered and the timer goes on.
pub(crate) fn taken(kernel: &Kernel, process: &Process, info: &mut SigInfo) {
    let timers = &process.timers;
    if info.code() == SI_TIMER {
        let timer = timers.posix.borrow().get(&info.i32_at(16)).cloned();
        if let Some(timer) = timer.filter(|timer| timer.sent.get()) {
            let missed = timer.taken(kernel) as i32;
            info.put_i32(20, missed);
            timer.last_overrun.set(missed);
        }
    } else if info.signal() == nr::ALRM {
        // Whoever sent it: it may have swallowed the timer's.
        let timer = timers.interval.borrow()[0].clone();
        if let Some(timer) = timer {
            timer.taken(kernel);
        }
    }
}

/// alarm(2).
pub fn alarm(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let timer = cx.process().timers.interval_timer(cx, ITIMER_REAL);
    let left = timer.setting(&cx.kernel, 1000).value / 1000;
    set(cx, &timer, Setting { interval: 0, value: u64::from(a[0] as u32) * SECOND });
    let (seconds, micros) = (left / 1_000_000, left % 1_000_000);
    // Rounded, but never to 0 while one is pending.
    Ok(seconds + u64::from((seconds == 0 && micros > 0) || micros >= 500_000))
}

/// getitimer(2).
pub fn getitimer(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [which, to, ..] = a;
    write_itimerval(cx, to, interval_timer(cx, which)?.setting(&cx.kernel, 1000))?;
    Ok(0)
}

/// setitimer(2).
pub fn setitimer(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [which, from, old_to, ..] = a;
    let new = if from == 0 {
        Setting::default()
    } else {
        let interval = cx.read_timeval(from)?.unwrap_or(0);
        Setting { interval, value: cx.read_timeval(from.wrapping_add(16))?.unwrap_or(0) }
    };
    let timer = interval_timer(cx, which)?;
    let old = timer.setting(&cx.kernel, 1000);
    set(cx, &timer, new);
    if old_to != 0 {
        write_itimerval(cx, old_to, old)?;
    }
    Ok(0)
}

fn interval_timer(cx: &Cx, which: u64) -> Result<Rc<Timer>, Errno> {
    match which as u32 {
        which @ (ITIMER_REAL | ITIMER_VIRTUAL | ITIMER_PROF) => Ok(cx.process().timers.interval_timer(cx, which)),
        _ => Err(Errno::EINVAL),
    }
}

/// Sets a timer to a time from now, or switches it off.
fn set(cx: &Cx, timer: &Rc<Timer>, new: Setting) {
    if new.value == 0 {
        timer.disarm(&cx.kernel);
    } else {
        timer.arm(&cx.kernel, timer.clock.now(&cx.kernel).saturating_add(new.value), new.interval);
    }
}

fn write_itimerval(cx: &Cx, to: u64, setting: Setting) -> Result<(), Errno> {
    cx.write_timeval(to, setting.interval)?;
    cx.write_timeval(to.wrapping_add(16), setting.value)
}

/// timer_create(2).
pub fn timer_create(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [clock_id, event, id_to, ..] = a;
    let clock = Clock::of(cx, clock_id)?;
    match clock_id as u32 {
        CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM => return Err(Errno::EPERM),
        CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE | CLOCK_MONOTONIC_RAW => return Err(Errno::EOPNOTSUPP),
        _ => {}
    }
    let timers = &cx.process().timers;
    let limit = cx.process().limits.soft(RLIMIT_SIGPENDING);
    if timers.posix.borrow().len() as u64 >= limit {
        return Err(Errno::EAGAIN);
    }
    let id = timers.next_id.get();
    let notify = if event == 0 {
        Notify::Signal { signal: nr::ALRM, value: id as u64, task: None }
    } else {
        read_event(cx, event)?
    };
    cx.write_u32(id_to, id as u32)?;
    timers.next_id.set(if id == i32::MAX { 0 } else { id + 1 });
    timers.posix.borrow_mut().insert(id, Timer::new(cx, id, clock, notify));
    Ok(0)
}

/// Decodes `struct sigevent`.
fn read_event(cx: &Cx, addr: u64) -> Result<Notify, Errno> {
    const THREAD_SIGNAL: u32 = SIGEV_SIGNAL | SIGEV_THREAD_ID;
    // Linux copies the whole structure.
    let [value, kind, tid, ..]: [u64; 8] = cx.read_words(addr)?;
    let (signal, how) = (kind as i32, (kind >> 32) as u32);
    let task = if how == THREAD_SIGNAL {
        let task = Tid::new(tid as u32).and_then(|tid| cx.kernel.task(tid));
        let own = task.filter(|task| Rc::ptr_eq(&task.process, cx.process())).ok_or(Errno::EINVAL)?;
        Some(Rc::downgrade(&own))
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
    let timer = cx.process().timers.posix_timer(id)?;
    let old = timer.setting(&cx.kernel, 1);
    timer.overrun.set(0);
    if flags as u32 & TIMER_ABSTIME != 0 && value != 0 {
        timer.arm(&cx.kernel, value, interval);
    } else {
        set(cx, &timer, Setting { interval, value });
    }
    if old_to != 0 {
        write_itimerspec(cx, old_to, old)?;
    }
    // An absolute time that has passed already: virtual time need not move first.
    cx.kernel.pass_time(0);
    Ok(0)
}

/// timer_gettime(2).
pub fn timer_gettime(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let timer = cx.process().timers.posix_timer(a[0])?;
    write_itimerspec(cx, a[1], timer.setting(&cx.kernel, 1))?;
    Ok(0)
}

fn write_itimerspec(cx: &Cx, to: u64, setting: Setting) -> Result<(), Errno> {
    cx.write_timespec(to, setting.interval)?;
    cx.write_timespec(to.wrapping_add(16), setting.value)
}

/// timer_getoverrun(2).
pub fn timer_getoverrun(cx: &Cx, a: Args) -> Result<u64, Errno> {
    Ok(cx.process().timers.posix_timer(a[0])?.last_overrun.get() as u64)
}

/// timer_delete(2).
pub fn timer_delete(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let timer = cx.process().timers.posix.borrow_mut().remove(&(a[0] as i32)).ok_or(Errno::EINVAL)?;
    timer.disarm(&cx.kernel);
    Ok(0)
}
