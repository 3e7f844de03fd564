//! The kernel of one host, as its engine sees it: [`Kernel::next`] says which task runs, [`Kernel::stopped`] takes what it did.

mod fast_path;

use crate::config::Config;
use crate::cx::Cx;
use crate::fs::host::Fs;
use crate::fs::locks::Locks;
use crate::fs::mount::Mounts;
use crate::fs::poll;
use crate::id::{Pid, Tid};
use crate::ipc::futex::state::Futexes;
use crate::journal::Journal;
use crate::journal::console::Recorded;
use crate::net::unix::rights::InFlight;
use crate::ports::{Console, RealTask, Stop, Trace};
use crate::process::family::Family;
use crate::process::task::{Process, Task};
use crate::record::What;
use crate::sched::Rest;
use crate::sched::choose::{Choice, Chooser, Entropy};
use crate::sched::run_queue::RunQueue;
use crate::signal::SigInfo;
use crate::stats::{Counters, Stats};
use crate::syscall;
use crate::time::expiry::Expiry;
use crate::time::timers::Timers;
use crate::tty::input::Streams;
use crate::tty::terminal::Terminal;
use alloc::{collections::BTreeMap, format, rc::Rc, string::String, vec::Vec};
use core::cell::{Cell, Ref, RefCell};
use fated_wait::LookupKind;

/// What the engine does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this task until it stops, then tell [`Kernel::stopped`].
    Run(Tid),
    /// All tasks wait and at least one waits for a standard stream: block until one of `streams` is ready, then ask again.
    AwaitConsole {
        /// The stream's number and the `POLL*` bits that are waited for.
        streams: Vec<(i32, u32)>,
    },
    /// The run is over.
    Finished(Ending),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The first process ended with this wait status.
    Exited(i32),
    /// Every task waits for something that can't happen any more; one line per task says for what.
    Deadlock(Vec<String>),
    /// A guest was killed from outside, or the real side failed.
    Broken(String),
    /// The run did something else than the journal said that it obeyed.
    LeftJournal(String),
}

/// A program that was started outside the kernel and becomes its first process.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The path of the program.
    pub exe: Vec<u8>,
    /// Its working directory.
    pub cwd: Vec<u8>,
    /// Its file mode creation mask.
    pub umask: u32,
    /// The user and the groups it runs as.
    pub credentials: crate::process::credentials::Credentials,
}

/// The simulated kernel of one host.
#[derive(Debug)]
pub struct Kernel {
    /// What decides the run.
    pub config: Config,
    /// The standard streams of fated.
    pub console: Rc<dyn Console>,
    /// Takes the log of calls and lines for the user.
    pub trace: Rc<dyn Trace>,
    /// Virtual time, and what happens at a moment of it.
    pub timers: Timers<Expiry>,
    /// Who runs.
    pub scheduler: RunQueue<Task>,
    /// Makes all random decisions.
    pub chooser: Rc<Chooser>,
    /// What the run decides and what comes in, if that is kept.
    pub journal: Rc<Journal>,
    /// How many signals of the user are on their way.
    pub(crate) user_signals: Cell<usize>,
    /// Who is whose child, and who waits for whom.
    pub family: RefCell<Family>,
    /// Sleepers on futexes.
    pub futexes: RefCell<Futexes>,
    /// Which file system a path belongs to.
    pub mounts: Mounts,
    /// What it knows of real files.
    pub fs: Fs,
    /// The standard streams of fated.
    pub streams: Streams,
    /// The terminal that fated runs on.
    pub terminal: Rc<Terminal>,
    /// How many open files are in messages between sockets.
    pub(crate) rights_in_flight: InFlight,
    /// The locks on files.
    pub locks: Rc<Locks>,
    /// Counters.
    pub stats: Stats,
    pub(crate) tasks: RefCell<BTreeMap<Tid, Rc<Task>>>,
    pub(crate) processes: RefCell<BTreeMap<Pid, Rc<Process>>>,
    pub(crate) last_tid: Cell<u32>,
    pub(crate) ids_in_use: Cell<u32>,
    /// Whose turn it is.
    current: RefCell<Option<Cx>>,
    serial: Cell<u64>,
    /// Open file descriptions that the real Linux alone has, so far.
    descriptions: Cell<u64>,
    first: Cell<Option<Pid>>,
    exit_status: Cell<Option<i32>>,
    /// Once the first process has ended: until when, and for how many more turns, the others may go on.
    lingering: Cell<(u64, u64)>,
    broken: RefCell<Option<String>>,
    /// The first process has ended, or something is broken.
    ending: Cell<bool>,
    /// See [`Kernel::is_watched`].
    watched: Cell<bool>,
}

