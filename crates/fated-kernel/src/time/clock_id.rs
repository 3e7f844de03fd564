//! Which clock a `clockid_t` names, and what it may be used for.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pid, Tid};
use crate::process::task::{Process, Task};
use crate::time::clock::{Clock, CpuTime};
use alloc::rc::{Rc, Weak};
use linux_raw_sys::general::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, CLOCK_REALTIME_COARSE, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID,
};

impl Cx {
    /// The clock that `id` names for the caller; `EINVAL` if there is none.
    #[inline]
    pub fn clock(&self, id: u64) -> Result<Clock, Errno> {
        match id as u32 {
            CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => Ok(Clock::Real),
            CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => {
                Ok(Clock::Boot)
            }
            _ => self.cpu_clock(id as i32),
        }
    }

    /// Negative ids name the CPU clock of a process or thread: the inverted id in the upper 29 bits, in bit 2 whether it is a
    /// thread, and the kind of CPU time below (`include/linux/posix-timers_types.h`).
    #[cold]
    fn cpu_clock(&self, id: i32) -> Result<Clock, Errno> {
        const PER_THREAD: i32 = 4;
        const KIND: i32 = 3;
        match id as u32 {
            CLOCK_PROCESS_CPUTIME_ID => return Ok(Clock::of_process(self.process())),
            CLOCK_THREAD_CPUTIME_ID => return Ok(Clock::of_task(&self.task)),
            _ if id >= 0 => return Err(Errno::EINVAL),
            _ => {}
        }
        let number = !(id >> 3) as u32;
        if id & KIND == KIND {
            return Err(Errno::EINVAL);
        }
        if id & PER_THREAD != 0 {
            if number == 0 {
                return Ok(Clock::of_task(&self.task));
            }
            let task = Tid::new(number).and_then(|tid| self.kernel.task(tid));
            let own = task.filter(|task| Rc::ptr_eq(&task.process, self.process()));
            return own.map(|task| Clock::of_task(&task)).ok_or(Errno::EINVAL);
        }
        if number == 0 || number == self.task.tid.get().get() {
            return Ok(Clock::of_process(self.process()));
        }
        let process = Pid::new(number).and_then(|pid| self.kernel.process(pid));
        process.map(|process| Clock::of_process(&process)).ok_or(Errno::EINVAL)
    }
}

impl Clock {
    /// The CPU time of a process.
    #[must_use]
    pub fn of_process(process: &Rc<Process>) -> Clock {
        let owner: Weak<Process> = Rc::downgrade(process);
        Clock::Cpu(owner)
    }

    /// The CPU time of a task.
    #[must_use]
    pub fn of_task(task: &Rc<Task>) -> Clock {
        let owner: Weak<Task> = Rc::downgrade(task);
        Clock::Cpu(owner)
    }
}

impl CpuTime for Process {
    fn cpu_ns(&self) -> u64 {
        self.total_cpu_ns()
    }
}

impl CpuTime for Task {
    fn cpu_ns(&self) -> u64 {
        self.cpu_ns.get()
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
