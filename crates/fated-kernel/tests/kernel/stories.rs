//! Random stories, told by an engine that asks what is next after each call and by one that lets a call return straight to its
//! guest: what happens is the same, and when, and to whom.

use crate::world::{BASE, World, config, first};
use fated_kernel::arch::{Call, Regs};
use fated_kernel::config::{Config, Policy};
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::host::{Ending, Kernel, Next};
use fated_kernel::id::Tid;
use fated_kernel::journal::Journal;
use fated_kernel::ports::{Console, Stop, Trace};
use fated_kernel::record::Record;
use fated_kernel::sched::rng::Rng;
use fated_kernel::stats::Counters;
use linux_raw_sys::general as nr;
use std::cell::RefCell;
use std::rc::Rc;

/// How an engine drives the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Engine {
    /// `stopped`, then `next`.
    Asks,
    /// `answer`, and `next` only if that is to decide.
    Answers,
}

/// What is compared of two stories.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Who ran, when, with which registers, and what it did.
    pub turns: Vec<(Tid, u64, Regs, Call)>,
    stamps: Vec<u64>,
    log: Vec<Record>,
    natives: Vec<Call>,
    counters: Counters,
    pub ending: Option<Ending>,
}

/// Input that comes byte by byte.
#[derive(Debug, Default)]
struct Witness(RefCell<Vec<Record>>);

impl Console for Witness {
    fn read(&self, _fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        buf[..1].fill(b'x');
        Ok(1)
    }
    fn write(&self, _fd: i32, data: &[u8]) -> Result<usize, Errno> {
        Ok(data.len())
    }
    fn poll(&self, _fd: i32, _want: u64) -> u32 {
        fated_kernel::fs::poll::IN
    }
    fn stat(&self, _fd: i32) -> Result<FileStat, Errno> {
        const PIPE: u32 = 0o010_600;
        Ok(FileStat { mode: PIPE, ..FileStat::default() })
    }
    fn ioctl(&self, _fd: i32, _request: u32, _arg: &mut [u8]) -> Result<i64, Errno> {
        Err(Errno::ENOTTY)
    }
}

impl Trace for Witness {
    fn record(&self, record: &Record) {
        self.0.borrow_mut().push(record.clone());
    }
    fn notice(&self, _line: String) {}
}

const STACK: u64 = BASE + 0x8000;
const WORDS: u64 = BASE + 0x100;
const PATH: u64 = BASE + 0x200;
const POLLS: u64 = BASE + 0x300;
const ACTIONS: u64 = BASE + 0x400;
const OUT: u64 = BASE + 0x1000;

/// What every guest finds in its memory: times, paths, what to poll, what to do about signals.
fn furnish(world: &World) {
    let write = |addr, words: &[u64]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        world.write(first(), addr, &bytes);
    };
    write(WORDS, &[0, 5000, 0, 20_000, 0, 5000, 0, 20_000]);
    write(WORDS + 0x80, &[0, 5, 0, 20]);
    world.write(first(), PATH, b"/home/file\0");
    for (at, fd) in [3u8, 4, 5, 99].into_iter().enumerate() {
        world.write(first(), POLLS + 8 * at as u64, &[fd, 0, 0, 0, 5, 0, 0, 0]);
    }
    const RESTORER: u64 = 0x0400_0000;
    const RESTART: u64 = 0x1000_0000;
    write(ACTIONS, &[0x40_0000, RESTORER | RESTART, 0x40_1000, 0]);
    write(ACTIONS + 32, &[0x40_0000, RESTORER, 0x40_1000, 1 << 9]);
    write(ACTIONS + 64, &[1, 0, 0, 0]);
    write(ACTIONS + 96, &[0, 0, 0, 0]);
    world.set_stack(first(), STACK);
}

/// The signals that the first process handles to begin with.
const HANDLED: [u64; 5] = [10, 12, 14, 26, 27];

