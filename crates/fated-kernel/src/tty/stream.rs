//! The standard streams of fated, as files: descriptors 0, 1 and 2 of the first process. Where fated runs on a terminal, they are
//! devices of it.
//!
//! When input comes in is decided in [`input`](super::input). Output never makes a task wait: it is out when a write returns.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs::device;
use crate::fs::devtmpfs::device::Device;
use crate::fs::file::{File, OpenFile, anonymous_name, anonymous_stat};
use crate::fs::host::file::NativeFile;
use crate::fs::inode::{FileStat, kind};
use crate::fs::poll;
use crate::host::Kernel;
use crate::mm::iov_iter::Buffers;
use crate::ports::Console;
use crate::sched::wait_queue::WaitQueue;
use crate::signal::nr;
use crate::tty::ioctl;
use crate::tty::terminal::{TERMIOS, Terminal};
use alloc::{
    format,
    rc::{Rc, Weak},
    vec,
    vec::Vec,
};
use core::any::Any;
use linux_raw_sys::general::{O_ACCMODE, O_NOCTTY, O_RDWR, O_WRONLY};
use linux_raw_sys::ioctl::{FIONREAD, TCGETS};

/// The most bytes that one call moves.
const CHUNK: u64 = 1 << 16;

/// A standard stream of fated.
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

/// Makes descriptors 0, 1 and 2 of the first process the standard streams of fated, and gives its session the terminal, if there is
/// one. Regular files and directories stay the real Linux's.
pub fn install_standard(cx: &Cx) {
    let own = cx.task.tid.get();
    let (group, session) = {
        let family = cx.kernel.family.borrow();
        (family.pgid(own), family.sid(own))
    };
    let mut on_terminal = false;
    for number in 0..=2 {
        let Ok(held) = cx.task.guest.stat(number, b"", 0) else { continue };
        if let Some(stream) = Stream::new(cx, number, held) {
            on_terminal |= stream.terminal.is_some();
            let flags = match (stream.reads, stream.writes) {
                (true, true) => O_RDWR,
                (false, _) => O_WRONLY,
                _ => 0,
            };
            let open = OpenFile::new(cx, Rc::new(stream), flags);
            cx.task.files.borrow().set(number, open, false);
        } else if held.is(kind::REGULAR) && is_written(cx, number) {
            // The times of what the run writes are the kernel's.
            let file = Rc::new(NativeFile { ino: cx.kernel.fs.virtualized(&cx.kernel, &held).ino, writes: None });
            cx.task.files.borrow().set(number, OpenFile::new(cx, file, O_RDWR), false);
        }
    }
    cx.kernel.terminal.give_to(session.filter(|_| on_terminal), group);
}

/// Whether a descriptor that was open before the run may be written to.
fn is_written(cx: &Cx, number: i32) -> bool {
    let info = cx.task.guest.proc_file(&format!("fdinfo/{number}")).unwrap_or_default();
    let flags = core::str::from_utf8(&info).ok().and_then(|it| it.lines().find_map(|line| line.strip_prefix("flags:")));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & O_ACCMODE != 0)
}

/// Opens the controlling terminal of the caller (`/dev/tty`), if it has one.
#[must_use]
pub fn open_terminal(cx: &Cx) -> Option<Rc<Stream>> {
    if !cx.kernel.terminal.is_of(cx) {
        return None;
    }
    let stream = |number| Stream::new(cx, number, FileStat::default()).filter(|stream| stream.terminal.is_some());
    (0..=2).find_map(stream).map(Rc::new)
}

/// The settings of the terminal that a stream is, if it is one.
fn settings(console: &dyn Console, number: i32) -> Option<[u8; TERMIOS]> {
    let mut termios = [0; TERMIOS];
    let is_device = console.stat(number).is_ok_and(|stat| stat.is(kind::CHARACTER));
    (is_device && console.ioctl(number, TCGETS, &mut termios).is_ok()).then_some(termios)
}

impl Stream {
    /// `held` is what the real process has under this number: the stream itself, or something in its place.
    fn new(cx: &Cx, number: i32, held: FileStat) -> Option<Stream> {
        if held.is(kind::REGULAR) || held.is(kind::DIRECTORY) {
            return None;
        }
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
        Some(Stream {
            kernel: Rc::downgrade(&cx.kernel),
            number,
            console,
            terminal,
            device,
            // A pipe has one direction, all else has both.
            reads: !is_pipe || number == 0,
            writes: !is_pipe || number != 0,
            stat,
            ready: cx.kernel.streams.queue(number),
        })
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
        if !self.is_memory() && cx.kernel.streams.ready(self.number) == 0 {
            return Err(Errno::EAGAIN);
        }
        let most = cx.kernel.streams.piece(self.number).unwrap_or(CHUNK);
        let mut data = vec![0; to.left().min(CHUNK).min(most) as usize];
        let result = self.console.read(self.number, &mut data);
        // After an error nothing is left to be read.
        cx.kernel.streams.consumed(self.number, result.map_or(u64::MAX, |got| got as u64));
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
        let Some(terminal) = &self.terminal else { return Err(Errno::ENOTTY) };
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
