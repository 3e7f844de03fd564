//! One simulated host as a value: its state, and what engines exchange with it. How it runs stands in [`run`](crate::run).

mod fast_path;

use crate::config::{Config, Inherited};
use crate::cx::Cx;
use crate::fs::host::known::HostFs;
use crate::fs::locks::Locks;
use crate::fs::mount::Mounts;
use crate::id::{Pid, Tid};
use crate::ipc::futex::state::Futexes;
use crate::journal::Journal;
use crate::journal::console::Recorded;
use crate::net::unix::in_flight::InFlight;
use crate::ports::{Awaited, Console, Trace};
use crate::process::task::{Process, Task};
use crate::process::zombies::Zombies;
use crate::record::{Record, What};
use crate::sched::choice::{Choice, Entropy};
use crate::sched::choose::Chooser;
use crate::sched::run_queue::RunQueue;
use crate::stats::{Counters, Stats};
use crate::time::timers::{Expire, Timers};
use crate::tty::input::Streams;
use crate::tty::terminal::Terminal;
use alloc::{collections::BTreeMap, rc::Rc, string::String, vec::Vec};
use core::cell::{Cell, RefCell};
use fated_wait::{Family, LookupKind};

/// What the engine does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this task until it stops, then call [`Kernel::stopped`].
    Run(Tid),
    /// Nothing goes on before input comes in: block until one of `streams` is ready, then ask again.
    AwaitConsole {
        /// What is waited for, of each stream.
        streams: Vec<Awaited>,
    },
    /// The same, and a task waits for a lock of a file that somebody outside of the run holds: block for a moment at most.
    AwaitOutsider {
        /// As above; may be empty.
        streams: Vec<Awaited>,
    },
    /// Nothing more happens on this host up to the horizon. Only with a horizon.
    Idle {
        /// The next moment at which something happens: a timer expires, or a task that is ready ends its next call. `None`: every
        /// task waits, and no timer is set, so nothing ever happens without an event from outside of the host.
        until: Option<u64>,
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
    /// Its descriptors from 3 on.
    pub inherited: Vec<Inherited>,
    /// Its real soft limit on descriptors.
    pub descriptors: u64,
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
    pub timers: Timers<Rc<dyn Expire<Kernel>>>,
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
    /// What is kept of processes that have ended.
    pub(crate) zombies: Zombies,
    /// Sleepers on futexes.
    pub futexes: RefCell<Futexes<Rc<Task>>>,
    /// Which file system a path belongs to.
    pub mounts: Mounts,
    /// What it knows of real files.
    pub fs: HostFs,
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
    serial: Cell<u64>,
    /// Open file descriptions that the real Linux alone has, so far.
    descriptions: Cell<u64>,
    pub(crate) run: RunState,
    /// See [`Kernel::is_watched`].
    watched: Cell<bool>,
    /// See [`Kernel::notice_once`].
    noticed: RefCell<Vec<String>>,
}

/// How far the run of a host has come. Only [`run`](crate::run) changes it.
#[derive(Debug, Default)]
pub(crate) struct RunState {
    /// The task whose turn it is.
    pub current: RefCell<Option<Cx>>,
    pub first: Cell<Option<Pid>>,
    /// The wait status of the first process, once it has ended.
    pub exit_status: Cell<Option<i32>>,
    /// Once the first process has ended: until when, and for how many more turns, the others may go on.
    pub lingering: Cell<(u64, u64)>,
    /// Why the run can't go on.
    pub broken: RefCell<Option<String>>,
    /// The first process has ended, or something is broken.
    pub ending: Cell<bool>,
    /// The scheduler had no task when it was last asked. It isn't asked again before one wakes, since that may draw from the seed.
    pub idle: Cell<bool>,
    /// The last horizon up to which nothing more happened.
    pub reached: Cell<u64>,
}

/// Within which the seed moves the start of the run: programs seed their own randomness by the fraction of the second.
const EPOCH_SPREAD_NS: u64 = 1_000_000;

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
            zombies: Zombies::default(),
            futexes: RefCell::default(),
            mounts: Mounts::new(config.tmp.as_ref()),
            fs: HostFs::new(&config),
            streams: Streams::new(config.input),
            terminal: Rc::default(),
            rights_in_flight: InFlight::default(),
            locks: Rc::default(),
            stats: Stats::default(),
            tasks: RefCell::default(),
            processes: RefCell::default(),
            last_tid: Cell::new(1),
            ids_in_use: Cell::new(0),
            serial: Cell::new(1000),
            descriptions: Cell::default(),
            run: RunState::default(),
            watched: Cell::new(true),
            noticed: RefCell::default(),
            config,
            console,
            trace,
        })
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

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.stats.counters(self.since_epoch())
    }

    /// The next sixteen bytes for `AT_RANDOM`.
    #[must_use]
    pub fn auxv_random(&self) -> [u8; 16] {
        self.chooser.sixteen(Entropy::Auxv)
    }

    /// The next word for an instruction that draws random numbers (`rdrand`, `rdseed`).
    #[must_use]
    pub fn instruction_random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.chooser.fill(Entropy::Instruction, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Gives the user a line, once in a run.
    pub(crate) fn notice_once(&self, line: String) {
        let mut noticed = self.noticed.borrow_mut();
        if !noticed.contains(&line) {
            noticed.push(line.clone());
            self.trace.notice(line);
        }
    }

    /// Adds to the log, if there is one.
    pub(crate) fn record(&self, task: &Task, what: What) {
        if self.config.log {
            self.trace.record(&Record { time_ns: self.timers.now(), pid: task.process.pid, tid: task.tid.get(), what });
        }
    }
}
