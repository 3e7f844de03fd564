//! Which clock a `clockid_t` names, and what it may be used for.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pid, Tid};
use crate::time::clock::Clock;
use alloc::rc::Rc;
use linux_raw_sys::general::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, CLOCK_REALTIME_COARSE, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID,
};

impl Cx {
    /// The clock that `id` names for the caller; `EINVAL` if there is none.
    pub fn clock(&self, id: u64) -> Result<Clock, Errno> {
        let id = id as i32;
        if id < 0 {
            return self.cpu_clock(id);
        }
        match id as u32 {
            CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => Ok(Clock::Real),
            CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => {
                Ok(Clock::Boot)
            }
            CLOCK_PROCESS_CPUTIME_ID => Ok(Clock::Process(Rc::downgrade(self.process()))),
            CLOCK_THREAD_CPUTIME_ID => Ok(Clock::Thread(Rc::downgrade(&self.task))),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Negative ids name the CPU clock of a process or thread: the inverted id in the upper 29 bits, in bit 2 whether it is a
    /// thread, and the kind of CPU time below (`include/linux/posix-timers_types.h`).
    fn cpu_clock(&self, id: i32) -> Result<Clock, Errno> {
        const PER_THREAD: i32 = 4;
        const KIND: i32 = 3;
        let number = !(id >> 3) as u32;
        if id & KIND == KIND {
            return Err(Errno::EINVAL);
        }
        if id & PER_THREAD != 0 {
            if number == 0 {
                return Ok(Clock::Thread(Rc::downgrade(&self.task)));
            }
            let task = Tid::new(number).and_then(|tid| self.kernel.task(tid));
            let own = task.filter(|task| Rc::ptr_eq(&task.process, self.process()));
            return own.map(|task| Clock::Thread(Rc::downgrade(&task))).ok_or(Errno::EINVAL);
        }
        if number == 0 || number == self.task.tid.get().get() {
            return Ok(Clock::Process(Rc::downgrade(self.process())));
        }
        let process = Pid::new(number).and_then(|pid| self.kernel.process(pid));
        process.map(|process| Clock::Process(Rc::downgrade(&process))).ok_or(Errno::EINVAL)
    }
}

/// Whether a timer or a sleep may be on the clock that `id` names: not on those that would wake a machine from suspension, which
/// take a privilege, nor on those that can only be read.
pub fn check_timer_clock(id: u64) -> Result<(), Errno> {
    match id as u32 {
        CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM => Err(Errno::EPERM),
        CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE | CLOCK_MONOTONIC_RAW => Err(Errno::EOPNOTSUPP),
        _ => Ok(()),
    }
}
