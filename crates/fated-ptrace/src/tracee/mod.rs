//! One task as the engine sees it: a stopped tracee with a copy of its registers.
//!
//! Invariants: between two calls of [`Tracee::run`] the task is stopped. The copy of the registers is written back at most
//! once per run, and only when it has changed. A call that stopped doesn't reach Linux unless the kernel passes it, makes
//! it natively, or the engine turns it into another.

mod calls;
mod exec;
mod ports;

use crate::driver::Driver;
use crate::fault::{self, Trap};
use crate::files;
use crate::process::Process;
use crate::shared::Shared;
use crate::sys::{self, Os, RealTid};
use calls::call_of;
use fated_engine::notice::Notice;
use fated_engine::signals;
use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;
use fated_kernel::id::Tid;
use fated_kernel::ports::{Memory as _, Stop};
use std::cell::Cell;
use std::rc::Rc;

/// `PTRACE_EVENT_SECCOMP` and others as `wait` reports them.
pub(crate) const SECCOMP_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_SECCOMP << 8;
pub(crate) const EXEC_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;
pub(crate) const CALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// `PTRACE_EVENT_STOP`: a new tracee, or one that was interrupted.
const EVENT_STOP: i32 = 128;

/// Where a stopped task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the beginning of a call, which Linux will carry out unless its number is taken away.
    Entry,
    /// Anywhere else: setting the registers is all there is to do.
    Elsewhere,
}

/// Why [`Tracee::run`] came back.
#[derive(Debug)]
pub(crate) enum Ran {
    /// As the kernel has to know.
    Stopped(Stop),
    /// It has read a time stamp, and stops because its next call might end beyond the horizon.
    AtHorizon,
    /// It has burnt its time without a call, and is here now.
    Spun {
        /// The address of the next instruction.
        address: u64,
    },
}

/// A task.
pub(crate) struct Tracee {
    pub(crate) shared: Rc<Shared>,
    pub(crate) process: Rc<Process>,
    /// The real id; an exec makes it the leader's.
    pub(crate) tid: Cell<RealTid>,
    /// The kernel's id; an exec makes it the leader's.
    pub(crate) key: Cell<Tid>,
    regs: Cell<Regs>,
    /// `regs` differs from what the real task has.
    dirty: Cell<bool>,
    pub(crate) place: Cell<Place>,
    /// A `syscall` instruction of the program's own: the last one it stopped at.
    site: Cell<Option<u64>>,
    /// The call that it is in is to be carried out as it is.
    pass: Cell<bool>,
    gone: Cell<Option<i32>>,
}

impl std::fmt::Debug for Tracee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracee").field("key", &self.key.get()).field("place", &self.place.get()).finish_non_exhaustive()
    }
}

impl Tracee {
    /// A task that is stopped with these registers.
    pub(crate) fn new(shared: Rc<Shared>, process: Rc<Process>, tid: RealTid, key: Tid, regs: Regs) -> Tracee {
        Tracee {
            shared,
            process,
            tid: Cell::new(tid),
            key: Cell::new(key),
            regs: Cell::new(regs),
            dirty: Cell::new(true),
            place: Cell::new(Place::Elsewhere),
            site: Cell::new(None),
            pass: Cell::new(false),
            gone: Cell::new(None),
        }
    }

    /// Runs the task until it stops for something that the kernel has to know.
    pub(crate) fn run(&self, driver: &dyn Driver) -> Ran {
        let mut spin = Spin::default();
        loop {
            if self.is_gone() || self.resume().is_err() {
                return Ran::Stopped(self.lost());
            }
            let (status, spun) = match self.wait_or_spin(&mut spin) {
                Some(waited) => waited,
                None => return Ran::Stopped(self.lost()),
            };
            if spun
                && status >> 16 == EVENT_STOP
                && let Ok(regs) = self.fetch_regs()
            {
                return Ran::Spun { address: regs.rip };
            }
            match self.classify(status, driver) {
                Ok(Some(stop)) => return Ran::Stopped(stop),
                Ok(None) if driver.stops_at_horizon() => return Ran::AtHorizon,
                Ok(None) => {}
                Err(_) => return Ran::Stopped(self.lost()),
            }
        }
    }

    /// Lets the task run on from where it stands.
    fn resume(&self) -> Os<()> {
        let pass = self.pass.take();
        if self.place.get() == Place::Entry && !pass {
            self.write_regs(u64::MAX)?;
        } else if self.dirty.get() {
            self.write_regs(if pass { self.regs.get().orig_rax } else { u64::MAX })?;
        }
        self.place.set(Place::Elsewhere);
        self.shared.count(|stats| stats.stops += 1);
        sys::cont(self.tid.get())
    }

    /// Gives the real task the registers, with this number as the call it is in (all ones for none).
    fn write_regs(&self, number: u64) -> Os<()> {
        sys::set_regs(self.tid.get(), &Regs { orig_rax: number, ..self.regs.get() })?;
        self.dirty.set(false);
        Ok(())
    }

    /// Fetches the registers of a task that has just stopped.
    pub(crate) fn fetch_regs(&self) -> Os<Regs> {
        let regs = sys::get_regs(self.tid.get())?;
        self.load_regs(regs, false);
        Ok(regs)
    }

