//! A task: a tracee with a copy of its registers. This module runs it and decodes its stops; [`calls`] makes calls in its context,
//! [`exec`] replaces its program, [`sensitive`] emulates instructions, [`trap`] asks Linux what
//! the processor said of a fault, and [`ports`] serves the kernel.
//!
//! Invariants: the task is stopped except during [`Tracee::run`]. The copy of the registers is written back at most once per run,
//! and only if it has changed. A call that stopped doesn't reach Linux unless the kernel passes it or makes it natively, or the
//! engine replaces it by another one.

mod calls;
mod exec;
mod ports;
mod sensitive;
mod trap;

use crate::driver::Driver;
use crate::files;
use crate::ids::Ids;
use crate::process::Process;
use crate::shared::Shared;
use crate::sys::{self, Os, RealTid};
use calls::call_of;
use fated_engine::notice::Notice;
use fated_engine::signals;
use fated_engine::{COMPUTES_AFTER, computes};
use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;
use fated_kernel::id::Tid;
use fated_kernel::ports::Stop;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// Stops as wait(2) reports them, without the low byte.
pub(crate) const SECCOMP_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_SECCOMP << 8;
pub(crate) const EXEC_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;
pub(crate) const CALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// `PTRACE_EVENT_STOP`: a new tracee, or the effect of `PTRACE_INTERRUPT`.
const EVENT_STOP: i32 = 128;

/// Where a stopped task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the entry of a call. Linux carries the call out unless its number is replaced.
    Entry,
    /// Anywhere else. The task continues with the registers that are set.
    Elsewhere,
}

/// Why [`Tracee::run`] returned.
#[derive(Debug)]
pub(crate) enum Ran {
    /// The task stopped for something that the kernel handles.
    Stopped(Stop),
    /// The task has read a time stamp, and its next call might end beyond the horizon.
    AtHorizon,
    /// The task has used up the spin limit without a call.
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
    /// `regs` differs from the registers of the real task.
    dirty: Cell<bool>,
    pub(crate) place: Cell<Place>,
    /// The last `syscall` instruction of the program at which the task stopped.
    site: Cell<Option<u64>>,
    /// Linux carries out the current call unchanged.
    pass: Cell<bool>,
    gone: Cell<Option<i32>>,
    /// Its ids, once it or a parent has made a call that may change them.
    ids: RefCell<Option<Rc<Ids>>>,
}

impl std::fmt::Debug for Tracee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracee").field("key", &self.key.get()).field("place", &self.place.get()).finish_non_exhaustive()
    }
}

