//! The engine's loop: ask the kernel what is next, run a task until it stops, hand the stop to the kernel.
//!
//! Invariant: one task runs at a time, and all others are stopped.

use crate::driver::Driver;
use crate::launch::{self, Texts};
use crate::process::Process;
use crate::shared::{Shared, Stats};
use crate::sys;
use crate::tracee::{Place, Ran, Tracee};
use crate::trap_state::TrapState;
use fated_engine::sensitive::cache::Cache;
use fated_engine::signals::{self, Signals};
use fated_engine::{Error, Launch, OUTSIDER_MS, OneCpu, Progress, limits, poll_set, start};
use fated_kernel::config::Inherited;
use fated_kernel::errno::Errno;
use fated_kernel::host::{Boot, Ending, Next};
use fated_kernel::id::Tid;
use fated_kernel::ports::{Awaited, Console, HostFiles, Memory, Stop, Trace};
use fated_kernel::process::credentials::Credentials;
use fated_kernel::process::exec::plan::Exec;
use fated_kernel::process::exec::planner;
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;
use std::time::Duration;

/// A run of a program and its descendants, on this thread.
pub struct Engine {
    driver: Box<dyn Driver>,
    shared: Rc<Shared>,
    signals: Signals,
    launch: Launch,
    cache: Cache,
    _cpu: OneCpu,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("launch", &self.launch).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts a program, stopped before its first instruction, and boots the kernel with it. This thread stays on the CPU of
    /// its guests until the engine is dropped.
    ///
    /// # Errors
    /// The program can't be started, or this machine doesn't let the engine work.
    pub fn launch(
        launch: &Launch,
        driver: impl Driver + 'static,
        console: Rc<dyn Console>,
        trace: Rc<dyn Trace>,
    ) -> Result<Engine, Error> {
        let cpu = OneCpu::stay(launch.cpu, &*trace)?;
        let cache = Cache::open(launch.cache.as_deref());
        let engine = Engine {
            driver: Box::new(driver),
            shared: Rc::new(Shared::new(launch, &cache.load(), console, trace)),
            signals: Signals::install(),
            launch: launch.clone(),
            cache,
            _cpu: cpu,
        };
        engine.signals.tick_every(engine.tick()).map_err(start("set a timer"))?;
        // If the user ends the run, one of the steps fails.
        engine.boot().map_err(|error| signals::fatal().map_or(error, |signal| Error::Interrupted { signal }))?;
        Ok(engine)
    }

    /// Starts the first program and hands its task to the kernel.
    fn boot(&self) -> Result<(), Error> {
        // The kernel chooses the id when it boots.
        let unnamed = Tid::new(1).ok_or_else(|| start("name the first task")(Errno::EINVAL))?;
        let (tid, texts) = launch::start_child(&self.launch)?;
        let process = Rc::new(Process::new(tid, unnamed));
        self.start_program(&process, &texts).inspect_err(|_| process.kill())
    }

    /// Executes the first program in the child, which still runs fated's image.
    fn start_program(&self, process: &Rc<Process>, texts: &Texts) -> Result<(), Error> {
        let (tid, unnamed) = (process.tgid, process.leader.get());
        let regs = sys::get_regs(tid).map_err(start("read the first guest's registers"))?;
        let guest = Rc::new(Tracee::new(self.shared.clone(), process.clone(), tid, unnamed, regs));
        guest.place.set(Place::Entry);
        if guest.read(regs.rsp, &mut [0]) != 1 {
            let remedy = "; permit process_vm_readv and process_vm_writev (containers: --cap-add SYS_PTRACE)";
            return Err(Error::Start { step: "read a guest's memory".into(), errno: Errno::EPERM, remedy });
        }
        let argv: Vec<_> = self.launch.words().map(|word| word.as_bytes().to_vec()).collect();
        let not_run = |why| self.launch.not_run(why);
        let first =
            planner::first(&*guest, &self.launch.candidates(), &argv, &self.launch.variables()).map_err(not_run)?;
        let request = texts.request(&first);
        let exec = Exec { plan: first.plan, request, random: self.driver.auxv_random() };
        guest.replace_program(&exec).map_err(|error| not_run(error.into()))?;
        let link = |name| guest.proc_link(name).map_err(start("look at the new program"));
        let (uid, gid, groups) = sys::credentials().map_err(start("ask who fated is"))?;
        let boot = Boot {
            exe: link("exe")?,
            cwd: link("cwd")?,
            umask: crate::files::umask(tid).map_err(start("look at the new program"))?,
            credentials: Credentials::new(uid, gid, groups),
            inherited: self.launch.inherited.iter().map(|it| Inherited { fd: it.fd, flags: it.flags }).collect(),
            descriptors: limits::descriptors(),
        };
        let key = self.driver.boot(&boot, guest.clone());
        guest.key.set(key);
        process.rename_leader(key);
        self.shared.add(key, guest);
        Ok(())
    }