/// Within which the seed moves the start of the run: programs seed their own randomness by the fraction of the second.
const EPOCH_SPREAD_NS: u64 = 1_000_000;
/// How much virtual time the other processes have to end once the first one has.
const LINGER_NS: u64 = 60 * crate::time::timers::SECOND;
/// How many turns they have, for those that never wait.
const LINGER_TURNS: u64 = 500_000;

impl Kernel {
    /// A kernel without processes and without a journal.
    #[must_use]
    pub fn new(config: Config, console: Rc<dyn Console>, trace: Rc<dyn Trace>) -> Rc<Kernel> {
        Kernel::with_journal(config, console, trace, Journal::off())
    }

    /// A kernel without processes.
    #[must_use]
    pub fn with_journal(
        config: Config,
        console: Rc<dyn Console>,
        trace: Rc<dyn Trace>,
        journal: Journal,
    ) -> Rc<Kernel> {
        let journal = Rc::new(journal);
        let console = if journal.is_on() { Rc::new(Recorded::new(console, journal.clone())) } else { console };
        let chooser = Rc::new(Chooser::new(config.seed, journal.clone()));
        let spread = chooser.choose(Choice::Epoch, EPOCH_SPREAD_NS);
        Rc::new(Kernel {
            timers: Timers::new(config.epoch_ns.saturating_add(spread)),
            scheduler: RunQueue::new(config.policy, config.slice_calls, chooser.clone()),
            chooser,
            journal,
            user_signals: Cell::new(0),
            family: RefCell::new(Family::new(if config.wait_by_scan { LookupKind::Scan } else { LookupKind::Index })),
            futexes: RefCell::default(),
            mounts: Mounts::new(),
            fs: Fs::new(&config),
            streams: Streams::default(),
            terminal: Rc::default(),
            rights_in_flight: InFlight::default(),
            locks: Rc::default(),
            stats: Stats::default(),
            tasks: RefCell::default(),
            processes: RefCell::default(),
            last_tid: Cell::new(1),
            ids_in_use: Cell::new(0),
            current: RefCell::default(),
            serial: Cell::new(1000),
            descriptions: Cell::default(),
            first: Cell::new(None),
            exit_status: Cell::new(None),
            lingering: Cell::default(),
            broken: RefCell::default(),
            ending: Cell::new(false),
            watched: Cell::new(true),
            config,
            console,
            trace,
        })
    }

    /// Makes the first process, a child of the kernel's own process 1. Its program has been loaded and has not run yet.
    /// Descriptors 0, 1 and 2 are fated's own streams unless they are regular files or directories.
    pub fn boot(self: &Rc<Self>, boot: &Boot, guest: Rc<dyn RealTask>) -> Tid {
        let task = crate::process::fork::first_task(self, boot, guest);
        self.first.set(Some(task.process.pid));
        self.stats.task();
        self.stats.program();
        task.tid.get()
    }

    /// A number that was not given before: inodes of anonymous objects, open files.
    pub fn next_serial(&self) -> u64 {
        self.serial.replace(self.serial.get() + 1)
    }

    /// A number for an open file description of the real Linux. No guest sees it.
    pub(crate) fn next_description(&self) -> u64 {
        self.descriptions.replace(self.descriptions.get() + 1)
    }

    /// The task `tid`, if it lives.
    #[must_use]
    pub fn task(&self, tid: Tid) -> Option<Rc<Task>> {
        self.tasks.borrow().get(&tid).cloned()
    }

    /// The process `pid`, if it has a living task.
    #[must_use]
    pub fn process(&self, pid: Pid) -> Option<Rc<Process>> {
        self.processes.borrow().get(&pid).cloned()
    }

