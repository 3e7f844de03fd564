//! Named pipes whose other end somebody outside of the run may open. They are streams with numbers of their own
//! ([`fated_kernel::ports::FIFOS`]).
//!
//! Invariant: nothing here blocks, and nothing is read before a guest reads.

use crate::sys;
use fated_kernel::fs::poll;
use fated_kernel::ports::FifoRequest;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// The pipes that guests have open, or wait for.
#[derive(Debug, Default)]
pub(crate) struct Fifos(RefCell<BTreeMap<i32, Fifo>>);

/// One of them.
#[derive(Debug)]
struct Fifo {
    path: PathBuf,
    writes: bool,
    /// Our end, once it could be opened.
    file: Option<File>,
    /// It was empty at some time since.
    was_empty: bool,
    /// How often it wasn't.
    looks: u32,
    /// A guest has it, as the other end was there.
    taken: bool,
}

impl Fifo {
    /// Opens our end. For writing that is possible only once somebody reads.
    fn open(&self) -> Option<File> {
        let mut options = OpenOptions::new();
        let file =
            options.read(!self.writes).write(self.writes).custom_flags(libc::O_NONBLOCK).open(&self.path).ok()?;
        file.metadata().is_ok_and(|it| it.file_type().is_fifo()).then_some(file)
    }

    /// Whether the other end is there.
    fn is_met(&mut self) -> bool {
        if self.file.is_none() {
            self.file = self.open();
        }
        self.writes && self.file.is_some() || self.has_writer()
    }

    /// Whether somebody has the pipe open for writing, or has had it since we opened it.
    fn has_writer(&mut self) -> bool {
        let Some(file) = &self.file else { return false };
        let bits = events(file.as_raw_fd());
        if bits & poll::IN == 0 {
            self.was_empty = true;
        }
        if bits & (poll::IN | poll::HUP) == poll::IN && !self.was_empty {
            // It may be for another reader, from a writer who has gone.
            self.looks += 1;
            return self.looks > PATIENCE;
        }
        // tee(2) from an empty pipe fails with EAGAIN if there is a writer, and gives 0 if there is none. It takes nothing.
        let is_there = |writer: std::io::PipeWriter| sys::tee(file.as_raw_fd(), writer.as_raw_fd(), 1) != Ok(0);
        bits & (poll::IN | poll::HUP) != 0 || std::io::pipe().is_ok_and(|(_reader, writer)| is_there(writer))
    }
}

/// How often we look at what was in a pipe before we opened it, until we take it for a writer's who is there.
const PATIENCE: u32 = 50;

/// The `POLL*` bits of a descriptor now.
pub(crate) fn events(fd: RawFd) -> u32 {
    let events = libc::POLLIN | libc::POLLOUT | libc::POLLPRI | libc::POLLRDHUP;
    let mut fds = [libc::pollfd { fd, events, revents: 0 }];
    sys::poll(&mut fds, 0).map_or(0, |_| u32::from(fds[0].revents.cast_unsigned()))
}

impl Fifos {
    /// Carries out what the kernel asks for.
    pub(crate) fn ask(&self, number: i32, request: &FifoRequest<'_>) -> bool {
        let mut fifos = self.0.borrow_mut();
        match request {
            FifoRequest::Await { path, writes } => {
                let path = OsStr::from_bytes(path).into();
                fifos.insert(
                    number,
                    Fifo { path, writes: *writes, file: None, was_empty: false, looks: 0, taken: false },
                );
            }
            FifoRequest::Take => fifos.get_mut(&number).into_iter().for_each(|fifo| fifo.taken = true),
            FifoRequest::Close => drop(fifos.remove(&number)),
        }
        true
    }

    /// The descriptor behind a number.
    pub(crate) fn descriptor(&self, number: i32) -> Option<RawFd> {
        self.0.borrow().get(&number)?.file.as_ref().map(|file| file.as_raw_fd())
    }

    /// What poll(2) says of a pipe that a guest has; `POLLPRI` if the other end of one that it waits for is there.
    pub(crate) fn poll(&self, number: i32) -> u32 {
        let mut fifos = self.0.borrow_mut();
        let Some(fifo) = fifos.get_mut(&number) else { return 0 };
        if fifo.taken {
            return fifo.file.as_ref().map_or(0, |file| events(file.as_raw_fd()));
        }
        if fifo.is_met() { poll::PRI } else { 0 }
    }
}