    /// Replaces the copy of the registers.
    pub(crate) fn load_regs(&self, regs: Regs, dirty: bool) {
        self.regs.set(regs);
        self.dirty.set(dirty);
    }

    /// What a stop means; `None` if the task has to run on.
    fn classify(&self, status: i32, driver: &dyn Driver) -> Os<Option<Stop>> {
        if !libc::WIFSTOPPED(status) {
            return Err(self.died(status));
        }
        let event = status >> 8;
        if event == SECCOMP_STOP {
            let regs = self.fetch_regs()?;
            self.place.set(Place::Entry);
            self.site.set(Some(regs.rip.wrapping_sub(2)));
            return Ok(Some(Stop::Call(call_of(&regs))));
        }
        let signal = event & 0xff;
        if event >> 8 == 0 && signal != CALL_STOP {
            return self.signalled(signal, driver);
        }
        Ok(None)
    }

    /// The task stopped because a signal is about to be delivered. Those from outside are dropped.
    fn signalled(&self, signal: i32, driver: &dyn Driver) -> Os<Option<Stop>> {
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
        if !faults.contains(&signal) {
            return Ok(None);
        }
        let mut regs = self.fetch_regs()?;
        // An instruction that the engine answers can't have run yet, whoever sent the signal.
        if signal == libc::SIGSEGV {
            let mut code = [0; 3];
            let len = self.read(regs.rip, &mut code);
            if let Some(trap) = Trap::decode(&code[..len]) {
                trap.answer(&mut regs, &self.shared.cpuid, || driver.timestamp_counter());
                self.shared.count(|stats| stats.traps += 1);
                self.load_regs(regs, true);
                return Ok(None);
            }
        }
        let info = sys::signal_info(self.tid.get())?;
        // Signals that a process sent have codes up to 0 (sigaction(2)).
        if info.code <= 0 {
            return Ok(None);
        }
        if signal == libc::SIGSYS {
            self.shared.notice(Notice::ForeignCall);
            regs.rax = (-i64::from(Errno::ENOSYS.number())).cast_unsigned();
            self.load_regs(regs, true);
            return Ok(None);
        }
        self.site.set(None);
        self.load_regs(Regs { orig_rax: u64::MAX, ..regs }, false);
        Ok(Some(Stop::Fault(fault::describe(signal, info))))
    }

    /// Notes that the task has ended in a way that nobody asked for.
    pub(crate) fn died(&self, status: i32) -> Errno {
        self.gone.set(Some(if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { libc::SIGKILL }));
        self.process.reaped(self.tid.get());
        Errno::ESRCH
    }

    /// The task is gone though nobody asked for it: only `SIGKILL` from outside does that.
    fn lost(&self) -> Stop {
        self.process.kill();
        Stop::Killed { signal: self.gone.get().unwrap_or(libc::SIGKILL) }
    }

    /// It has ended, or its id is another's now.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get().is_some() || self.process.is_dead()
    }

    /// Waits for the next stop. `None` if there will be none.
    pub(crate) fn wait(&self) -> Option<i32> {
        loop {
            match sys::wait(self.tid.get()) {
                Ok(status) => return Some(status),
                Err(Errno::EINTR) if self.still_there() => {}
                Err(_) => return None,
            }
        }
    }

    /// After a tick: ends the process if the user wants that, and tells whether the wait makes sense. (A leader that was
    /// killed together with its threads is never reported before they are reaped.)
    fn still_there(&self) -> bool {
        if signals::fatal().is_some() {
            // Not found means that it is on its way out already.
            let _ = sys::kill(self.process.tgid, libc::SIGKILL);
        }
        files::task_stat(self.tid.get()).is_ok_and(|stat| stat.state != b'Z' || self.process.alive() == 1)
    }

    /// [`Tracee::wait`]; interrupts a task that spins, and tells whether it did.
    fn wait_or_spin(&self, spin: &mut Spin) -> Option<(i32, bool)> {
        let mut spun = false;
        loop {
            match sys::wait(self.tid.get()) {
                Ok(status) => return Some((status, spun)),
                Err(Errno::EINTR) if self.still_there() => {
                    if !spun && spin.tick(self.tid.get(), self.shared.spin_ticks) {
                        // It may be stopping by itself just now; then that is what the wait returns.
                        sys::ptrace(libc::PTRACE_INTERRUPT, self.tid.get(), 0, 0).ok()?;
                        spun = true;
                    }
                }
                Err(_) => return None,
            }
        }
    }
}

/// The processor time that a task has burnt since it was let run.
#[derive(Default)]
struct Spin(Option<u64>);

impl Spin {
    /// Looks at the task; tells whether it has reached the limit. Time before the first look doesn't count.
    fn tick(&mut self, tid: RealTid, limit: Option<u64>) -> bool {
        let (Some(limit), Ok(stat)) = (limit, files::task_stat(tid)) else { return false };
        let start = *self.0.get_or_insert(stat.cpu_ticks);
        stat.cpu_ticks.saturating_sub(start) >= limit
    }
}