impl Tracee {
    /// Creates a task that is stopped with these registers.
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
            ids: RefCell::default(),
        }
    }

    /// Runs the task until it stops for something that the kernel handles.
    pub(crate) fn run(&self, driver: &dyn Driver) -> Ran {
        let mut spin = Spin::default();
        loop {
            if self.is_gone() || self.resume().is_err() {
                return Ran::Stopped(self.lost());
            }
            let (status, spun) = match self.wait_or_spin(&mut spin, driver) {
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

    /// Continues the task.
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

    /// Writes the registers to the real task, with `number` as its current call (all ones for none).
    fn write_regs(&self, number: u64) -> Os<()> {
        sys::set_regs(self.tid.get(), &Regs { orig_rax: number, ..self.regs.get() })?;
        self.dirty.set(false);
        Ok(())
    }

    /// Reads the registers of a task that has just stopped.
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

    /// Decodes a stop. `None`: the task continues.
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

    /// Handles the stop before the delivery of a signal. Signals from outside are dropped.
    fn signalled(&self, signal: i32, driver: &dyn Driver) -> Os<Option<Stop>> {
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
        if !faults.contains(&signal) {
            return Ok(None);
        }
        let mut regs = self.fetch_regs()?;
        // Whoever sent the signal, an instruction that the engine emulates can't have run yet.
        if let Some(regs) = self.emulate(signal, regs, driver) {
            self.load_regs(regs, true);
            return Ok(None);
        }
        let info = sys::signal_info(self.tid.get())?;
        // A signal from a process has a code of at most 0 (sigaction(2)).
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
        Ok(Some(Stop::Fault(self.describe(signal, info))))
    }

    /// Records that the task has ended although neither kernel nor engine ended it.
    pub(crate) fn died(&self, status: i32) -> Errno {
        self.gone.set(Some(if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { libc::SIGKILL }));
        self.process.reaped(self.tid.get());
        Errno::ESRCH
    }

    /// The stop of a task that has ended unexpectedly. Only a `SIGKILL` from outside does that.
    fn lost(&self) -> Stop {
        self.process.kill();
        Stop::Killed { signal: self.gone.get().unwrap_or(libc::SIGKILL) }
    }

    /// Whether the task has ended, so that its id may belong to another task.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get().is_some() || self.process.is_dead()
    }

    /// Waits for the next stop. `None`: the task doesn't stop any more.
    pub(crate) fn wait(&self) -> Option<i32> {
        loop {
            match sys::wait(self.tid.get()) {
                Ok(status) => return Some(status),
                Err(Errno::EINTR) if self.still_there() => {}
                Err(_) => return None,
            }
        }
    }

    /// Waits for the next stop, and returns it without the low byte. `ESRCH`: the task has ended.
    pub(super) fn next_stop(&self) -> Os<i32> {
        let status = self.wait().ok_or(Errno::ESRCH)?;
        if libc::WIFSTOPPED(status) { Ok(status >> 8) } else { Err(self.died(status)) }
    }

    /// Checks after a tick whether to wait on, and kills the process if the user ends the run. Linux doesn't report a leader that was
    /// killed together with its threads before they are reaped, so waiting for such a leader would hang.
    fn still_there(&self) -> bool {
        if signals::fatal().is_some() {
            // If the process isn't found, it is already exiting.
            let _ = sys::kill(self.process.tgid, libc::SIGKILL);
        }
        files::task_stat(self.tid.get()).is_ok_and(|stat| stat.state != b'Z' || self.process.alive() == 1)
    }

    /// As [`Tracee::wait`], but interrupts a task that spins. Returns the status and whether the task was interrupted.
    fn wait_or_spin(&self, spin: &mut Spin, driver: &dyn Driver) -> Option<(i32, bool)> {
        let mut spun = false;
        loop {
            match sys::wait(self.tid.get()) {
                Ok(status) => return Some((status, spun)),
                Err(Errno::EINTR) if self.still_there() => {
                    if spin.is_notable() {
                        let name =
                            std::fs::read_to_string(format!("/proc/{}/comm", self.tid.get())).unwrap_or_default();
                        self.shared.tell(computes(self.key.get(), name.trim_end(), driver.since_epoch()));
                    }
                    if !spun && spin.tick(self.tid.get(), self.shared.spin_ticks) {
                        // If the task stops by itself at this moment, the wait returns that stop.
                        sys::ptrace(libc::PTRACE_INTERRUPT, self.tid.get(), 0, 0).ok()?;
                        spun = true;
                    }
                }
                Err(_) => return None,
            }
        }
    }
}

/// The first tick of a run.
#[derive(Default)]
struct Spin {
    /// The processor time of the task.
    used: Option<u64>,
    since: Option<Instant>,
    /// The user has been told.
    told: bool,
}

impl Spin {
    /// Whether it has run for so long that the user is to be told, once.
    #[expect(clippy::disallowed_methods, reason = "the user is told after some real time; guests don't see it")]
    fn is_notable(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        !self.told && {
            self.told = since.elapsed() >= COMPUTES_AFTER;
            self.told
        }
    }

    /// Whether the task has used `limit` since the first tick.
    fn tick(&mut self, tid: RealTid, limit: Option<u64>) -> bool {
        let (Some(limit), Ok(stat)) = (limit, files::task_stat(tid)) else { return false };
        let start = *self.used.get_or_insert(stat.cpu_ticks);
        stat.cpu_ticks.saturating_sub(start) >= limit
    }
}
