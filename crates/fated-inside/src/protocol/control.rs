//! The control words, and the requests that the blob makes of the supervisor.
//!
//! Invariant: all words are atomic, and zeros are valid: the memory is new when both sides start.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// How many guests that have exited are waited for together.
pub const EXITS: usize = 64;

/// The control words.
#[repr(C)]
#[derive(Debug)]
pub struct Control {
    /// 1 while a request waits for its answer; a futex.
    pub request: AtomicU32,
    /// Its kind ([`op`]).
    pub op: AtomicU32,
    /// Its arguments.
    pub args: [AtomicU64; 3],
    /// The length of its data in the buffer, or of the answer's.
    pub len: AtomicU64,
    /// The answer: a count, or a negative errno.
    pub answer: AtomicU64,
    /// Always 0. The first process sleeps on it, and Linux wakes it when a guest dies unexpectedly.
    pub deaths: AtomicU32,
    /// The real pid of such a guest.
    pub died: AtomicU32,
    /// The real pid of the first process, the parent of all guests.
    pub first: AtomicU32,
    /// Where the first process holds the engine's descriptors: an index of [`BASES`](super::layout::BASES).
    pub place: AtomicU32,
    /// The real pid of the guest that runs.
    pub running: AtomicU32,
    /// The real pids of guests that exit on request, for the first process to wait for; 0 where there is none.
    pub exits: [AtomicU32; EXITS],
    /// Not 0 when the first process has been woken to wait for these.
    pub called: AtomicU32,
    /// The kernel's id of the task that runs.
    pub task: AtomicU32,
    /// Not 0 when the first process is to end the run.
    pub over: AtomicU32,
    /// How often guests have entered the kernel. The supervisor sees progress by it.
    pub stops: AtomicU64,
    /// How many of these were for `rdtsc`, `rdtscp` or `cpuid`.
    pub traps: AtomicU64,
    /// How far the host may run: a virtual time in nanoseconds since 1970, or [`NEVER`] for no limit. At first 0.
    pub horizon: AtomicU64,
    /// The offset in the arena of the word that has the virtual time, in nanoseconds since 1970; 0 before the run.
    pub clock: AtomicU64,
    /// What the supervisor asks of the kernel: a bit for each signal from the user, and [`GIVE_UP`].
    pub asked: AtomicU64,
}

/// A bit of [`Control::asked`]: the run is to end as soon as possible, with
/// [`End::GivenUp`](super::end::End::GivenUp).
pub const GIVE_UP: u64 = 1;

/// An argument of [`op::AWAIT`]: a task waits for somebody outside of the run, so the wait lasts for a moment only.
pub const FOR_OUTSIDER: u64 = 1;

/// No moment of time.
pub const NEVER: u64 = u64::MAX;

/// What [`op::FIFO`] asks for (`FifoRequest`).
pub mod fifo {
    pub const AWAIT_WRITER: u64 = 0;
    pub const AWAIT_READER: u64 = 1;
    pub const TAKE: u64 = 2;
    pub const CLOSE: u64 = 3;
}

/// The requests.
pub mod op {
    /// args: stream, size. Answer: the bytes.
    pub const READ: u32 = 1;
    /// args: stream; the bytes.
    pub const WRITE: u32 = 2;
    /// args: stream, how many bytes are wanted. Answer: `POLL*`.
    pub const POLL: u32 = 3;
    /// args: stream. Answer: a `FileStat`.
    pub const STAT: u32 = 4;
    /// args: stream, request; the argument, in and out.
    pub const IOCTL: u32 = 5;
    /// Log records.
    pub const CALLS: u32 = 6;
    /// A line for the user.
    pub const NOTICE: u32 = 7;
    /// args: [`FOR_OUTSIDER`](super::FOR_OUTSIDER) or 0. Streams to wait for.
    pub const AWAIT: u32 = 8;
    /// The run is over: an [`End`](super::super::end::End), the kernel's counters, then the sensitive instructions that the run has found, as
    /// text.
    pub const FINISHED: u32 = 9;
    /// Lines of the journal that the run writes.
    pub const JOURNAL: u32 = 10;
    /// Answer: the next piece of the journal that the run obeys.
    pub const OBEY: u32 = 11;
    /// Nothing more happens up to the horizon. args: the next moment at which something happens, or [`super::NEVER`];
    /// the horizon. The answer comes when the horizon changes.
    pub const IDLE: u32 = 12;
    /// args: stream, one of [`super::fifo`]; the pipe's path. Answer: whether somebody can be outside.
    pub const FIFO: u32 = 13;
}
