//! POSIX timers: timer_create(2) and its kin (`kernel/time/posix-timers.c`).

use crate::errno::Errno;
use crate::host::Kernel;
use crate::process::task::Process;
use crate::signal::{SI_TIMER, SigInfo, nr};
use crate::time::clock::Clock;
use crate::time::interval;
use crate::time::timer::{Notify, Timer, TimerSpec};
use alloc::rc::Rc;
use linux_raw_sys::general::RLIMIT_SIGPENDING;

/// What a POSIX timer reads at least while it is armed.
const LEAST_NS: u64 = 1;

/// A timer that is about to be created: the id is known before it exists, as the guest gets it first.
#[derive(Clone, Copy, Debug)]
pub struct NewId(i32);

impl NewId {
    /// The id as guests see it.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

/// The id that the next timer of `process` gets; `EAGAIN` if it has as many timers as it may have.
pub fn new_id(process: &Process) -> Result<NewId, Errno> {
    let timers = &process.timers;
    // Each timer holds a signal in reserve.
    let limit = process.limits.soft(RLIMIT_SIGPENDING);
    if timers.posix.borrow().len() as u64 >= limit {
        return Err(Errno::EAGAIN);
    }
    Ok(NewId(timers.next_id.get()))
}

/// Creates a timer, which is not armed.
pub fn create(process: &Rc<Process>, NewId(id): NewId, clock: Clock, notify: Notify) {
    let timers = &process.timers;
    timers.next_id.set(if id == i32::MAX { 0 } else { id + 1 });
    timers.posix.borrow_mut().insert(id, Timer::new(process.pid, id, clock, notify));
}

fn find(process: &Process, id: i32) -> Result<Rc<Timer>, Errno> {
    process.timers.posix.borrow().get(&id).cloned().ok_or(Errno::EINVAL)
}

/// Sets a timer, to a moment of its clock (`absolute`) or to a time from now; returns what it read before.
pub fn set(
    kernel: &Rc<Kernel>,
    process: &Process,
    id: i32,
    new: TimerSpec,
    absolute: bool,
) -> Result<TimerSpec, Errno> {
    let timer = find(process, id)?;
    let old = timer.setting(kernel, LEAST_NS);
    timer.overrun.set(0);
    if absolute && new.value != 0 {
        timer.arm(kernel, new.value, new.interval);
    } else {
        timer.set(kernel, new);
    }
    Ok(old)
}

/// Reads a timer.
pub fn get(kernel: &Kernel, process: &Process, id: i32) -> Result<TimerSpec, Errno> {
    Ok(find(process, id)?.setting(kernel, LEAST_NS))
}

/// The overrun of the last signal that was taken from a timer.
pub fn overrun(process: &Process, id: i32) -> Result<i32, Errno> {
    Ok(find(process, id)?.last_overrun.get())
}

/// Deletes a timer.
pub fn delete(kernel: &Kernel, process: &Process, id: i32) -> Result<(), Errno> {
    let timer = process.timers.posix.borrow_mut().remove(&id).ok_or(Errno::EINVAL)?;
    timer.disarm(kernel);
    Ok(())
}

/// A signal of `process` has been taken. If it is a timer's, its overrun is entered into `info` and the timer starts again.
pub(crate) fn signal_taken(kernel: &Kernel, process: &Process, info: &mut SigInfo) {
    if info.code() == SI_TIMER {
        let timer = process.timers.posix.borrow().get(&info.i32_at(16)).cloned();
        if let Some(timer) = timer.filter(|timer| timer.sent.get()) {
            let missed = timer.signal_taken(kernel) as i32;
            info.put_i32(20, missed);
            timer.last_overrun.set(missed);
        }
    } else if info.signal() == nr::ALRM {
        interval::alarm_taken(kernel, process);
    }
}
