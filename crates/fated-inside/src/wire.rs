//! What the blob and its supervisor share: one page of control words, a buffer, and how values stand in it as bytes.
//!
//! This file is compiled into both. Only one side writes at a time: the guest whose turn it is asks, the supervisor answers.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64};

use fated_kernel::arch::Call;
use fated_kernel::config::{Config, Policy};
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::id::{Pid, Tid};
use fated_kernel::journal::Mode;
use fated_kernel::process::exec::planner::{NotStarted, Refusal};
use fated_kernel::record::{Ended, Record, What};
use fated_kernel::stats::Counters;

/// Where the engine stands in every process of a host, but for stubs: the blob first, and then the arena. Near programs that move, so
/// that their page tables reach it, too; but farther below them than a jump goes. It is above the 46 bits in which V8 wants
/// its random places, in what sanitizers (address, thread, memory) leave to programs, and nowhere that Linux puts anything by itself.
pub const WINDOW: u64 = 0x5550_0000_0000;
/// The size of all that; `WINDOW` is a multiple of it.
pub const WINDOW_SIZE: u64 = 16 << 30;
/// Where the arena stands.
pub const ARENA: u64 = WINDOW + 2 * BLOCK_SIZE;
/// The size of its mapping. The file behind it grows with the heap.
pub const ARENA_SIZE: u64 = WINDOW_SIZE - 2 * BLOCK_SIZE;
/// Where a process has memory of its own if the arena is protected by a key: the stack that it takes signals on, and a page
/// behind that for `crossing`. Otherwise nothing is mapped between blob and arena.
pub const PRIVATE: u64 = WINDOW + BLOCK_SIZE;
/// The size of the kernel's stack, with which the arena begins. Below it nothing is mapped: too deep a call faults.
pub const STACK_SIZE: u64 = 512 << 10;
/// Where the stack for signals stands in the arena: one for all, as one process runs at a time.
pub const SIGNALS_AT: u64 = STACK_SIZE;
/// The size of that.
pub const SIGNALS_SIZE: u64 = 32 << 10;
/// Where the buffer stands in the arena.
pub const BUFFER_AT: u64 = SIGNALS_AT + SIGNALS_SIZE;
/// The size of the buffer.
pub const BUFFER_SIZE: u64 = 1 << 20;
/// Where the control words stand, a page of their own.
pub const CONTROL_AT: u64 = BUFFER_AT + BUFFER_SIZE;
/// Where the host stands, and then the heap.
pub const HOST_AT: u64 = CONTROL_AT + 4096;
/// See [`HOST_AT`].
pub const HEAP_AT: u64 = HOST_AT + (64 << 10);
/// What the supervisor maps, and the size of the arena's file at the beginning: all of the above and the begin of the heap.
pub const BLOCK_SIZE: u64 = 2 << 20;
/// Descriptors that every guest holds for the engine, at first: the last for which Linux has room without asking for memory.
/// This one is the program that has the blob in it, from which its text is mapped.
pub const TEXT_FD: i32 = 61;
/// See [`TEXT_FD`]: the blob's own file.
pub const BLOB_FD: i32 = 62;
/// See [`TEXT_FD`]: the arena's file.
pub const ARENA_FD: i32 = 63;
/// Room for the extended state of a task: all of AVX-512 and protection keys.
pub const XSTATE_ROOM: usize = 4096;
/// The status with which a process ends that the engine has told to.
pub const TOLD_TO: i32 = 77;

/// Where the text of a new image comes from: the first words of the gate in the blob's file.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// [`TEXT_FD`] or [`BLOB_FD`].
    pub fd: u64,
    /// Where in its file the blob begins.
    pub offset: u64,
}

/// The control words.
#[repr(C)]
#[derive(Debug)]
pub struct Control {
    /// 1 while a request waits for its answer; a futex.
    pub request: AtomicU32,
    /// Which one ([`op`]).
    pub op: AtomicU32,
    /// Its numbers.
    pub args: [AtomicU64; 3],
    /// How many bytes of the buffer belong to it, or to the answer.
    pub len: AtomicU64,
    /// The answer: a count, or a negative errno.
    pub answer: AtomicU64,
    /// Always 0. The first process sleeps on it; Linux wakes it when a guest ends that nobody has told to.
    pub deaths: AtomicU32,
    /// The real id of such a guest.
    pub died: AtomicU32,
    /// The real id of the guest that has the turn.
    pub running: AtomicU32,
    /// Not 0 when the first process shall end the run.
    pub over: AtomicU32,
    /// How often a guest has come to the kernel. The supervisor sees by it that guests get on.
    pub stops: AtomicU64,
    /// How many of these were for `rdtsc`, `rdtscp` or `cpuid`.
    pub traps: AtomicU64,
    /// How far the host may run: a moment of its time, in nanoseconds since 1970, or [`NEVER`] for as far as it likes. At first 0.
    pub horizon: AtomicU64,
    /// What the supervisor wants of the kernel: a bit for each signal from the user, and [`GIVE_UP`].
    pub asked: AtomicU64,
}

