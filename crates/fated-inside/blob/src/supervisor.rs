//! The supervisor as the kernel sees it: console, log, journal and notices. Each request waits for its answer.
//!
//! Invariant: log and journal are handed over before any other request but the report of a failure, so that the
//! supervisor sees everything in order.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt::{self, Write as _};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use fated_engine::notice::{Notice, Notices};
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::ports::{Awaited, Console, Cpu, FifoRequest, Store, Trace};
use fated_kernel::record::Record;
use linux_raw_sys::general::__NR_prctl;

use crate::arena::{self, Part, buffer, control, part};
use crate::enter::clock;
use crate::enter::turn::turn;
use crate::memory::marks;
use crate::protocol::bytes::{Reader, Writer};
use crate::protocol::control::{FOR_OUTSIDER, GIVE_UP, NEVER, fifo, op};
use crate::protocol::end::{self, End};
use crate::protocol::layout::{BUFFER_SIZE, REQUESTED_EXIT};
use crate::protocol::{record, stat};
use crate::rewrite::sensitive;
use crate::sys;

/// Log and journal are handed over in portions of this size.
const PORTION: usize = 256 << 10;

/// The supervisor, as the kernel sees it.
#[derive(Debug)]
pub struct Supervisor;

/// What the supervisor gets later, and what it gets only once.
#[derive(Default)]
pub struct Outbox {
    /// Lines of the log that haven't been handed over.
    records: RefCell<Vec<u8>>,
    /// Lines of the journal that haven't been handed over.
    journal: RefCell<Vec<u8>>,
    /// The run is over, and the supervisor serves no more requests.
    over: Cell<bool>,
    /// A failure of the engine is being reported.
    broken: Cell<u64>,
    /// Which notices the user has got.
    notices: Notices,
}

// SAFETY: the place is its own.
unsafe impl Part for Outbox {
    const AT: u64 = arena::at::SUPERVISOR;
}

fn outbox() -> &'static Outbox {
    part()
}

fn request(number: u32, args: [u64; 2], data: &[u8]) -> i64 {
    flush();
    send(number, args, data)
}

fn send(number: u32, args: [u64; 2], data: &[u8]) -> i64 {
    let control = control();
    buffer(data.len()).copy_from_slice(data);
    control.len.store(data.len() as u64, SeqCst);
    control.args[0].store(args[0], SeqCst);
    control.args[1].store(args[1], SeqCst);
    control.op.store(number, SeqCst);
    control.request.store(1, SeqCst);
    sys::futex_wake(&control.request);
    while control.request.load(SeqCst) == 1 {
        sys::futex_wait(&control.request, 1);
    }
    control.answer.load(SeqCst) as i64
}

/// Hands log and journal over.
fn flush() {
    hand_over(op::CALLS, &outbox().records);
    hand_over(op::JOURNAL, &outbox().journal);
}

fn hand_over(number: u32, bytes: &RefCell<Vec<u8>>) {
    if let Ok(mut bytes) = bytes.try_borrow_mut()
        && !bytes.is_empty()
    {
        send(number, [0; 2], &bytes);
        bytes.clear();
    }
}

/// Collects bytes until there is a portion of them.
fn collect(number: u32, bytes: &RefCell<Vec<u8>>, more: &[u8]) {
    let full = {
        let mut bytes = bytes.borrow_mut();
        bytes.extend_from_slice(more);
        bytes.len() > PORTION
    };
    if full {
        hand_over(number, bytes);
    }
}

fn answer(value: i64) -> Result<usize, Errno> {
    Errno::of_return(value).map_or(Ok(value as usize), Err)
}

/// Blocks until one of the streams may be ready; for a moment at most if an outsider is awaited.
pub fn await_streams(streams: &[Awaited], outsider: bool) {
    let mut data = Writer::default();
    data.list(streams, |to, it| {
        [it.stream as u64, u64::from(it.bits), it.want].into_iter().for_each(|number| to.number(number));
    });
    request(op::AWAIT, [if outsider { FOR_OUTSIDER } else { 0 }, 0], &data.0);
}

/// The virtual time up to which the host may run.
pub fn horizon() -> Option<u64> {
    Some(control().horizon.load(Relaxed)).filter(|&at| at != NEVER)
}

/// Sleeps until the horizon changes. `until` is the next moment at which something happens.
pub fn await_horizon(until: Option<u64>, horizon: Option<u64>) {
    request(op::IDLE, [until, horizon].map(|at| at.unwrap_or(NEVER)), &[]);
}

/// Ends the run.
pub fn finish(end: &End) -> ! {
    check_marks();
    if !outbox().over.replace(true) {
        let mut data = Writer::default();
        end.write(&mut data);
        let counters = turn().kernel.get().map_or_else(Default::default, |kernel| kernel.counters());
        end::write_counters(&counters, &mut data);
        data.bytes(&sensitive::found());
        request(op::FINISHED, [0; 2], &data.0);
    }
    sys::exit_group(REQUESTED_EXIT)
}

/// Notifies the user, once for each notice.
pub fn notice(notice: Notice) {
    if let Some(line) = outbox().notices.first(notice) {
        Supervisor.notice(line.into());
    }
}

