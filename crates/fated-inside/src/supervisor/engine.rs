//! The run as the supervisor drives it: launch, requests, horizon, end.

use std::cell::Cell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use fated_engine::sensitive::cache::Cache;
use fated_engine::signals::{self, Signals};
use fated_engine::{Error, Launch, OUTSIDER_MS, OneCpu, Progress, Stream, computes, limits, poll_set};
use fated_kernel::config::{Config, Inherited};
use fated_kernel::errno::Errno;
use fated_kernel::host::Ending;
use fated_kernel::journal::Mode;
use fated_kernel::ports::{Awaited, Console, FifoRequest, Store, Trace};
use fated_kernel::stats::Counters;

use super::blob::Blob;
use super::init::Init;
use super::shared::Shared;
use super::spin::Spin;
use super::{requirements, sys};
use crate::protocol::bytes::{Reader, Writer};
use crate::protocol::control::{FOR_OUTSIDER, GIVE_UP, NEVER, fifo, op};
use crate::protocol::end::{self, End};
use crate::protocol::layout::{ARENA_FD, BASES, BLOB_FD, BLOCK_SIZE, BUFFER_SIZE, NEAR, TEXT_FD, place_above};
use crate::protocol::plan::{Plan, file};
use crate::protocol::{record, stat};

/// The remedy where a step of the start fails.
fn remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::EAGAIN => "; raise the limit on processes (ulimit -u)",
        _ => "; --engine ptrace may work here",
    }
}

fn start(step: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Start { step: step.into(), errno, remedy: remedy(errno) }
}

/// The descriptors of the first program, for the plan.
fn descriptors(launch: &Launch) -> Vec<(Inherited, u8)> {
    let file = |stream| match stream {
        Stream::Inherited => file::INHERITED,
        Stream::Null => file::NULL,
        Stream::Pipe => file::PIPE,
    };
    launch.descriptors().iter().map(|it| (Inherited { fd: it.fd, flags: it.flags }, file(it.file))).collect()
}

/// How often the supervisor checks that someone is left to make requests.
const TICK: Duration = Duration::from_millis(100);
/// How long it waits for a run that it has given up, in steps of [`STEP`].
const PATIENCE: u32 = 200;
/// For how many ticks the user's signal waits for a guest that computes.
const PATIENCE_TICKS: u32 = 10;
const STEP: Duration = Duration::from_millis(5);
/// After how many idle ticks the blob's file gets its debug information.
const SYMBOLS_AFTER: u32 = 10;

/// What a run has cost.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// How often guests entered the kernel.
    pub stops: u64,
    /// `rdtsc`, `rdtscp` and `cpuid` answered; included in `stops`.
    pub traps: u64,
    /// The kernel's counters. Empty if the run broke.
    pub kernel: Counters,
}

/// The outcome of a request.
enum Served {
    Answered,
    /// The host waits for a horizon. Until this moment nothing happens by itself.
    Idle(Option<u64>),
    End(End),
}

/// A run: a program and all its descendants.
pub struct Engine {
    shared: Shared,
    console: Rc<dyn Console>,
    trace: Rc<dyn Trace>,
    store: Option<Rc<dyn Store>>,
    blob: Blob,
    init: Init,
    launch: Launch,
    signals: Signals,
    counters: Counters,
    spin: Spin,
    epoch_ns: u64,
    cache: Cache,
    /// The host waits for a horizon.
    idle: bool,
    /// The guests' progress and the signals they haven't taken, and for how many ticks both were the same.
    not_taken: Cell<((u64, u64), u32)>,
    /// How many ticks passed without a request.
    ticks: Cell<u32>,
    _cpu: OneCpu,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("launch", &self.launch).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the blob, which creates the kernel and loads the program. [`Engine::run`] reports what fails in it.
    ///
    /// # Errors
    /// This machine doesn't let the engine work.
    pub fn launch(
        launch: &Launch,
        config: &Config,
        console: Rc<dyn Console>,
        trace: Rc<dyn Trace>,
    ) -> Result<Engine, Error> {
        Engine::launch_with_journal(launch, config, console, trace, None)
    }

