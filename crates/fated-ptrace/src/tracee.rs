//! One task as the engine sees it: a stopped tracee with a copy of its registers.
//!
//! Invariants: between two calls of [`Tracee::run`] the task is stopped. The copy of the registers is written back at most
//! once per run, and only when it has changed. A call that stopped doesn't reach Linux unless the kernel passes it, makes
//! it natively, or the engine turns it into another.

use crate::fault::{self, Trap};
use crate::files::{self, At};
use crate::filter::STOPPING_CALL;
use crate::process::{self, Process};
use crate::run::{Driver, Shared};
use crate::sys::{self, Os, RealTid};
use crate::{memory, xstate};
use fated_engine::notice::Notice;
use fated_engine::signals;
use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::id::Tid;
use fated_kernel::ports::{Cpu, HostFiles, Memory, RealTask, Spawn, Stop};
use fated_kernel::process::exec::plan::{Exec, ExecError, ProgramFile};
use std::cell::Cell;
use std::rc::Rc;

/// `PTRACE_EVENT_SECCOMP` and others as `wait` reports them.
pub(crate) const SECCOMP_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_SECCOMP << 8;
pub(crate) const EXEC_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;
pub(crate) const CALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// `PTRACE_EVENT_STOP`: a new tracee, or one that was interrupted.
const EVENT_STOP: i32 = 128;

/// The result of a call that a signal for the real task has interrupted; Linux would make it again.
const INTERRUPTED: std::ops::RangeInclusive<i64> = -516..=-512;

/// The bits of [`Spawn::flags`] that the engine passes on.
const SHAPE: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS;

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

    /// Memory that can't be reached: a bad address, or the task has been killed from outside while it waited. The kernel
    /// knows only the first.
    fn check_short(&self, count: usize, len: usize) {
        if count < len && sys::get_regs(self.tid.get()) == Err(Errno::ESRCH) {
            self.shared.note_killed(self.key.get());
        }
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

    /// Brings the task to the beginning of a call, from wherever it stands. The copy of the registers stays; what the
    /// real ones are doesn't matter any more.
    pub(crate) fn enter(&self) -> Os<()> {
        if self.is_gone() {
            return Err(Errno::ESRCH);
        }
        if self.place.get() == Place::Entry {
            return Ok(());
        }
        let site = self.site.get().or(self.process.gate.get()).ok_or(Errno::ENOSYS)?;
        let tid = self.tid.get();
        sys::set_regs(tid, &Regs { rip: site, rax: STOPPING_CALL, orig_rax: u64::MAX, ..self.regs.get() })?;
        self.dirty.set(true);
        loop {
            sys::cont(tid)?;
            let status = self.wait().ok_or(Errno::ESRCH)?;
            if !libc::WIFSTOPPED(status) {
                return Err(self.died(status));
            }
            match status >> 8 {
                SECCOMP_STOP => {
                    self.place.set(Place::Entry);
                    return Ok(());
                }
                // The instruction isn't there any more; the fault is of the engine's making.
                libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGTRAP if self.site.take().is_some() => {
                    let gate = self.process.gate.get().ok_or(Errno::ENOSYS)?;
                    let regs = Regs { rip: gate, rax: STOPPING_CALL, orig_rax: u64::MAX, ..self.regs.get() };
                    sys::set_regs(tid, &regs)?;
                }
                libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGTRAP => return Err(Errno::ENOSYS),
                _ => {}
            }
        }
    }

    /// Turns the call that the task is at into `call` and lets Linux begin it.
    pub(crate) fn begin(&self, call: Call) -> Os<()> {
        self.enter()?;
        let regs = self.regs.get();
        if self.dirty.get() || call_of(&regs) != call {
            sys::set_regs(self.tid.get(), &with_call(regs, call))?;
            self.dirty.set(true);
        }
        self.shared.count(|stats| stats.natives += 1);
        sys::cont_to_call(self.tid.get())
    }

    /// The call that was begun has ended with a stop: takes its result, and gives the task its registers back.
    pub(crate) fn finish(&self) -> Os<i64> {
        let before = self.regs.get();
        let after = sys::get_regs(self.tid.get())?;
        let regs = Regs {
            rax: after.rax,
            // What the call itself changes: arch_prctl moves these two.
            fs_base: after.fs_base,
            gs_base: after.gs_base,
            ..before
        };
        self.dirty.set(self.dirty.get() || Regs { orig_rax: before.orig_rax, ..after } != regs);
        self.regs.set(regs);
        self.place.set(Place::Elsewhere);
        Ok(after.rax.cast_signed())
    }

    /// Lets Linux carry out `call` in the task's own context.
    pub(crate) fn carry_out(&self, call: Call) -> Os<i64> {
        loop {
            self.begin(call)?;
            loop {
                let status = self.wait().ok_or(Errno::ESRCH)?;
                if !libc::WIFSTOPPED(status) {
                    return Err(self.died(status));
                }
                if status >> 8 == CALL_STOP {
                    break;
                }
                sys::cont_to_call(self.tid.get())?;
            }
            let result = self.finish()?;
            if !INTERRUPTED.contains(&result) {
                return Ok(result);
            }
        }
    }

    fn try_spawn(&self, spawn: &Spawn) -> Os<Rc<dyn RealTask>> {
        let before = self.regs.get();
        let thread = spawn.flags & libc::CLONE_THREAD as u64 != 0;
        let flags = spawn.flags & SHAPE as u64 | (libc::CLONE_PARENT | libc::CLONE_PTRACE) as u64;
        let settls = spawn.flags & libc::CLONE_SETTLS as u64 != 0;
        let args = [flags, spawn.stack.unwrap_or(0), 0, 0, spawn.tls, 0];
        let result = self.carry_out(Call { number: libc::SYS_clone as u64, args })?;
        if let Some(errno) = Errno::of_return(result) {
            return Err(errno);
        }
        let tid = RealTid::try_from(result).map_err(|_| Errno::EAGAIN)?;
        loop {
            let status = sys::wait_on(tid)?;
            if !libc::WIFSTOPPED(status) {
                return Err(Errno::EAGAIN);
            }
            if status >> 16 == EVENT_STOP {
                break;
            }
            sys::cont(tid)?;
        }
        let regs = Regs {
            rax: 0,
            orig_rax: u64::MAX,
            rsp: spawn.stack.unwrap_or(before.rsp),
            fs_base: if settls { spawn.tls } else { before.fs_base },
            ..before
        };
        let process = if thread {
            self.process.add(tid, spawn.tid);
            self.process.clone()
        } else {
            Rc::new(self.process.fork(tid, spawn.tid))
        };
        let child = Rc::new(Tracee::new(self.shared.clone(), process, tid, spawn.tid, regs));
        child.site.set(self.site.get());
        self.shared.add(spawn.tid, child.clone());
        Ok(child)
    }

    /// After an exec, this task is the only one and the leader, whoever was that before.
    pub(crate) fn becomes_leader(&self) {
        let leader = self.process.leader.get();
        self.shared.rename(&self.process, self.key.replace(leader), leader);
        self.tid.set(self.process.tgid);
        self.process.only_leader();
    }

    /// Ends a thread that isn't the last one.
    fn exit_thread(&self) -> Os<()> {
        self.enter()?;
        let tid = self.tid.get();
        let call = Call { number: libc::SYS_exit as u64, args: [0; 6] };
        sys::set_regs(tid, &with_call(self.regs.get(), call))?;
        sys::cont(tid)?;
        process::reap(tid);
        self.process.reaped(tid);
        self.gone.set(Some(libc::SIGKILL));
        Ok(())
    }
}