/// The next call of whoever has the turn.
fn invent(rng: &Rng) -> Call {
    const SIGNALS: [u64; 8] = [0, 17, 18, 10, 12, 19, 20, 15];
    const THREAD: u64 = 0x50f00;
    let any = |bound| rng.below(bound);
    let fd = || match any(8) {
        0 => 0,
        1 => 99,
        _ => 3 + any(4),
    };
    let signal = || SIGNALS[any(if any(16) == 0 { 8 } else { 5 }) as usize];
    let (number, args): (u32, Vec<u64>) = match any(44) {
        0..4 => (nr::__NR_getppid, vec![]),
        4..6 => (nr::__NR_clock_gettime, vec![any(12), OUT]),
        6 => (nr::__NR_pipe2, vec![OUT, if any(4) == 0 { 0 } else { 0o4000 }]),
        7 => (nr::__NR_pipe2, vec![OUT, 0o4000]),
        8..11 => (nr::__NR_read, vec![fd(), OUT, any(200)]),
        11..14 => (nr::__NR_write, vec![fd(), OUT, any(5000)]),
        14 => (nr::__NR_close, vec![fd()]),
        15..17 => (nr::__NR_lseek, vec![fd(), any(9), 0]),
        17..19 => (nr::__NR_madvise, vec![any(9) << 12, 4096, 4]),
        19 => (nr::__NR_rt_sigprocmask, vec![any(3), WORDS + 8 * any(4), OUT, 8]),
        20 => (nr::__NR_rt_sigaction, vec![[10, 12, 17, 14][any(4) as usize], ACTIONS + 32 * any(3), OUT, 8]),
        21 => (nr::__NR_kill, vec![2 + any(4), signal()]),
        22 => (nr::__NR_tkill, vec![2 + any(6), signal()]),
        23..25 => (nr::__NR_futex, vec![OUT + 0x800, 128, 0, if any(16) == 0 { 0 } else { WORDS + 16 * any(2) }]),
        25..27 => (nr::__NR_futex, vec![OUT + 0x800, 129, any(3)]),
        27 => (nr::__NR_nanosleep, vec![WORDS + 16 * any(2), OUT]),
        28..30 => (nr::__NR_poll, vec![POLLS, any(5), if any(16) == 0 { u64::MAX } else { any(2) }]),
        30 => (nr::__NR_ppoll, vec![POLLS, any(4), WORDS, WORDS + 8, 8]),
        31 => (nr::__NR_fork, vec![]),
        32 => (nr::__NR_clone, vec![THREAD, STACK, 0, 0, 0]),
        33..35 => (nr::__NR_wait4, vec![u64::MAX, OUT, any(8), 0]),
        35 if any(4) == 0 => (nr::__NR_exit, vec![any(3)]),
        36 if any(6) == 0 => (nr::__NR_exit_group, vec![any(3)]),
        37 => (nr::__NR_setitimer, vec![any(3), WORDS + 0x80, 0]),
        38 => (nr::__NR_sched_yield, vec![]),
        39 => (nr::__NR_stat, vec![PATH, OUT]),
        40 => (nr::__NR_open, vec![PATH, 0]),
        41 => (nr::__NR_epoll_create1, vec![0]),
        42 if any(12) == 0 => (nr::__NR_rt_sigsuspend, vec![WORDS + 8 * any(4), 8]),
        43 => (nr::__NR_restart_syscall, vec![]),
        _ => (nr::__NR_getpid, vec![]),
    };
    call(number, &args)
}

fn call(number: u32, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { number: number.into(), args: all }
}

/// A story that is being told.
pub struct Story {
    pub world: World,
    witness: Rc<Witness>,
    rng: Rng,
    /// How many time stamps are read before each call.
    stamps_rng: Rng,
    engine: Engine,
    told: Told,
    /// Who runs on without the kernel having been asked.
    straight_on: Option<Tid>,
    /// How many time stamps the task whose turn it is still reads before its call.
    stamps: Option<u64>,
    /// A user who interrupts again and again.
    user: Option<Rng>,
    pub over: bool,
}

impl Story {
    pub fn new(config: Config, engine: Engine) -> Story {
        let story = config.seed;
        Story::with_journal(config, engine, story, false, Journal::off())
    }

    /// The guests do what story number `story` says, whatever the seed of the host.
    fn with_journal(config: Config, engine: Engine, story: u64, interrupts: bool, journal: Journal) -> Story {
        let witness = Rc::new(Witness::default());
        let kernel = Kernel::with_journal(config, witness.clone(), witness.clone(), journal);
        let world = World::of_kernel(kernel, engine == Engine::Answers);
        furnish(&world);
        Story {
            world,
            witness,
            rng: Rng::new(story, 9),
            stamps_rng: Rng::new(story, 10),
            engine,
            told: Told::default(),
            straight_on: None,
            stamps: None,
            user: interrupts.then(|| Rng::new(story, 11)),
            over: false,
        }
    }

    /// Tells on, up to the horizon. The result is that of [`Next::Idle`]; `None` if the story is over.
    pub fn go_on(&mut self, horizon: Option<u64>) -> Option<Option<u64>> {
        while !self.over {
            if let Some(user) = self.user.as_ref().filter(|user| user.below(20) == 0) {
                self.world.kernel.interrupt(HANDLED[user.below(3) as usize] as i32);
            }
            let next = self.straight_on.take().map_or_else(|| self.world.kernel.run_until(horizon), Next::Run);
            let now = self.world.kernel.timers.now();
            match next {
                Next::Run(tid) => {
                    assert!(horizon.is_none_or(|at| now <= at), "it is {now} and was to be {horizon:?} at most");
                    self.turn(tid);
                }
                Next::AwaitConsole { .. } | Next::AwaitOutsider { .. } => {}
                Next::Idle { until } => {
                    assert!(horizon.is_some_and(|at| until.is_none_or(|until| until > at)), "{until:?}, {horizon:?}");
                    return Some(until);
                }
                Next::Finished(ending) => {
                    self.told.ending = Some(ending);
                    self.over = true;
                }
            }
        }
        None
    }