/// In [`Control::asked`]: the run is to end at the next opportunity, with [`End::GivenUp`].
pub const GIVE_UP: u64 = 1;

/// No moment of time.
pub const NEVER: u64 = u64::MAX;

/// The requests.
pub mod op {
    /// args: stream, size. Answer: the bytes.
    pub const READ: u32 = 1;
    /// args: stream; the bytes.
    pub const WRITE: u32 = 2;
    /// args: stream. Answer: `POLL*`.
    pub const POLL: u32 = 3;
    /// args: stream. Answer: a `FileStat`.
    pub const STAT: u32 = 4;
    /// args: stream, request; the argument, in and out.
    pub const IOCTL: u32 = 5;
    /// Log records.
    pub const CALLS: u32 = 6;
    /// A line for the user.
    pub const NOTICE: u32 = 7;
    /// Streams to wait for.
    pub const AWAIT: u32 = 8;
    /// The run is over: an [`super::End`], then the kernel's counters.
    pub const FINISHED: u32 = 9;
    /// Lines of the journal that is written.
    pub const JOURNAL: u32 = 10;
    /// Answer: the next piece of the journal that is obeyed.
    pub const OBEY: u32 = 11;
    /// Nothing more happens up to the horizon. args: the next moment at which something happens, or [`super::NEVER`]; the horizon.
    /// The answer comes when there is another one.
    pub const IDLE: u32 = 12;
}

/// Bytes that are being made.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Adds a number.
    pub fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Adds bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
    /// Adds a list.
    pub fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Writer, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| each(self, item));
    }
}

/// Bytes that are being read. What is missing reads as zeros: both sides are built together.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// Takes a number.
    pub fn number(&mut self) -> u64 {
        let Some((head, tail)) = self.0.split_first_chunk::<8>() else { return 0 };
        self.0 = tail;
        u64::from_le_bytes(*head)
    }
    /// Takes bytes.
    pub fn bytes(&mut self) -> Vec<u8> {
        let len = (self.number() as usize).min(self.0.len());
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        head.to_vec()
    }
    /// Takes a text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
    /// Takes a list.
    pub fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.number()).map(|_| each(self)).collect()
    }
}

/// What the blob starts with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides the run.
    pub config: Config,
    /// The program as the user named it.
    pub argv: Vec<Vec<u8>>,
    /// The paths to try for it.
    pub candidates: Vec<Vec<u8>>,
    /// `NAME=VALUE`.
    pub env: Vec<Vec<u8>>,
    /// Where it starts.
    pub cwd: Option<Vec<u8>>,
    /// Which standard streams are placeholders (`fated_engine::Streams`).
    pub placeholders: u8,
    /// Call sites are rewritten.
    pub rewrite: bool,
    /// `cpuid` is made to fault.
    pub cpuid_faulting: bool,
    /// What is done with a journal, if there is one.
    pub journal: Option<Mode>,
}

impl Plan {
    /// As bytes.
    pub fn write(&self, to: &mut Writer) {
        let config = &self.config;
        let (policy, changes) = match config.policy {
            Policy::RoundRobin => (0, 0),
            Policy::Random => (1, 0),
            Policy::Pct { changes } => (2, changes),
        };
        for value in [
            config.seed,
            config.epoch_ns,
            config.call_cost_ns,
            policy,
            u64::from(changes),
            u64::from(config.slice_calls),
            u64::from(config.cpus),
            u64::from(config.max_tasks),
            u64::from(config.wait_by_scan),
            config.real_start_ns as u64,
            u64::from(config.log),
            u64::from(self.placeholders),
            u64::from(self.rewrite),
            u64::from(self.cpuid_faulting),
            u64::from(self.cwd.is_some()),
        ] {
            to.number(value);
        }
        to.bytes(config.hostname.as_bytes());
        to.bytes(self.cwd.as_deref().unwrap_or_default());
        for list in [&self.argv, &self.candidates, &self.env] {
            to.list(list, |to, item| to.bytes(item));
        }
        let mode = self.journal.unwrap_or_default();
        to.number(u64::from(self.journal.is_some()));
        to.number(u64::from(mode.obey.is_some()));
        [mode.obey.unwrap_or(0), mode.begin_line, u64::from(mode.write)].into_iter().for_each(|it| to.number(it));
    }

