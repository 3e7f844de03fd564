//! The standard streams of fated, as files, and the other pipes and devices that the first process inherits from it. Where fated runs
//! on a terminal, they are devices of it.
//!
//! When input comes in is decided in [`input`]. Output never makes a task wait: it is out when a write returns.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs::device;
use crate::fs::devtmpfs::device::Device;
use crate::fs::file::{File, anonymous_name, anonymous_stat};
use crate::fs::inode::{FileStat, kind};
use crate::fs::poll;
use crate::host::Kernel;
use crate::mm::iov_iter::Buffers;
use crate::ports::{Awaited, Console};
use crate::sched::wait_queue::WaitQueue;
use crate::signal::nr;
use crate::tty::input;
use crate::tty::ioctl;
use crate::tty::terminal::{TERMIOS, Terminal};
use alloc::{
    rc::{Rc, Weak},
    vec,
    vec::Vec,
};
use core::any::Any;
use linux_raw_sys::general::{O_ACCMODE, O_NOCTTY, O_RDWR, O_WRONLY};
use linux_raw_sys::ioctl::{FIONREAD, TCGETS, TCGETS2};

/// The most bytes that one call moves.
const CHUNK: u64 = input::BLOCK;

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream {
    kernel: Weak<Kernel>,
    number: i32,
    console: Rc<dyn Console>,
    reads: bool,
    writes: bool,
    /// The terminal that it is a device of.
    terminal: Option<Rc<Terminal>>,
    device: Option<Device>,
    /// As guests see it.
    stat: FileStat,
    ready: WaitQueue,
}

/// Opens the controlling terminal of the caller (`/dev/tty`), if it has one.
#[must_use]
pub fn open_terminal(cx: &Cx) -> Option<Rc<Stream>> {
    if !cx.kernel.terminal.is_of(cx) {
        return None;
    }
    let stream = |number| Stream::new(cx, number, FileStat::default(), None);
    (0..=2).map(stream).find(Stream::is_terminal).map(Rc::new)
}

/// The settings of the terminal that a stream is, if it is one.
fn settings(console: &dyn Console, number: i32) -> Option<[u8; TERMIOS]> {
    let mut termios = [0; TERMIOS];
    let is_device = console.stat(number).is_ok_and(|stat| stat.is(kind::CHARACTER));
    (is_device && console.ioctl(number, TCGETS, &mut termios).is_ok()).then_some(termios)
}

impl Stream {
    /// `held` is what the real process has under this number: the stream itself, or something in its place. `flags` say how it is
    /// open, if it isn't one of the first three.
    #[must_use]
    pub fn new(cx: &Cx, number: i32, held: FileStat, flags: Option<u32>) -> Stream {
        let console = cx.kernel.console.clone();
        let real = console.stat(number).unwrap_or(held);
        let is_pipe = real.is(kind::FIFO);
        let terminal = settings(&*console, number).map(|termios| {
            cx.kernel.terminal.note_settings(&termios);
            cx.kernel.terminal.clone()
        });
        let device = if terminal.is_some() { Some(Device::Tty) } else { device::of(&real) };
        let stat = match device {
            Some(device) => device.stat(&cx.kernel),
            None => {
                let anonymous = anonymous_stat(real.mode, number as u64 + 3, cx.kernel.config.epoch_ns);
                FileStat { uid: real.uid, gid: real.gid, rdev: real.rdev, ..anonymous }
            }
        };
        let (reads, writes) = match flags.map(|flags| flags & O_ACCMODE) {
            Some(access) => (access != O_WRONLY, access != 0),
            // A pipe has one direction, all else has both.
            None => (!is_pipe || number == 0, !is_pipe || number != 0),
        };
        Stream {
            kernel: Rc::downgrade(&cx.kernel),
            number,
            console,
            terminal,
            device,
            reads,
            writes,
            stat,
            ready: cx.kernel.streams.queue(number),
        }
    }

    /// Whether it is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// The device that it is, if it is one.
    #[must_use]
    pub fn device(&self) -> Option<Device> {
        self.device
    }

    /// Its access mode (`O_RDWR`…).
    #[must_use]
    pub fn access(&self) -> u32 {
        match (self.reads, self.writes) {
            (true, true) => O_RDWR,
            (false, _) => O_WRONLY,
            _ => 0,
        }
    }

    /// A device of memory (null, zero, full): always ready, with a position that means nothing.
    fn is_memory(&self) -> bool {
        self.device.is_some_and(Device::is_native)
    }

    fn check_background(&self, cx: &Cx, signal: i32) -> Result<(), Errno> {
        self.terminal.as_ref().map_or(Ok(()), |terminal| terminal.check_background(cx, signal))
    }