    fn turn(&mut self, tid: Tid) {
        const LONGEST: usize = 400;
        let (world, kernel, told) = (&self.world, &self.world.kernel, &mut self.told);
        assert_eq!(kernel.turn().map(|cx| cx.task.tid.get()), Some(tid));
        if world.passes(tid) {
            let (.., call) = *told.turns.iter().rfind(|(other, ..)| *other == tid).expect("it made the call");
            let rax = world.native(tid, call) as u64;
            world.set_regs(tid, Regs { rax, ..world.regs(tid) });
        }
        if told.turns.len() == LONGEST {
            self.over = true;
            return;
        }
        let mut stamps = self.stamps.take().unwrap_or_else(|| self.stamps_rng.below(30).saturating_sub(26));
        while stamps > 0 {
            told.stamps.push(kernel.timestamp_counter());
            stamps -= 1;
            if kernel.stops_at_horizon() {
                self.stamps = Some(stamps);
                return;
            }
        }
        let call = match HANDLED.get(told.turns.len()) {
            Some(&signal) => call(nr::__NR_rt_sigaction, &[signal, ACTIONS, OUT, 8]),
            None => invent(&self.rng),
        };
        told.turns.push((tid, kernel.timers.now(), world.regs(tid), call));
        // A task starts its call with this, as Linux has it.
        world.set_regs(tid, Regs { rax: -38i64 as u64, orig_rax: call.number, ..world.regs(tid) });
        let value = match self.engine {
            Engine::Answers => kernel.turn().expect("it runs").answer(call),
            Engine::Asks => {
                kernel.stopped(tid, Stop::Call(call));
                None
            }
        };
        if let Some(rax) = value {
            world.set_regs(tid, Regs { rax, ..world.regs(tid) });
            self.straight_on = Some(tid);
        }
    }

    /// How many records there are in the log.
    pub fn records(&self) -> usize {
        self.witness.0.borrow().len()
    }

    /// The times of all but the first `records`.
    pub fn times_of_records(&self, records: usize) -> Vec<u64> {
        let log = self.witness.0.borrow();
        log[records..].iter().map(|record| record.time_ns).collect()
    }

    pub fn told(mut self) -> Told {
        self.told.natives = self.world.natives();
        self.told.counters = self.world.kernel.counters();
        self.told.log = self.witness.0.take();
        self.told
    }
}

/// The configuration of story number `seed`.
pub fn config_of(seed: u64) -> Config {
    let policies = [Policy::RoundRobin, Policy::Random, Policy::Pct { changes: 3, span: 0 }];
    let policy = policies[seed as usize % 3];
    Config { seed, policy, slice_calls: 1 + seed as u32 % 7, log: seed.is_multiple_of(2), ..config() }
}

pub fn tell(config: Config, engine: Engine) -> Told {
    let story = config.seed;
    tell_by(config, engine, story, false, Journal::off())
}

/// Tells story number `story` on a host that keeps a journal. A user who interrupts does so again and again.
pub fn tell_by(config: Config, engine: Engine, story: u64, interrupts: bool, journal: Journal) -> Told {
    let mut story = Story::with_journal(config, engine, story, interrupts, journal);
    assert_eq!(story.go_on(None), None);
    story.told()
}

#[test]
fn both_ways_to_drive_the_kernel_tell_the_same_story() {
    let (mut turns, mut ended) = (0, 0);
    for seed in 1..=600 {
        let (asked, answered) = (tell(config_of(seed), Engine::Asks), tell(config_of(seed), Engine::Answers));
        if asked != answered {
            let pairs = asked.turns.iter().zip(&answered.turns);
            let at = pairs.take_while(|(one, other)| one == other).count();
            assert_eq!(asked.turns.get(at), answered.turns.get(at), "seed {seed}, turn {at}");
            assert_eq!(asked.counters, answered.counters, "seed {seed}");
            assert_eq!(asked.natives, answered.natives, "seed {seed}");
            assert_eq!(asked, answered, "seed {seed}");
        }
        turns += asked.turns.len();
        ended += usize::from(asked.ending.is_some());
    }
    // The stories are long, and not all of them end early.
    assert!(turns > 600 * 100 && ended > 100 && ended < 590, "{turns} turns, {ended} ended");
}
