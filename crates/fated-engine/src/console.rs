//! The streams of a run: those of fated itself, or buffers in memory.

use crate::fifos::{Fifos, events};
use crate::{signals, sys};
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::ports::{Awaited, Console, FIFOS, FifoRequest};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The streams of fated itself: the standard ones, and others that it has inherited.
#[derive(Clone, Debug, Default)]
pub struct Standard {
    /// The numbers of the others. What fated has under any other number is its own.
    pub others: Vec<i32>,
    /// Named pipes, which somebody outside may have, too.
    fifos: Rc<Fifos>,
}

impl Standard {
    /// Those that fated has inherited under these numbers.
    #[must_use]
    pub fn with(others: Vec<i32>) -> Standard {
        Standard { others, ..Standard::default() }
    }

    fn has(&self, fd: i32) -> bool {
        (0..=2).contains(&fd) || self.others.contains(&fd)
    }

    /// The descriptor behind a stream.
    fn descriptor(&self, fd: i32) -> Option<i32> {
        if fd >= FIFOS { self.fifos.descriptor(fd) } else { self.has(fd).then_some(fd) }
    }

    /// Writes all of it, as far as that is possible.
    fn write_all(&self, fd: i32, data: &[u8]) {
        let mut rest = data;
        while let Ok(count @ 1..) = self.write(fd, rest) {
            rest = &rest[count..];
        }
    }
}

/// What poll(2) needs to wait for these streams. Named pipes have to be looked at again and again.
#[must_use]
pub fn poll_set(streams: &[Awaited]) -> Vec<libc::pollfd> {
    let events = |bits: u32| i16::try_from(bits & 0x7fff).unwrap_or(0);
    streams
        .iter()
        .map(|it| libc::pollfd {
            fd: if it.stream < FIFOS { it.stream } else { -1 },
            events: events(it.bits),
            revents: 0,
        })
        .collect()
}

impl Console for Standard {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        // A run that repeats another one needn't be given its streams.
        let Some(fd) = self.descriptor(fd) else { return Ok(0) };
        let readable = libc::POLLIN | libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;
        if events(fd) & u32::from(readable.cast_unsigned()) == 0 {
            return Err(Errno::EAGAIN);
        }
        // If another process has taken the data meanwhile, the read blocks until a tick interrupts it: no data after all.
        sys::read(fd, buf).map_err(|errno| if errno == Errno::EINTR { Errno::EAGAIN } else { errno })
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
        let Some(fd) = self.descriptor(fd) else { return Ok(data.len()) };
        loop {
            match sys::write(fd, data) {
                // The user ends the run while nobody reads the stream. The guest won't see this error.
                Err(Errno::EINTR | Errno::EAGAIN) if signals::fatal().is_some() => return Err(Errno::EIO),
                Err(Errno::EINTR) => {}
                // Another process has made the stream non-blocking, which the guest must not see.
                Err(Errno::EAGAIN) => {
                    let _ = sys::poll(&mut [libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }], -1);
                }
                other => return other,
            }
        }
    }

    fn poll(&self, fd: i32, _want: u64) -> u32 {
        match fd {
            FIFOS.. => self.fifos.poll(fd),
            _ if self.has(fd) => events(fd),
            _ => (libc::POLLIN | libc::POLLOUT) as u32,
        }
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        sys::statx(self.descriptor(fd).ok_or(Errno::EBADF)?, c"", libc::AT_EMPTY_PATH)
    }

    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        sys::ioctl(self.descriptor(fd).ok_or(Errno::ENOTTY)?, request, arg)
    }

    fn fifo(&self, number: i32, request: &FifoRequest<'_>) -> bool {
        self.fifos.ask(number, request)
    }
}

/// Streams in memory: input is given, output is collected. The guest sees pipes.
#[derive(Debug)]
pub struct Captured {
    streams: RefCell<BTreeMap<i32, Memory>>,
    /// Where output goes, too, and what isn't in memory.
    real: Standard,
    tee: bool,
}

/// A stream in memory.
#[derive(Debug, Default)]
struct Memory {
    input: Vec<u8>,
    /// How much of it has been read.
    at: usize,
    output: Vec<u8>,
}

impl Captured {
    /// The standard streams; standard input is `input`. With `tee`, output also goes to fated's own streams.
    #[must_use]
    pub fn new(input: Vec<u8>, tee: bool) -> Captured {
        let captured = Captured { streams: RefCell::default(), real: Standard::default(), tee };
        captured.with(0, input).with(1, Vec::new()).with(2, Vec::new())
    }

    /// Another stream.
    #[must_use]
    pub fn with(mut self, fd: i32, input: Vec<u8>) -> Captured {
        self.real.others.push(fd);
        self.streams.borrow_mut().insert(fd, Memory { input, ..Memory::default() });
        self
    }

    /// An inherited stream that is not in memory: a device that is the same in each run.
    #[must_use]
    pub fn with_real(mut self, fd: i32) -> Captured {
        self.real.others.push(fd);
        self
    }

    /// The output so far, by stream.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<i32, Vec<u8>> {
        self.streams.borrow().iter().map(|(&fd, stream)| (fd, stream.output.clone())).collect()
    }

    /// The output so far: standard output, standard error.
    #[must_use]
    pub fn output(&self) -> [Vec<u8>; 2] {
        let mut outputs = self.outputs();
        [1, 2].map(|fd| outputs.remove(&fd).unwrap_or_default())
    }

    fn has(&self, fd: i32) -> bool {
        self.streams.borrow().contains_key(&fd)
    }
}

impl Console for Captured {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams.get_mut(&fd) else { return self.real.read(fd, buf) };
        let len = buf.len().min(stream.input.len() - stream.at);
        buf[..len].copy_from_slice(&stream.input[stream.at..stream.at + len]);
        stream.at += len;
        Ok(len)
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
        if let Some(stream) = self.streams.borrow_mut().get_mut(&fd) {
            stream.output.extend_from_slice(data);
        } else {
            return self.real.write(fd, data);
        }
        if self.tee {
            self.real.write_all(fd, data);
        }
        Ok(data.len())
    }

    fn poll(&self, fd: i32, _want: u64) -> u32 {
        let events = match fd {
            0 => libc::POLLIN,
            1 | 2 => libc::POLLOUT,
            _ => libc::POLLIN | libc::POLLOUT,
        };
        u32::from(events.cast_unsigned())
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        if !self.has(fd) {
            return self.real.stat(fd);
        }
        let mode = libc::S_IFIFO | 0o600;
        Ok(FileStat { mode, nlink: 1, ino: u64::from(fd.cast_unsigned()) + 1, blksize: 4096, ..FileStat::default() })
    }

    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        if self.has(fd) { Err(Errno::ENOTTY) } else { self.real.ioctl(fd, request, arg) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_streams_give_and_take() {
        let streams = Captured::new(b"hello".to_vec(), false);
        let mut buf = [0; 3];
        assert_eq!(streams.read(0, &mut buf), Ok(3));
        assert_eq!(streams.read(0, &mut buf), Ok(2));
        assert_eq!(streams.read(0, &mut buf), Ok(0), "the end");
        assert_eq!(streams.write(2, b"oops"), Ok(4));
        assert_eq!(streams.output(), [vec![], b"oops".to_vec()]);
        let more = streams.with(7, b"in".to_vec());
        assert_eq!((more.read(7, &mut buf), more.write(7, b"out")), (Ok(2), Ok(3)));
        assert_eq!(more.outputs()[&7], b"out");
    }
}
