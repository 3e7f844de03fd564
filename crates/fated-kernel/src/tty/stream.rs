//! fated's own standard streams, as descriptors 0, 1 and 2 of the first process, and the terminal they may be.
//!
//! When input comes in is a matter of its own, see `input`. Output never makes a task wait: a write goes out before it returns.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs;
use crate::fs::devtmpfs::Device;
use crate::fs::file::{File, OpenFile, anonymous_name, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::host::Kernel;
use crate::id::{Pgid, Sid};
use crate::mm::iov_iter::Buffers;
use crate::ports::Console;
use crate::sched::wait_queue::WaitQueue;
use crate::signal::{SI_KERNEL, SI_USER, SigInfo, nr};
use alloc::{
    rc::{Rc, Weak},
    vec,
    vec::Vec,
};
use core::any::Any;
use linux_raw_sys::general::{O_ACCMODE, O_RDWR, O_WRONLY};
use linux_raw_sys::ioctl as c;

/// The most bytes that one call moves.
const CHUNK: u64 = 1 << 16;

/// A stream of fated.
#[derive(Debug)]
pub struct Stream {
    kernel: Weak<Kernel>,
    number: i32,
    console: Rc<dyn Console>,
    reads: bool,
    writes: bool,
    terminal: bool,
    device: Option<Device>,
    /// As guests see it.
    stat: FileStat,
    ready: WaitQueue,
}

/// Makes descriptors 0, 1 and 2 of a new first process what they are outside. Regular files and directories stay the real
/// Linux's.
pub fn install_standard(cx: &Cx) {
    let own = cx.task.tid.get();
    let (group, session) = {
        let family = cx.kernel.family.borrow();
        (family.pgid(own), family.sid(own))
    };
    cx.kernel.streams.foreground.set(group);
    cx.kernel.streams.session.set(session);
    for number in 0..=2 {
        let Ok(held) = cx.task.guest.stat(number, b"", 0) else { continue };
        if let Some(stream) = Stream::new(cx, number, held) {
            let flags = match (stream.reads, stream.writes) {
                (true, true) => O_RDWR,
                (false, _) => O_WRONLY,
                _ => 0,
            };
            let open = OpenFile::new(cx, Rc::new(stream), flags);
            cx.task.files.borrow().set(number, open, false);
        }
    }
}

impl Stream {
    /// The terminal that controls the caller's session, if that is one of the streams.
    #[must_use]
    pub fn terminal(cx: &Cx) -> Option<Rc<Stream>> {
        let stream = |number| Stream::new(cx, number, FileStat::default()).filter(|stream| stream.controls(cx));
        (0..=2).find_map(stream).map(Rc::new)
    }

    /// `held` is what the real process has under this number: the stream itself, or something in its place.
    fn new(cx: &Cx, number: i32, held: FileStat) -> Option<Stream> {
        const KIND: u32 = 0o170_000;
        const PIPE: u32 = 0o010_000;
        const CHARACTER: u32 = 0o020_000;
        const DIRECTORY: u32 = 0o040_000;
        const REGULAR: u32 = 0o100_000;
        if matches!(held.mode & KIND, REGULAR | DIRECTORY) {
            return None;
        }
        let console = cx.kernel.console.clone();
        let real = console.stat(number).unwrap_or(held);
        let kind = real.mode & KIND;
        let terminal = kind == CHARACTER && console.ioctl(number, c::TCGETS, &mut [0; TERMIOS]).is_ok();
        let device = if terminal { Some(Device::Tty) } else { devtmpfs::of(&real) };
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
            // A pipe goes one way; what else there is goes both.
            reads: kind != PIPE || number == 0,
            writes: kind != PIPE || number != 0,
            stat,
            ready: cx.kernel.streams.queue(&cx.kernel, number),
        })
    }

    /// A device of memory (null, zero, full): always ready, has a position that means nothing.
    fn is_memory(&self) -> bool {
        self.device.is_some_and(Device::is_native)
    }

    /// Whether the terminal controls the caller's session.
    fn controls(&self, cx: &Cx) -> bool {
        let session = cx.kernel.family.borrow().sid(cx.task.tid.get());
        self.terminal && session.is_some() && session == cx.kernel.streams.session.get()
    }

    /// Job control: a background group that reads or changes the terminal is stopped (termios(3)).
    fn check_background(&self, cx: &Cx, signal: i32) -> Result<(), Errno> {
        if !self.controls(cx) {
            return Ok(());
        }
        let family = cx.kernel.family.borrow();
        let Some(group) = family.pgid(cx.task.tid.get()) else { return Ok(()) };
        let orphaned = family.is_orphaned(group);
        drop(family);
        if cx.kernel.streams.foreground.get().is_none_or(|foreground| foreground == group) {
            return Ok(());
        }
        let ignored = cx.task.mask.get().has(signal) || {
            let actions = cx.task.actions.borrow().clone();
            actions.borrow().get(signal).handler == 1
        };
        match signal {
            nr::TTIN if ignored || orphaned => Err(Errno::EIO),
            _ if ignored => Ok(()),
            _ if orphaned => Err(Errno::EIO),
            _ => {
                cx.kernel.send_to_group(group, SigInfo::new(signal, SI_KERNEL));
                Err(Errno::ERESTARTSYS)
            }
        }
    }

    /// An ioctl whose argument is `N` bytes, some of them in or out.
    fn pass<const N: usize>(&self, cx: &Cx, request: u32, arg: u64, way: Way) -> Result<u64, Errno> {
        let mut bytes = match way {
            Way::In => cx.read_array::<N>(arg)?,
            Way::Out => [0; N],
        };
        let value = self.console.ioctl(self.number, request, &mut bytes)?;
        if way == Way::Out {
            cx.write(arg, &bytes)?;
        }
        Ok(value as u64)
    }

    fn set_foreground(&self, cx: &Cx, arg: u64) -> Result<u64, Errno> {
        self.check_background(cx, nr::TTOU)?;
        if !self.controls(cx) {
            return Err(Errno::ENOTTY);
        }
        let group = cx.read_u32(arg)?;
        if (group as i32) < 0 {
            return Err(Errno::EINVAL);
        }
        let group = Pgid::new(group).ok_or(Errno::ESRCH)?;
        let session = cx.kernel.family.borrow().session_of(group).ok_or(Errno::ESRCH)?;
        if Some(session) != cx.kernel.streams.session.get() {
            return Err(Errno::EPERM);
        }
        cx.kernel.streams.foreground.set(Some(group));
        Ok(0)
    }

    /// Who controls what is the kernel's own matter, not the outside's.
    fn control(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        let streams = &cx.kernel.streams;
        let own = cx.task.tid.get();
        let (session, group, leads) = {
            let family = cx.kernel.family.borrow();
            (family.sid(own), family.pgid(own), family.is_session_leader(own))
        };
        match request {
            c::TIOCSPGRP => return self.set_foreground(cx, arg),
            c::TIOCSCTTY if self.controls(cx) && leads => {}
            c::TIOCSCTTY => {
                let free = streams.session.get().is_none_or(|old| !cx.kernel.family.borrow().session_exists(old));
                if !leads || !free {
                    return Err(Errno::EPERM);
                }
                streams.session.set(session);
                streams.foreground.set(group);
            }
            _ if !self.controls(cx) => return Err(Errno::ENOTTY),
            c::TIOCGPGRP => cx.write_u32(arg, streams.foreground.get().map_or(0, Pgid::get))?,
            c::TIOCGSID => cx.write_u32(arg, session.map_or(0, Sid::get))?,
            _ => {
                // TIOCNOTTY: the leader gives it up for all of its session.
                if leads {
                    streams.session.set(None);
                    if let Some(group) = streams.foreground.take() {
                        cx.kernel.send_to_group(group, SigInfo::new(nr::HUP, SI_KERNEL));
                        cx.kernel.send_to_group(group, SigInfo::new(nr::CONT, SI_KERNEL));
                    }
                }
            }
        }
        Ok(0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// The sizes of the kernel's `struct termios` and `struct termios2`.
const TERMIOS: usize = 36;
const TERMIOS2: usize = 44;

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
        // What can't be read is gone, too.
        cx.kernel.streams.consumed(self.number, result.map_or(u64::MAX, |got| got as u64));
        let got = result?;
        Ok(to.put(data.get(..got).unwrap_or(&data))? as u64)
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        let data = from.take(from.left().min(CHUNK) as usize)?;
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            match self.console.write(self.number, rest) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::EPIPE) => {
                    let (pid, uid) = (cx.process().pid.get(), cx.process().credentials.borrow().uid[0]);
                    cx.kernel.send_to_task(&cx.task, SigInfo::from_process(nr::PIPE, SI_USER, pid, uid));
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
                // fated itself has lost the stream: nothing more comes.
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
        if request == c::FIONREAD && !self.is_memory() {
            if cx.kernel.streams.ready(self.number) == 0 {
                cx.write_u32(arg, 0)?;
                return Ok(0);
            }
            if let Some(bytes) = cx.kernel.streams.piece(self.number) {
                cx.write_u32(arg, bytes as u32)?;
                return Ok(0);
            }
            return self.pass::<4>(cx, request, arg, Way::Out);
        }
        if !self.terminal {
            return Err(Errno::ENOTTY);
        }
        match request {
            c::TCGETS => self.pass::<TERMIOS>(cx, request, arg, Way::Out),
            c::TCGETS2 => self.pass::<TERMIOS2>(cx, request, arg, Way::Out),
            c::TIOCGWINSZ => self.pass::<8>(cx, request, arg, Way::Out),
            c::TIOCOUTQ | c::TIOCGETD => self.pass::<4>(cx, request, arg, Way::Out),
            c::TCSETS | c::TCSETSW | c::TCSETSF => {
                self.check_background(cx, nr::TTOU)?;
                self.pass::<TERMIOS>(cx, request, arg, Way::In)
            }
            c::TCSETS2 | c::TCSETSW2 | c::TCSETSF2 => {
                self.check_background(cx, nr::TTOU)?;
                self.pass::<TERMIOS2>(cx, request, arg, Way::In)
            }
            c::TIOCSWINSZ => self.pass::<8>(cx, request, arg, Way::In),
            // Output is out before a write returns, and flow control is the real terminal's.
            c::TCSBRK | c::TCSBRKP | c::TCXONC | c::TCFLSH => {
                self.check_background(cx, nr::TTOU)?;
                Ok(0)
            }
            c::TIOCGPGRP | c::TIOCSPGRP | c::TIOCGSID | c::TIOCSCTTY | c::TIOCNOTTY => self.control(cx, request, arg),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn name(&self) -> Vec<u8> {
        match self.device {
            Some(device) => [b"/dev/", device.name().as_bytes()].concat(),
            None => anonymous_name("pipe", self.stat.ino),
        }
    }

    fn reopen(&self, cx: &Cx, flags: u32) -> Result<Rc<dyn File>, Errno> {
        let wants_read = flags & O_ACCMODE != O_WRONLY;
        let wants_write = flags & O_ACCMODE != 0;
        Ok(Rc::new(Stream {
            kernel: self.kernel.clone(),
            number: self.number,
            console: self.console.clone(),
            reads: self.reads && wants_read,
            writes: self.writes && wants_write,
            terminal: self.terminal,
            device: self.device,
            stat: self.stat,
            ready: cx.kernel.streams.queue(&cx.kernel, self.number),
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