    /// The interval at which the engine checks whether the user ends the run and whether a task spins.
    fn tick(&self) -> Duration {
        const LONGEST: Duration = Duration::from_millis(250);
        let tick = self.launch.spin_limit.map_or(LONGEST, |limit| (limit / 8).min(LONGEST));
        tick.max(Duration::from_millis(1))
    }

    /// Drives the run to its end.
    ///
    /// # Errors
    /// A guest spins ([`Error::Spins`]), or the user has ended the run ([`Error::Interrupted`]).
    pub fn run(&mut self) -> Result<Ending, Error> {
        loop {
            if let Progress::Ended(ending) = self.run_until(None)? {
                return Ok(ending);
            }
        }
    }

    /// Drives the run to its end, or until nothing more happens up to the horizon ([`fated_kernel::host::Kernel::run_until`]). Several engines of one
    /// thread can be driven by turns.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_until(&mut self, horizon: Option<u64>) -> Result<Progress, Error> {
        let traps = TrapState::new();
        let mut current: Option<Rc<Tracee>> = None;
        loop {
            if let Some(signal) = signals::fatal() {
                return Err(Error::Interrupted { signal });
            }
            while let Some(signal) = self.signals.next() {
                self.driver.interrupt(signal);
            }
            let next = self.driver.run_until(horizon);
            if let Some(tid) = self.shared.take_killed() {
                // The kernel has taken the failed access for a bad address, so its answer doesn't count.
                return match signals::fatal() {
                    Some(signal) => Err(Error::Interrupted { signal }),
                    None => {
                        let why = format!("process {tid} was killed by signal 9 from outside of the run");
                        Ok(Progress::Ended(Ending::Broken(why)))
                    }
                };
            }
            match next {
                Next::Run(tid) => {
                    if current.as_ref().is_none_or(|task| task.key.get() != tid || task.is_gone()) {
                        current = self.shared.task(tid);
                    }
                    let Some(task) = &current else { return Err(Error::NoTask { tid }) };
                    traps.match_guests(self.shared.traps_cpuid);
                    match task.run(&*self.driver) {
                        Ran::Stopped(stop) => {
                            if let (Stop::Killed { .. }, Some(signal)) = (stop, signals::fatal()) {
                                return Err(Error::Interrupted { signal });
                            }
                            self.driver.stopped(tid, stop);
                        }
                        Ran::AtHorizon => {}
                        Ran::Spun { address } => return Err(self.spins(tid, task, address)),
                    }
                }
                Next::AwaitConsole { streams } => self.await_console(&streams, -1),
                Next::AwaitOutsider { streams } => self.await_console(&streams, OUTSIDER_MS),
                Next::Idle { until } => return Ok(Progress::Idle { until }),
                Next::Finished(ending) => return Ok(Progress::Ended(ending)),
            }
        }
    }

    /// The costs of the run so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn spins(&self, tid: Tid, task: &Tracee, address: u64) -> Error {
        let program = task.proc_link("exe").unwrap_or_else(|_| b"a program".to_vec());
        let program = String::from_utf8_lossy(&program).into_owned();
        Error::Spins { tid, program, address, limit: self.launch.spin_limit.unwrap_or_default() }
    }

    /// Blocks until one of the streams is ready, a signal or tick arrives, or the time is over. The kernel finds out which.
    fn await_console(&self, streams: &[Awaited], timeout_ms: i32) {
        if streams.iter().any(|it| self.shared.console.poll(it.stream, it.want) & it.bits != 0) {
            return;
        }
        let mut fds = poll_set(streams);
        // The only possible error is EINTR, which ends the wait as intended.
        let _ = sys::poll(&mut fds, timeout_ms);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.kill_all();
        self.cache.save(&self.shared.sites.borrow().found());
    }
}