    /// From bytes.
    pub fn read(from: &mut Reader<'_>) -> Plan {
        let [seed, epoch_ns, call_cost_ns, policy, changes] = core::array::from_fn(|_| from.number());
        let [slice, cpus, tasks, scan, start, log] = core::array::from_fn(|_| from.number());
        let placeholders = from.number() as u8;
        let [rewrite, cpuid_faulting, moved] = core::array::from_fn(|_| from.number() != 0);
        let config = Config {
            seed,
            epoch_ns,
            call_cost_ns,
            policy: match policy {
                0 => Policy::RoundRobin,
                1 => Policy::Random,
                _ => Policy::Pct { changes: changes as u32 },
            },
            slice_calls: slice as u32,
            hostname: from.text(),
            cpus: cpus as u32,
            max_tasks: tasks as u32,
            wait_by_scan: scan != 0,
            real_start_ns: start as i64,
            log: log != 0,
        };
        let cwd = from.bytes();
        let mut list = || from.list(Reader::bytes);
        let (argv, candidates, env) = (list(), list(), list());
        let cwd = moved.then_some(cwd);
        let [on, obeys] = core::array::from_fn(|_| from.number() != 0);
        let [obey, begin_line, write] = core::array::from_fn(|_| from.number());
        let journal = on.then_some(Mode { obey: obeys.then_some(obey), begin_line, write: write != 0 });
        Plan { config, argv, candidates, env, cwd, placeholders, rewrite, cpuid_faulting, journal }
    }
}

/// How a run came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// See [`fated_kernel::host::Ending`].
    Exited(i32),
    /// See [`fated_kernel::host::Ending`].
    Deadlock(Vec<String>),
    /// See [`fated_kernel::host::Ending`].
    Broken(String),
    /// The first program could not be started.
    NoProgram(NotStarted),
    /// The directory to start in could not be entered.
    NoDirectory(Errno),
    /// A step before that failed.
    NoStart(String, Errno),
    /// See [`fated_kernel::host::Ending`].
    LeftJournal(String),
    /// The supervisor has asked for it: id and program of the task that ran last, and where it was.
    GivenUp(Option<Tid>, String, u64),
}

impl End {
    /// As bytes.
    pub fn write(&self, to: &mut Writer) {
        match self {
            End::Exited(status) => {
                to.number(0);
                to.number(*status as u64);
            }
            End::Deadlock(tasks) => {
                to.number(1);
                to.list(tasks, |to, task| to.bytes(task.as_bytes()));
            }
            End::Broken(why) => {
                to.number(2);
                to.bytes(why.as_bytes());
            }
            End::NoProgram(why) => {
                let (kind, errno) = match why {
                    NotStarted::Refused(Refusal::Linux(errno)) => (0, errno.number()),
                    NotStarted::Refused(Refusal::Foreign) => (1, 0),
                    NotStarted::Refused(Refusal::Unreadable) => (2, 0),
                    NotStarted::Lost => (3, 0),
                };
                to.number(3);
                to.number(kind);
                to.number(errno as u64);
            }
            End::NoStart(step, errno) => {
                to.number(4);
                to.bytes(step.as_bytes());
                to.number(errno.number() as u64);
            }
            End::NoDirectory(errno) => {
                to.number(5);
                to.number(errno.number() as u64);
            }
            End::GivenUp(tid, program, address) => {
                to.number(6);
                to.number(tid.map_or(0, |tid| u64::from(tid.get())));
                to.bytes(program.as_bytes());
                to.number(*address);
            }
            End::LeftJournal(why) => {
                to.number(7);
                to.bytes(why.as_bytes());
            }
        }
    }

    /// From bytes.
    pub fn read(from: &mut Reader<'_>) -> End {
        match from.number() {
            0 => End::Exited(from.number() as i32),
            1 => End::Deadlock(from.list(Reader::text)),
            2 => End::Broken(from.text()),
            3 => {
                let (kind, errno) = (from.number(), Errno::from_number(from.number() as i32));
                End::NoProgram(match kind {
                    0 => NotStarted::Refused(Refusal::Linux(errno)),
                    1 => NotStarted::Refused(Refusal::Foreign),
                    2 => NotStarted::Refused(Refusal::Unreadable),
                    _ => NotStarted::Lost,
                })
            }
            4 => {
                let step = from.text();
                End::NoStart(step, Errno::from_number(from.number() as i32))
            }
            5 => End::NoDirectory(Errno::from_number(from.number() as i32)),
            7 => End::LeftJournal(from.text()),
            _ => {
                let tid = Tid::new(from.number() as u32);
                let program = from.text();
                End::GivenUp(tid, program, from.number())
            }
        }
    }
}