    /// The same, with a journal.
    ///
    /// # Errors
    /// This machine doesn't let the engine work.
    pub fn launch_with_journal(
        launch: &Launch,
        config: &Config,
        console: Rc<dyn Console>,
        trace: Rc<dyn Trace>,
        journal: Option<(Rc<dyn Store>, Mode)>,
    ) -> Result<Engine, Error> {
        launch.check()?;
        requirements::check()?;
        let arena = sys::memfd(c"fated-arena").map_err(start("make the arena"))?;
        arena.set_len(BLOCK_SIZE).map_err(|_| start("size the arena")(sys::last()))?;
        let shared = Shared::map(&arena).map_err(start("map the arena"))?;
        let blob = Blob::new().map_err(start("make the kernel's file"))?;

        let cache = Cache::open(launch.cache.as_deref());
        let bytes = |text: &OsString| text.as_bytes().to_vec();
        let plan = Plan {
            config: config.clone(),
            argv: launch.words().map(bytes).collect(),
            candidates: launch.candidates(),
            env: launch.variables(),
            cwd: launch.cwd.as_ref().map(|cwd| cwd.as_os_str().as_bytes().to_vec()),
            descriptors: descriptors(launch),
            rewrite: launch.rewrite,
            cpuid_faulting: launch.hides_processor(),
            sites: cache.load(),
            journal: journal.as_ref().map(|(_, mode)| *mode),
        };
        let mut writer = Writer::default();
        plan.write(&mut writer);
        if !shared.put(&writer.0) {
            return Err(start("pass arguments and environment to the guest")(Errno::E2BIG));
        }
        shared.control().len.store(writer.0.len() as u64, SeqCst);
        shared.control().args[0].store(u64::from(launch.cpus), SeqCst);
        shared.control().args[1].store(u64::from(std::process::id()), SeqCst);

        let cpu = OneCpu::stay(launch.cpu, &*trace)?;
        let signals = Signals::install();
        // They are out of the way of what guests inherit.
        let near = launch.inherited.iter().any(|it| it.fd as u64 >= NEAR);
        let place = if near { place_above(limits::descriptors()).unwrap_or_default() } else { 0 };
        shared.control().place.store(place as u32, SeqCst);
        let at = |fd: i32| fd - TEXT_FD + BASES[place];
        let files = [(&blob.file, at(BLOB_FD)), (&arena, at(ARENA_FD)), (blob.text(), at(TEXT_FD))];
        let init = Init::start(files, place).map_err(start("start the first process"))?;
        let (launch, counters, ticks) = (launch.clone(), Counters::default(), Cell::new(0));
        let store = journal.map(|(store, _)| store);
        Ok(Engine {
            shared,
            console,
            trace,
            store,
            blob,
            init,
            launch,
            signals,
            counters,
            spin: Spin::default(),
            epoch_ns: config.epoch_ns,
            cache,
            idle: false,
            not_taken: Cell::default(),
            ticks,
            _cpu: cpu,
        })
    }

    /// Serves the run to its end.
    ///
    /// # Errors
    /// The program can't be started, a guest spins ([`Error::Spins`]), or the user has ended the run
    /// ([`Error::Interrupted`]).
    pub fn run(&mut self) -> Result<Ending, Error> {
        loop {
            if let Progress::Ended(ending) = self.run_until(None)? {
                return Ok(ending);
            }
        }
    }