    /// Decides what happens next.
    pub fn next(self: &Rc<Self>) -> Next {
        if let Some(cx) = &*self.current.borrow()
            && cx.task.passing.take()
        {
            return Next::Run(cx.task.tid.get());
        }
        loop {
            self.set_journal_signal();
            if let Some(ending) = self.ended() {
                return self.finish(ending);
            }
            let Some(task) = self.take_turn() else {
                if self.streams.check(self) {
                    continue;
                }
                // What outlives the first process isn't worth the user's waiting.
                let awaited = self.streams.awaited().filter(|_| self.exit_status.get().is_none());
                // Time stands still while anyone waits for input, but not for those who wait for a stream's end alone.
                const END: u32 = poll::ERR | poll::HUP;
                let input = awaited.as_ref().is_some_and(|streams| streams.iter().any(|&(_, bits)| bits & !END != 0));
                let user_waits = self.user_signals.get() > 0;
                if (!input || user_waits) && self.jump() {
                    continue;
                }
                if awaited.is_some() && self.journal.obeys() && self.journal.lets_in() {
                    continue;
                }
                if let Some(streams) = awaited {
                    return Next::AwaitConsole { streams };
                }
                if self.exit_status.get().is_none() {
                    return self.finish(Ending::Deadlock(self.describe_sleepers()));
                }
                continue;
            };
            self.streams.count_turn(self);
            let cx = Cx { kernel: self.clone(), task };
            self.current.replace(Some(cx.clone()));
            if matches!(cx.task.rest.get(), Rest::Waking(_)) {
                wake_up(&cx);
            }
            if cx.task.rest.get() == Rest::Ready && before_run(&cx) {
                self.set_journal_signal();
                self.watched.set(self.has_to_watch(&cx.task));
                return Next::Run(cx.task.tid.get());
            }
        }
    }

    /// Whether the running task goes straight on behind its call: its turn isn't over, and no signal comes before. This counts
    /// the call, so it is asked once.
    pub(crate) fn runs_on(&self, task: &Task) -> bool {
        if !task.is_undisturbed() || self.ending.get() {
            return false;
        }
        if self.scheduler.slice_over(task) || self.journal.has_failed() {
            task.turn_over.set(true);
            return false;
        }
        self.streams.count_turn(self);
        self.set_journal_signal();
        true
    }

    /// The running task, if it may go on, else the next one.
    fn take_turn(&self) -> Option<Rc<Task>> {
        let current = self.current.borrow_mut().take();
        if let Some(task) = current.map(|cx| cx.task).filter(|task| task.rest.get() == Rest::Ready) {
            if task.halted.get() {
                task.parked.set(true);
            } else if task.turn_over.take() || self.scheduler.slice_over(&task) {
                self.scheduler.push(&task);
            } else {
                return Some(task);
            }
        }
        // Those that have ended or are stopped drop out of the queue here.
        loop {
            let task = self.scheduler.take()?;
            if task.is_gone() {
                continue;
            }
            if !task.halted.get() {
                return Some(task);
            }
            task.parked.set(true);
        }
    }