    /// `FIONREAD`: no more than what has come in.
    fn readable_bytes(&self, cx: &Cx) -> Result<u32, Errno> {
        if cx.kernel.streams.ready(self.number) == 0 {
            self.ask();
            return Ok(0);
        }
        if let Some(bytes) = cx.kernel.streams.piece(self.number) {
            return Ok(bytes as u32);
        }
        let mut bytes = [0; 4];
        self.console.ioctl(self.number, FIONREAD, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

impl File for Stream {
    fn read(&self, cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        self.check_background(cx, nr::TTIN)?;
        if to.left() == 0 {
            return Ok(0);
        }
        if self.number == 0 {
            cx.kernel.stats.reads_stdin();
        }
        let streams = &cx.kernel.streams;
        if !self.is_memory() && streams.ready(self.number) == 0 && !streams.flows(self.number, to.left()) {
            return Err(Errno::EAGAIN);
        }
        let most = streams.piece(self.number).unwrap_or(CHUNK);
        let mut data = vec![0; to.left().min(CHUNK).min(most) as usize];
        let result = self.console.read(self.number, &mut data);
        // After an error nothing is left to be read.
        let last = result.ok().and_then(|got| data.get(got.checked_sub(1)?)).copied();
        streams.consumed(self.number, result.map_or(u64::MAX, |got| got as u64), last);
        let got = result?;
        Ok(to.put(data.get(..got).unwrap_or(&data))? as u64)
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        if self.terminal.as_ref().is_some_and(|terminal| terminal.stops_background_output()) {
            self.check_background(cx, nr::TTOU)?;
        }
        let data = from.take(from.left().min(CHUNK) as usize)?;
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            match self.console.write(self.number, rest) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::EPIPE) => {
                    cx.send_sigpipe();
                    return if done == 0 { Err(Errno::EPIPE) } else { Ok(done as u64) };
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done as u64)
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn poll(&self) -> u32 {
        let mut bits = if self.writes { poll::OUT | poll::WRNORM } else { 0 };
        if self.reads {
            let known = || self.kernel.upgrade().map_or(0, |kernel| kernel.streams.ready(self.number));
            let now = if self.is_memory() { poll::IN } else { known() };
            bits |= now & (poll::IN | poll::PRI | poll::ERR | poll::HUP | poll::RDHUP);
            if now & poll::IN != 0 {
                bits |= poll::RDNORM;
            }
            if now & poll::NVAL != 0 {
                // fated itself has lost the stream: no more input will come.
                bits |= poll::ERR | poll::HUP;
            }
        }
        bits
    }

    fn queue(&self) -> Option<&WaitQueue> {
        (!self.is_memory()).then_some(&self.ready)
    }

    fn stream(&self) -> Option<i32> {
        (self.reads && !self.is_memory()).then_some(self.number)
    }

    fn ask(&self) {
        if let (Some(stream), Some(kernel)) = (self.stream(), self.kernel.upgrade()) {
            kernel.ask_for_input(&[Awaited { stream, bits: poll::IN, want: input::BLOCK }]);
        }
    }

    fn stat(&self, _cx: &Cx) -> Result<FileStat, Errno> {
        Ok(self.stat)
    }

    fn seek(&self, _cx: &Cx, _offset: i64, _whence: u32) -> Result<u64, Errno> {
        if self.is_memory() { Ok(0) } else { Err(Errno::ESPIPE) }
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        if request == FIONREAD && !self.is_memory() {
            cx.write_u32(arg, self.readable_bytes(cx)?)?;
            return Ok(0);
        }
        let Some(terminal) = &self.terminal else {
            if self.number == 0 && [TCGETS, TCGETS2].contains(&request) {
                cx.kernel.stats.no_terminal();
            }
            return Err(Errno::ENOTTY);
        };
        ioctl::TerminalDevice { terminal, console: &*self.console, number: self.number }.ioctl(cx, request, arg)
    }

    fn name(&self) -> Vec<u8> {
        match self.device {
            Some(device) => [b"/dev/", device.name().as_bytes()].concat(),
            None => anonymous_name("pipe", self.stat.ino),
        }
    }

    fn reopen(&self, cx: &Cx, flags: u32) -> Result<Rc<dyn File>, Errno> {
        let reads = self.reads && flags & O_ACCMODE != O_WRONLY;
        let writes = self.writes && flags & O_ACCMODE != 0;
        if let Some(terminal) = self.terminal.as_ref().filter(|_| reads && flags & O_NOCTTY == 0) {
            // Whoever can't have it as the controlling terminal opens it all the same.
            let _ = terminal.acquire(cx);
        }
        Ok(Rc::new(Stream { reads, writes, ..self.clone() }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