/// Serves what the supervisor asks for: the end of the run, or signals from the user.
pub fn attend() {
    if control().asked.load(Relaxed) != 0 {
        attend_now();
    }
}

#[cold]
fn attend_now() {
    end_if_given_up();
    // A signal is delivered with the next call, so the kernel must see that call.
    if let Some(cx) = turn().cx.get() {
        clock::settle(cx);
    }
    let Some(kernel) = turn().kernel.get() else { return };
    let mut waiting = control().asked.swap(0, SeqCst);
    while waiting != 0 {
        kernel.interrupt(waiting.trailing_zeros() as i32);
        waiting &= waiting - 1;
    }
}

/// Ends the run if the supervisor asks for that.
pub fn end_if_given_up() {
    if control().asked.load(SeqCst) & GIVE_UP != 0 {
        let (tid, program, address) = turn().task.get().map_or((None, Vec::new(), 0), |(task, tid)| {
            (Some(tid), task.process.image.borrow().exe.clone(), task.regs().rip)
        });
        finish(&End::GivenUp(tid, String::from_utf8_lossy(&program).into_owned(), address));
    }
}

/// Text of limited length, which needs no allocator.
struct FixedText {
    bytes: [u8; 1024],
    len: usize,
}

impl fmt::Write for FixedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

/// Ends the run if the engine's memory is damaged.
pub fn check_marks() {
    if !marks::are_intact() {
        fail(format_args!("the marks in the arena are damaged"));
    }
}

/// The name of the program that runs.
fn name() -> [u8; 16] {
    const PR_GET_NAME: u64 = 16;
    let mut name = [0; 16];
    sys::call(__NR_prctl, [PR_GET_NAME, name.as_mut_ptr() as u64, 0, 0, 0, 0]);
    name
}

/// Ends the run with a message and without the allocator: the engine has failed, or a guest has damaged its memory.
pub fn fail(why: fmt::Arguments<'_>) -> ! {
    const BROKEN: u64 = 2;
    /// An unlikely number, because a guest may have written to the arena.
    const ONCE: u64 = 0x5afe_c0de_0fda_7a01;
    if outbox().broken.replace(ONCE) == ONCE {
        sys::exit_group(1);
    }
    let mut text = FixedText { bytes: [0; 1024], len: 16 };
    let name = name();
    let name = name.split(|&byte| byte == 0).next().and_then(|name| core::str::from_utf8(name).ok()).unwrap_or("?");
    let _ = if marks::are_intact() {
        write!(text, "the engine failed in {name}: {why}; please report this, and run with --engine ptrace")
    } else {
        write!(text, "{name} or a guest before it has written over the engine's memory; run with --engine ptrace")
    };
    text.bytes[..8].copy_from_slice(&BROKEN.to_le_bytes());
    text.bytes[8..16].copy_from_slice(&(text.len as u64 - 16).to_le_bytes());
    send(op::FINISHED, [0; 2], &text.bytes[..text.len]);
    sys::exit_group(REQUESTED_EXIT)
}

impl Console for Supervisor {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let size = buf.len().min(BUFFER_SIZE as usize);
        let len = answer(request(op::READ, [fd as u64, size as u64], &[]))?.min(size);
        buf[..len].copy_from_slice(buffer(len));
        Ok(len)
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
        let data = &data[..data.len().min(BUFFER_SIZE as usize)];
        answer(request(op::WRITE, [fd as u64, 0], data))
    }

    fn poll(&self, fd: i32, want: u64) -> u32 {
        request(op::POLL, [fd as u64, want], &[]) as u32
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        let len = answer(request(op::STAT, [fd as u64, 0], &[]))?;
        Ok(stat::read(&mut Reader(buffer(len))))
    }

    fn ioctl(&self, fd: i32, number: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        let value = request(op::IOCTL, [fd as u64, u64::from(number)], arg);
        arg.copy_from_slice(buffer(arg.len()));
        answer(value).map(|value| value as i64)
    }

    fn fifo(&self, number: i32, asked: &FifoRequest<'_>) -> bool {
        let (kind, path) = match *asked {
            FifoRequest::Await { path, writes: false } => (fifo::AWAIT_WRITER, path),
            FifoRequest::Await { path, writes: true } => (fifo::AWAIT_READER, path),
            FifoRequest::Take => (fifo::TAKE, &[][..]),
            FifoRequest::Close => (fifo::CLOSE, &[][..]),
        };
        request(op::FIFO, [number as u64, kind], path) != 0
    }
}

impl Trace for Supervisor {
    fn record(&self, record: &Record) {
        let mut writer = Writer::default();
        record::write(record, &mut writer);
        collect(op::CALLS, &outbox().records, &writer.0);
    }

    fn notice(&self, line: String) {
        request(op::NOTICE, [0; 2], line.as_bytes());
    }
}

impl Store for Supervisor {
    fn append(&self, lines: &[u8]) {
        collect(op::JOURNAL, &outbox().journal, lines);
    }

    fn more(&self) -> Vec<u8> {
        let len = answer(request(op::OBEY, [0; 2], &[])).unwrap_or(0);
        buffer(len).to_vec()
    }
}