    /// Whether it is this task's turn.
    pub(crate) fn is_current(&self, task: &Rc<Task>) -> bool {
        self.current.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(&current.task, task))
    }

    /// The task whose turn it is.
    pub(crate) fn running(&self) -> Option<Rc<Task>> {
        self.current.borrow().as_ref().map(|current| current.task.clone())
    }

    /// The task that [`Next::Run`] named, as its calls see it. To be let go of before [`Kernel::next`].
    #[must_use]
    pub fn turn(&self) -> Option<Ref<'_, Cx>> {
        Ref::filter_map(self.current.borrow(), Option::as_ref).ok()
    }

    /// The task that [`Next::Run`] named has stopped.
    pub fn stopped(self: &Rc<Self>, tid: Tid, stop: Stop) {
        let Some(task) = self.task(tid) else { return };
        let cx = Cx { kernel: self.clone(), task };
        match stop {
            Stop::Call(call) => {
                if let Some(value) = syscall::dispatch::enter(&cx, &call) {
                    cx.task.guest.set_result(value);
                }
            }
            Stop::Fault(fault) => {
                cx.task.fault.set((fault.trap, fault.error, fault.addr));
                self.force_signal(&cx.task, SigInfo::fault(fault.signal, fault.code, fault.addr));
            }
            Stop::Killed { signal } => {
                let exe = String::from_utf8_lossy(&cx.process().exe.borrow()).into_owned();
                self.fail(format!(
                    "process {} ({exe}) was killed by signal {signal} from outside of the run",
                    cx.process().pid
                ));
            }
        }
    }

    /// Ends the run because something real went wrong.
    pub fn fail(&self, why: String) {
        self.broken.borrow_mut().get_or_insert(why);
        self.ending.set(true);
        self.watch();
    }

    /// The first process, if it lives.
    pub(crate) fn first_process(&self) -> Option<Rc<Process>> {
        self.first.get().and_then(|pid| self.process(pid))
    }

    /// What rdtsc reads now: a processor of 1 GHz.
    #[must_use]
    pub fn timestamp_counter(self: &Rc<Self>) -> u64 {
        const COST_NS: u64 = 25;
        self.pass_time(COST_NS);
        self.timers.uptime()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.stats.counters(self.timers.now().saturating_sub(self.config.epoch_ns))
    }

    /// The next sixteen bytes for `AT_RANDOM`.
    #[must_use]
    pub fn auxv_random(&self) -> [u8; 16] {
        self.chooser.sixteen(Entropy::Auxv)
    }

    /// Notes the end of a process; with the first one the run's status is known.
    pub(crate) fn process_ended(&self, pid: Pid, status: i32) {
        if self.first.get() == Some(pid) {
            self.exit_status.set(Some(status));
            self.ending.set(true);
            self.watch();
            self.lingering.set((self.timers.now().saturating_add(LINGER_NS), LINGER_TURNS));
        }
    }

    /// The run is over.
    fn finish(self: &Rc<Self>, ending: Ending) -> Next {
        self.kill_all();
        if matches!(ending, Ending::Exited(_) | Ending::Deadlock(_)) {
            self.journal.finish();
        }
        Next::Finished(self.journal.failure().map_or(ending, Ending::LeftJournal))
    }

    fn ended(&self) -> Option<Ending> {
        if let Some(why) = self.journal.failure() {
            return Some(Ending::LeftJournal(why));
        }
        if !self.ending.get() {
            return None;
        }
        if let Some(why) = self.broken.borrow().clone() {
            return Some(Ending::Broken(why));
        }
        let status = self.exit_status.get()?;
        let nothing_left = self.processes.borrow().is_empty();
        let nothing_moves = self.timers.next_at().is_none() && self.scheduler.is_empty() && self.current_is_none();
        if nothing_left || nothing_moves {
            return Some(Ending::Exited(status));
        }
        let (until, turns) = self.lingering.get();
        if self.timers.now() <= until && turns > 0 {
            self.lingering.set((until, turns - 1));
            return None;
        }
        let left = self.processes.borrow().len();
        self.trace.notice(format!("the first process has ended long ago; killed {left} that would not end"));
        Some(Ending::Exited(status))
    }

    fn current_is_none(&self) -> bool {
        self.current.borrow().as_ref().is_none_or(|cx| cx.task.rest.get() != Rest::Ready)
    }

    fn kill_all(self: &Rc<Self>) {
        let processes: Vec<_> = self.processes.borrow().values().cloned().collect();
        for process in processes {
            self.kill_group(&process, crate::signal::nr::KILL);
        }
        self.current.take();
    }

    fn describe_sleepers(&self) -> Vec<String> {
        let tasks = self.tasks.borrow();
        let describe = |task: &Rc<Task>| {
            let exe = String::from_utf8_lossy(&task.process.exe.borrow()).into_owned();
            let stopped = if task.halted.get() { ", stopped by a signal" } else { "" };
            format!("task {} of {exe} in {}{stopped}", task.tid.get(), syscall::log::call_line(task.call.get()))
        };
        tasks.values().map(describe).collect()
    }

    /// Tells the log.
    pub(crate) fn record(&self, task: &Task, what: What) {
        if self.config.log {
            self.trace.record(&crate::record::Record {
                time_ns: self.timers.now(),
                pid: task.process.pid,
                tid: task.tid.get(),
                what,
            });
        }
    }
}

/// A task has woken in a call: goes on with that.
fn wake_up(cx: &Cx) {
    let work = cx.task.work.borrow_mut().take();
    let Some(work) = work else {
        cx.task.rest.set(Rest::Ready);
        return;
    };
    if let Some(value) = syscall::dispatch::go_on(cx, work) {
        cx.task.guest.set_result(value);
    }
}

/// What Linux does on the way to guest code: a new task writes its id, and signals are taken; `false` if they ended or stopped
/// the task.
fn before_run(cx: &Cx) -> bool {
    let place = cx.task.set_child_tid.take();
    if place != 0 {
        // Linux doesn't mind a bad pointer either.
        let _ = cx.write_u32(place, cx.task.tid.get().get());
    }
    if cx.task.looks_at_signals() {
        cx.kernel.deliver(cx);
    }
    cx.task.rest.get() == Rest::Ready && !cx.task.halted.get()
}