    /// Serves the run to its end, or until nothing more happens up to the horizon
    /// ([`Kernel::run_until`](fated_kernel::host::Kernel::run_until)). Several engines of one thread can be driven by turns.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_until(&mut self, horizon: Option<u64>) -> Result<Progress, Error> {
        self.signals.tick_every(TICK).map_err(start("set a timer"))?;
        self.shared.control().horizon.store(horizon.unwrap_or(NEVER), SeqCst);
        if std::mem::take(&mut self.idle) {
            self.answer(0);
        }
        let mut idle = false;
        loop {
            if let Some(signal) = signals::fatal() {
                self.give_up();
                return Err(Error::Interrupted { signal });
            }
            let control = self.shared.control();
            if control.request.load(SeqCst) == 1 {
                match self.serve() {
                    Served::Answered => continue,
                    Served::Idle(until) => {
                        self.idle = true;
                        return Ok(Progress::Idle { until });
                    }
                    Served::End(end) => return self.ended(end).map(Progress::Ended),
                }
            }
            self.forward_signals();
            if let Some(real) = self.dead_guest(idle) {
                let why = format!("a guest (process {real} of this machine) was killed from outside of the run");
                return Ok(Progress::Ended(Ending::Broken(why)));
            }
            if let Some(status) = self.init.ended() {
                let why = format!("the first process ended before the run did ({status})");
                return Ok(Progress::Ended(Ending::Broken(why)));
            }
            self.spin.follow(self.shared.control());
            if let Some(limit) = self.launch.spin_limit
                && self.spin.lasts(limit)
            {
                return self.spins(limit).map(Progress::Ended);
            }
            if let Some(signal) = self.is_not_taken() {
                self.give_up();
                return Err(Error::Interrupted { signal });
            }
            if let Some(program) = self.spin.is_notable() {
                let control = self.shared.control();
                let now = self.shared.word(control.clock.load(SeqCst));
                let since = now.map(|now| now.saturating_sub(self.epoch_ns));
                self.trace.notice(computes(control.task.load(SeqCst), &program, since));
            }
            sys::futex_wait(&self.shared.control().request, 0, TICK);
            idle = self.shared.control().request.load(SeqCst) == 0;
            if idle {
                self.count_tick();
            }
        }
    }

    /// The user's signal that no guest has taken for some time, since the one that runs computes.
    fn is_not_taken(&self) -> Option<i32> {
        let control = self.shared.control();
        let asked = control.asked.load(SeqCst) & !GIVE_UP;
        let now = (control.stops.load(SeqCst), asked);
        let (before, ticks) = self.not_taken.get();
        let ticks = if asked != 0 && before == now { ticks + 1 } else { 0 };
        self.not_taken.set((now, ticks));
        (ticks >= PATIENCE_TICKS).then_some(asked.trailing_zeros() as i32)
    }

    /// Counts a tick without a request.
    fn count_tick(&self) {
        self.ticks.set(self.ticks.get().saturating_add(1));
        if self.ticks.get() == SYMBOLS_AFTER {
            self.blob.add_symbols();
        }
    }

    /// The pid of a guest that died unexpectedly. During an exec its death doesn't wake the first process, so this
    /// checks the process that runs, if there has been no request for a while.
    fn dead_guest(&self, idle: bool) -> Option<u32> {
        let control = self.shared.control();
        let (died, running) = (control.died.load(SeqCst), control.running.load(SeqCst));
        if died != 0 {
            return Some(died);
        }
        let is_gone = idle && running != 0 && sys::has_ended(running);
        // A process that exits as it should has given up its turn before.
        (is_gone && control.running.load(SeqCst) == running).then_some(running)
    }

    /// What the run has cost.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let control = self.shared.control();
        Stats { stops: control.stops.load(SeqCst), traps: control.traps.load(SeqCst), kernel: self.counters.clone() }
    }

    /// Puts the user's signals where the kernel looks for them.
    fn forward_signals(&self) {
        while let Some(signal) = self.signals.next() {
            self.shared.control().asked.fetch_or(1 << signal, SeqCst);
        }
    }

    /// Ends the run of a task that has used up its time without a call.
    fn spins(&mut self, limit: Duration) -> Result<Ending, Error> {
        match self.give_up() {
            Some(End::GivenUp(Some(tid), program, address)) => Err(Error::Spins { tid, program, address, limit }),
            Some(end) => self.ended(end),
            None => {
                let why =
                    format!("a guest has run for {} s without a system call, and can't be stopped", limit.as_secs());
                Ok(Ending::Broken(why))
            }
        }
    }

    /// Asks the guest that runs to end the run. Returns how it ended; `None` if there is no answer.
    fn give_up(&mut self) -> Option<End> {
        self.shared.control().asked.fetch_or(GIVE_UP, SeqCst);
        for _ in 0..PATIENCE {
            let control = self.shared.control();
            if control.request.load(SeqCst) == 1 {
                match self.serve() {
                    Served::Answered => {}
                    // It checks before it runs a task.
                    Served::Idle(_) => self.answer(0),
                    Served::End(end) => return Some(end),
                }
                continue;
            }
            // A signal makes a guest that is busy with its program check. It fails if the process is gone.
            // Before a first task runs there is none to ask, and 0 would name fated's own process group.
            match control.running.load(SeqCst) as i32 {
                0 => {}
                running => drop(sys::kill(running, libc::SIGSYS)),
            }
            sys::futex_wait(&control.request, 0, STEP);
        }
        None
    }

    fn ended(&self, end: End) -> Result<Ending, Error> {
        match end {
            End::Exited(status) => Ok(Ending::Exited(status)),
            End::Deadlock(tasks) => Ok(Ending::Deadlock(tasks)),
            End::Broken(why) => Ok(Ending::Broken(why)),
            End::LeftJournal(why) => Ok(Ending::LeftJournal(why)),
            End::NoProgram(why) => Err(self.launch.not_run(why)),
            End::NoDirectory(errno) => Err(self.launch.not_entered(errno)),
            End::NoStart(step, errno) => Err(Error::Start { step: step.into(), errno, remedy: remedy(errno) }),
            End::GivenUp(..) => Ok(Ending::Broken("the run was given up without a request".into())),
        }
    }

    /// Serves the pending request, unless it is the last one or waits for a horizon.
    fn serve(&mut self) -> Served {
        let control = self.shared.control();
        let number = control.op.load(SeqCst);
        let [first, argument] = [0, 1].map(|i| control.args[i].load(SeqCst));
        let fd = first as i32;
        let mut data = self.shared.get(control.len.load(SeqCst));
        let errno = |errno: Errno| -i64::from(errno.number());
        let answer = match number {
            op::READ => {
                let mut bytes = vec![0; argument.min(BUFFER_SIZE) as usize];
                self.console.read(fd, &mut bytes).map_or_else(errno, |len| {
                    self.shared.put(&bytes[..len]);
                    len as i64
                })
            }
            op::WRITE => self.console.write(fd, &data).map_or_else(errno, |len| len as i64),
            op::POLL => i64::from(self.console.poll(fd, argument)),
            op::STAT => self.console.stat(fd).map_or_else(errno, |stat| {
                let mut writer = Writer::default();
                stat::write(&stat, &mut writer);
                self.shared.put(&writer.0);
                writer.0.len() as i64
            }),
            op::IOCTL => {
                let result = self.console.ioctl(fd, argument as u32, &mut data);
                self.shared.put(&data);
                result.unwrap_or_else(errno)
            }
            op::FIFO => {
                let request = match argument {
                    fifo::TAKE => FifoRequest::Take,
                    fifo::CLOSE => FifoRequest::Close,
                    kind => FifoRequest::Await { path: &data, writes: kind == fifo::AWAIT_READER },
                };
                i64::from(self.console.fifo(fd, &request))
            }
            op::CALLS => {
                let mut reader = Reader(&data);
                while let Some(record) = record::read(&mut reader) {
                    self.trace.record(&record);
                }
                0
            }
            op::NOTICE => {
                self.trace.notice(String::from_utf8_lossy(&data).into_owned());
                0
            }
            op::AWAIT => {
                let limit = if first == FOR_OUTSIDER { OUTSIDER_MS } else { TICK.as_millis() as i32 };
                let streams = Reader(&data).list(|from| Awaited {
                    stream: from.number() as i32,
                    bits: from.number() as u32,
                    want: from.number(),
                });
                self.await_streams(&streams, limit);
                // Who waits doesn't compute.
                self.spin = Spin::default();
                0
            }
            op::JOURNAL => {
                self.store.iter().for_each(|store| store.append(&data));
                0
            }
            op::OBEY => {
                let piece = self.store.as_ref().map(|store| store.more()).unwrap_or_default();
                if self.shared.put(&piece) { piece.len() as i64 } else { errno(Errno::E2BIG) }
            }
            op::FINISHED => {
                let mut reader = Reader(&data);
                let end = End::read(&mut reader);
                self.counters = end::read_counters(&mut reader);
                self.cache.save(&reader.bytes());
                return Served::End(end);
            }
            op::IDLE if argument == control.horizon.load(SeqCst) => {
                let until = control.args[0].load(SeqCst);
                return Served::Idle((until != NEVER).then_some(until));
            }
            // The horizon has changed already.
            op::IDLE => 0,
            number => {
                return Served::End(End::Broken(format!(
                    "a guest has made request {number}, which doesn't exist; its arena is damaged"
                )));
            }
        };
        self.answer(answer);
        Served::Answered
    }

    /// Answers the pending request.
    fn answer(&self, answer: i64) {
        let control = self.shared.control();
        control.answer.store(answer as u64, SeqCst);
        // A task that waits for a stream must see them at once.
        self.forward_signals();
        control.request.store(0, SeqCst);
        sys::futex_wake(&control.request);
    }

    /// Blocks until one of the streams is ready or the time is over. The kernel checks by itself which it was.
    fn await_streams(&self, streams: &[Awaited], limit_ms: i32) {
        if streams.iter().any(|it| self.console.poll(it.stream, it.want) & it.bits != 0) {
            return;
        }
        let mut fds = poll_set(streams);
        // EINTR is expected; nothing else can fail.
        if sys::poll(&mut fds, limit_ms).unwrap_or(0) == 0 {
            self.count_tick();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The first process exits after all guests.
        let control = self.shared.control();
        control.over.store(1, SeqCst);
        sys::futex_wake(&control.deaths);
        self.init.end();
    }
}