/// Writes what the kernel has counted.
pub fn write_counters(counters: &Counters, to: &mut Writer) {
    for list in [&counters.calls, &counters.refused] {
        to.list(list, |to, &(number, count)| {
            to.number(number);
            to.number(count);
        });
    }
    for value in [counters.natives, counters.tasks, counters.programs, counters.virtual_ns] {
        to.number(value);
    }
}

/// Reads what [`write_counters`] wrote.
pub fn read_counters(from: &mut Reader<'_>) -> Counters {
    let mut list = || from.list(|from| (from.number(), from.number()));
    let (calls, refused) = (list(), list());
    let [natives, tasks, programs, virtual_ns] = core::array::from_fn(|_| from.number());
    Counters { calls, refused, natives, tasks, programs, virtual_ns }
}

/// Writes what stat(2) tells.
pub fn write_stat(stat: &FileStat, to: &mut Writer) {
    for value in [
        u64::from(stat.mode),
        u64::from(stat.nlink),
        u64::from(stat.uid),
        u64::from(stat.gid),
        stat.dev,
        stat.rdev,
        stat.ino,
        stat.size,
        u64::from(stat.blksize),
        stat.blocks,
        stat.attributes,
        stat.attributes_mask,
        stat.atime_ns as u64,
        stat.mtime_ns as u64,
        stat.ctime_ns as u64,
        u64::from(stat.btime_ns.is_some()),
        stat.btime_ns.unwrap_or(0) as u64,
    ] {
        to.number(value);
    }
}

/// Reads what [`write_stat`] wrote.
pub fn read_stat(from: &mut Reader<'_>) -> FileStat {
    let mut next = || from.number();
    FileStat {
        mode: next() as u32,
        nlink: next() as u32,
        uid: next() as u32,
        gid: next() as u32,
        dev: next(),
        rdev: next(),
        ino: next(),
        size: next(),
        blksize: next() as u32,
        blocks: next(),
        attributes: next(),
        attributes_mask: next(),
        atime_ns: next() as i64,
        mtime_ns: next() as i64,
        ctime_ns: next() as i64,
        btime_ns: {
            let (there, value) = (next(), next());
            (there != 0).then_some(value as i64)
        },
    }
}

/// Writes a line of the log.
pub fn write_record(record: &Record, to: &mut Writer) {
    to.number(record.time_ns);
    to.number(u64::from(record.pid.get()));
    to.number(u64::from(record.tid.get()));
    match &record.what {
        What::Call { call, args, ended } => {
            let (kind, value) = match ended {
                Ended::Value(value) => (0, *value),
                Ended::Failed(errno) => (1, errno_number(*errno)),
                Ended::Away => (2, 0),
            };
            for value in [0, call.number].into_iter().chain(call.args).chain([kind, value]) {
                to.number(value);
            }
            to.list(args, |to, arg| to.bytes(arg.as_bytes()));
        }
        What::Signal { signal, code } => [1, *signal as u64, *code as u64].into_iter().for_each(|it| to.number(it)),
        What::Exit { status } => [2, *status as u64].into_iter().for_each(|it| to.number(it)),
    }
}

fn errno_number(errno: Errno) -> u64 {
    errno.number() as u64
}

/// Reads a line of the log; `None` at the end.
pub fn read_record(from: &mut Reader<'_>) -> Option<Record> {
    if from.0.is_empty() {
        return None;
    }
    let time_ns = from.number();
    let pid = Pid::new(from.number() as u32)?;
    let tid = Tid::new(from.number() as u32)?;
    let what = match from.number() {
        0 => {
            let call = Call { number: from.number(), args: core::array::from_fn(|_| from.number()) };
            let (kind, value) = (from.number(), from.number());
            let args = from.list(Reader::text);
            let ended = match kind {
                0 => Ended::Value(value),
                1 => Ended::Failed(Errno::from_number(value as i32)),
                _ => Ended::Away,
            };
            What::Call { call, args, ended }
        }
        1 => What::Signal { signal: from.number() as i32, code: from.number() as i32 },
        _ => What::Exit { status: from.number() as i32 },
    };
    Some(Record { time_ns, pid, tid, what })
}
