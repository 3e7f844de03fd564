//! The standard streams of a run: those of fated itself, or buffers in memory.

use crate::{signals, sys};
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::ports::{Awaited, Console};
use std::cell::RefCell;

/// The standard streams of fated itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

/// The events that [`libc::poll`] reports for a descriptor now.
fn ready(fd: i32) -> u32 {
    let events = libc::POLLIN | libc::POLLOUT | libc::POLLPRI | libc::POLLRDHUP;
    let mut fds = [libc::pollfd { fd, events, revents: 0 }];
    match sys::poll(&mut fds, 0) {
        Ok(_) => u32::from(fds[0].revents.cast_unsigned()),
        Err(_) => 0,
    }
}

/// What poll(2) needs to wait for these streams.
#[must_use]
pub fn poll_set(streams: &[Awaited]) -> Vec<libc::pollfd> {
    let events = |bits: u32| i16::try_from(bits & 0x7fff).unwrap_or(0);
    streams.iter().map(|it| libc::pollfd { fd: it.stream, events: events(it.bits), revents: 0 }).collect()
}

impl Console for Standard {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let readable = libc::POLLIN | libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;
        if ready(fd) & u32::from(readable.cast_unsigned()) == 0 {
            return Err(Errno::EAGAIN);
        }
        // If another process has taken the data meanwhile, the read blocks until a tick interrupts it: no data after all.
        sys::read(fd, buf).map_err(|errno| if errno == Errno::EINTR { Errno::EAGAIN } else { errno })
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
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
        ready(fd)
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        sys::statx(fd, c"", libc::AT_EMPTY_PATH)
    }

    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        sys::ioctl(fd, request, arg)
    }
}

/// Streams in memory: standard input is given, the other two are collected. The guest sees pipes.
#[derive(Debug)]
pub struct Captured {
    input: RefCell<(Vec<u8>, usize)>,
    output: RefCell<[Vec<u8>; 2]>,
    tee: bool,
}

impl Captured {
    /// Streams whose standard input is `input`. With `tee`, output also goes to fated's own streams.
    #[must_use]
    pub fn new(input: Vec<u8>, tee: bool) -> Captured {
        Captured { input: RefCell::new((input, 0)), output: RefCell::default(), tee }
    }

    /// The output so far: standard output, standard error.
    #[must_use]
    pub fn output(&self) -> [Vec<u8>; 2] {
        self.output.borrow().clone()
    }
}

impl Console for Captured {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        if fd != 0 {
            return Err(Errno::EBADF);
        }
        let mut input = self.input.borrow_mut();
        let (bytes, at) = &mut *input;
        let len = buf.len().min(bytes.len() - *at);
        buf[..len].copy_from_slice(&bytes[*at..*at + len]);
        *at += len;
        Ok(len)
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
        let at = match fd {
            1 => 0,
            2 => 1,
            _ => return Err(Errno::EBADF),
        };
        self.output.borrow_mut()[at].extend_from_slice(data);
        if self.tee {
            let mut rest = data;
            while let Ok(count @ 1..) = Standard.write(fd, rest) {
                rest = &rest[count..];
            }
        }
        Ok(data.len())
    }

    fn poll(&self, fd: i32, _want: u64) -> u32 {
        let events = if fd == 0 { libc::POLLIN } else { libc::POLLOUT };
        u32::from(events.cast_unsigned())
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        let mode = libc::S_IFIFO | 0o600;
        Ok(FileStat { mode, nlink: 1, ino: u64::from(fd.cast_unsigned()) + 1, blksize: 4096, ..FileStat::default() })
    }

    fn ioctl(&self, _fd: i32, _request: u32, _arg: &mut [u8]) -> Result<i64, Errno> {
        Err(Errno::ENOTTY)
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
        assert_eq!(streams.write(3, b""), Err(Errno::EBADF));
        assert_eq!(streams.output(), [vec![], b"oops".to_vec()]);
    }
}
