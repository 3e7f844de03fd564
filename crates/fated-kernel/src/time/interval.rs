//! Arming and expiring the timers of a process, and the interval timers among them: setitimer(2) and alarm(2)
//! (`kernel/time/itimer.c`).

use crate::host::Kernel;
use crate::process::task::Process;
use crate::signal::{SI_KERNEL, SI_TIMER, SigInfo, nr};
use crate::time::clock::Clock;
use crate::time::timer::{Notify, ProcessTimers, Timer, TimerSpec};
use crate::time::timers::Expire;
use alloc::rc::Rc;

/// Which interval timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// `ITIMER_REAL` and alarm(2): counts time, sends SIGALRM.
    Real,
    /// `ITIMER_VIRTUAL`: counts CPU time of user mode, sends SIGVTALRM.
    Virtual,
    /// `ITIMER_PROF`: counts CPU time, sends SIGPROF.
    Prof,
}

/// What an interval timer reads at least while it is armed: its calls count microseconds.
const LEAST_NS: u64 = 1000;

/// Reads an interval timer of a process.
#[must_use]
pub fn get(kernel: &Kernel, process: &Rc<Process>, which: Interval) -> TimerSpec {
    timer(process, which).setting(kernel, LEAST_NS)
}

/// Sets an interval timer of a process; returns what it read before.
pub fn set(kernel: &Kernel, process: &Rc<Process>, which: Interval, new: TimerSpec) -> TimerSpec {
    let timer = timer(process, which);
    let old = timer.setting(kernel, LEAST_NS);
    timer.set(kernel, new);
    old
}

fn timer(process: &Rc<Process>, which: Interval) -> Rc<Timer> {
    let mut timers = process.timers.interval.borrow_mut();
    let [real, virt, prof] = &mut *timers;
    let cpu = || Clock::of_process(process);
    let (slot, clock, signal) = match which {
        Interval::Real => (real, Clock::Boot, nr::ALRM),
        Interval::Virtual => (virt, cpu(), nr::VTALRM),
        Interval::Prof => (prof, cpu(), nr::PROF),
    };
    slot.get_or_insert_with(|| Timer::new(process.pid, -1, clock, Notify::Kernel(signal))).clone()
}

/// A SIGALRM of `process` has been taken. Whoever sent it: it may have merged with the timer's.
pub(super) fn alarm_taken(kernel: &Kernel, process: &Process) {
    let timer = process.timers.interval.borrow()[0].clone();
    if let Some(timer) = timer {
        timer.signal_taken(kernel);
    }
}

impl ProcessTimers {
    /// The process ends.
    pub fn clear(&self, kernel: &Kernel) {
        self.exec(kernel);
        for timer in self.interval.take().into_iter().flatten() {
            timer.disarm(kernel);
        }
    }

    /// The process execs: timers of timer_create(2) are deleted, interval timers stay.
    pub fn exec(&self, kernel: &Kernel) {
        for timer in self.posix.take().into_values() {
            timer.disarm(kernel);
        }
    }
}

impl Timer {
    /// What is left of it now; see [`Timer::setting_at`].
    pub(super) fn setting(&self, kernel: &Kernel, least: u64) -> TimerSpec {
        self.setting_at(self.clock.now(&kernel.timers), least)
    }

    /// Arms it for a time from now, or disarms it.
    pub(super) fn set(self: &Rc<Self>, kernel: &Kernel, new: TimerSpec) {
        if new.value == 0 {
            self.disarm(kernel);
        } else {
            self.arm(kernel, self.clock.now(&kernel.timers).saturating_add(new.value), new.interval);
        }
    }

    /// Arms it for a moment of its clock.
    pub(super) fn arm(self: &Rc<Self>, kernel: &Kernel, due: u64, interval: u64) {
        self.disarm(kernel);
        self.interval.set(interval);
        self.set_due(kernel, due);
    }

    fn set_due(self: &Rc<Self>, kernel: &Kernel, due: u64) {
        self.due.set(Some(due));
        match self.clock.moment(&kernel.timers, due) {
            _ if matches!(self.notify, Notify::Nobody) => {}
            Some(moment) => self.queued.set(Some(kernel.timers.start(moment, self.clone()))),
            None => {
                if let Some(process) = kernel.process(self.process) {
                    process.timers.cpu.set(true);
                    kernel.watch();
                }
            }
        }
    }

    pub(super) fn disarm(&self, kernel: &Kernel) {
        if let Some(id) = self.queued.take() {
            kernel.timers.cancel(id);
        }
        self.due.set(None);
        self.interval.set(0);
        self.sent.set(false);
    }

    /// It has expired: its signal is sent.
    pub(super) fn send(&self, kernel: &Rc<Kernel>) {
        self.queued.set(None);
        if self.interval.get() == 0 {
            self.due.set(None);
        }
        let Some(process) = kernel.process(self.process) else { return };
        if self.clock.counts_cpu() && matches!(self.notify, Notify::Kernel(_)) {
            self.forward(self.clock.now(&kernel.timers));
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
                        if let Some(task) = kernel.task(*task).filter(|task| task.process.pid == self.process) {
                            kernel.send_to_task(&task, info);
                        }
                    }
                }
            }
        }
    }

    /// Its signal has been taken: the next expiry is an interval after the last. Returns the overrun.
    pub(super) fn signal_taken(self: &Rc<Self>, kernel: &Kernel) -> u64 {
        if !self.sent.replace(false) {
            return 0;
        }
        let mut missed = self.overrun.take();
        if self.due.get().is_some() && self.interval.get() > 0 {
            // The first step is the expiry whose signal was taken.
            missed = missed.saturating_add(self.forward(self.clock.now(&kernel.timers))).saturating_sub(1);
            if let Some(due) = self.due.get() {
                self.set_due(kernel, due);
            }
        }
        missed.min(i32::MAX as u64)
    }
}

impl Expire<Kernel> for Timer {
    fn expire(self: Rc<Self>, kernel: &Rc<Kernel>) {
        self.send(kernel);
    }
}