/// The call that a task is at the beginning of.
fn call_of(regs: &Regs) -> Call {
    Call { number: regs.orig_rax, args: [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] }
}

fn with_call(regs: Regs, call: Call) -> Regs {
    let [rdi, rsi, rdx, r10, r8, r9] = call.args;
    Regs { orig_rax: call.number, rax: call.number, rdi, rsi, rdx, r10, r8, r9, ..regs }
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

impl Memory for Tracee {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        if self.is_gone() {
            return 0;
        }
        let count = memory::read(self.tid.get(), addr, buf);
        self.check_short(count, buf.len());
        count
    }

    fn write(&self, addr: u64, data: &[u8]) -> usize {
        if self.is_gone() {
            return 0;
        }
        let count = memory::write(self.tid.get(), addr, data);
        self.check_short(count, data.len());
        count
    }
}

impl Cpu for Tracee {
    fn regs(&self) -> Regs {
        self.regs.get()
    }

    fn set_regs(&self, regs: &Regs) {
        if *regs != self.regs.get() {
            self.load_regs(*regs, true);
        }
    }

    fn xstate(&self) -> Vec<u8> {
        if self.is_gone() { Vec::new() } else { xstate::get(self.tid.get()).unwrap_or_default() }
    }

    fn set_xstate(&self, image: &[u8]) -> Result<(), Errno> {
        if self.is_gone() {
            return Err(Errno::ESRCH);
        }
        xstate::set(self.tid.get(), image)
    }
}

impl HostFiles for Tracee {
    fn stat(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
        At::new(self.tid.get(), dirfd, path)?.stat(flags.cast_signed() & libc::AT_SYMLINK_NOFOLLOW)
    }

    fn list(&self, fd: i32, _again: bool) -> Result<Listing, Errno> {
        files::list(self.tid.get(), fd)
    }

    fn read_link(&self, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        At::new(self.tid.get(), dirfd, path)?.read_link()
    }

    fn open_program(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
        files::open_program(self.tid.get(), dirfd, path, flags)
    }

    fn proc_file(&self, name: &str) -> Result<Vec<u8>, Errno> {
        if name == "auxv" {
            return Ok(self.process.auxv.borrow().clone());
        }
        files::proc_file(self.tid.get(), name)
    }

    fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        files::proc_link(self.tid.get(), name)
    }
}

impl RealTask for Tracee {
    fn native(&self, call: Call) -> i64 {
        self.carry_out(call).unwrap_or_else(|errno| -i64::from(errno.number()))
    }

    fn pass(&self, _call: Call) -> Option<i64> {
        self.pass.set(true);
        None
    }

    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn RealTask>, Errno> {
        self.try_spawn(spawn)
    }

    fn exec(&self, exec: Exec) -> Result<(), ExecError> {
        self.replace_program(&exec)
    }

    fn exit(&self) {
        if self.is_gone() {
            return;
        }
        self.shared.remove(self.key.get());
        if self.process.alive() <= 1 {
            self.exit_group();
        } else if self.tid.get() == self.process.tgid {
            self.process.park_leader();
            self.gone.set(Some(libc::SIGKILL));
        } else if self.exit_thread().is_err() {
            // A thread that can't even be brought to a call of its own takes its process with it.
            self.exit_group();
        }
    }

    fn exit_group(&self) {
        self.shared.remove_all(&self.process);
        self.process.kill();
    }
}
