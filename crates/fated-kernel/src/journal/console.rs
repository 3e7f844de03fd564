//! The console of a run with a journal: what comes in is recorded, or comes from the journal.
//!
//! Answers that the kernel always gets in the same order (reads, stat, most ioctls) are entries by themselves. What it asks again and
//! again while it waits (readiness, `FIONREAD`) is an entry only where the answer has changed, with the moment. Output goes out in
//! either case; a write is an entry only if the stream didn't take all of it.
//!
//! Invariant: while a journal is obeyed, nothing is asked of the real console.

use crate::errno::Errno;
use crate::fs::inode::FileStat;
use crate::journal::Journal;
use crate::journal::entry::Entry;
use crate::ports::{Console, FifoRequest};
use alloc::{collections::BTreeMap, format, rc::Rc, vec::Vec};
use core::cell::RefCell;
use linux_raw_sys::ioctl::FIONREAD;

/// A console beside a journal.
#[derive(Debug)]
pub struct Recorded {
    console: Rc<dyn Console>,
    journal: Rc<Journal>,
    streams: RefCell<BTreeMap<i32, Stream>>,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ready: u32,
    queued: Result<u32, Errno>,
    writes: u64,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream { ready: 0, queued: Ok(0), writes: 0 }
    }
}

impl Recorded {
    /// `console`, with a journal.
    #[must_use]
    pub fn new(console: Rc<dyn Console>, journal: Rc<Journal>) -> Recorded {
        Recorded { console, journal, streams: RefCell::default() }
    }

    fn with<T>(&self, fd: i32, change: impl FnOnce(&mut Stream) -> T) -> T {
        change(self.streams.borrow_mut().entry(fd).or_default())
    }

    /// An answer from the journal, or the real one, which is recorded.
    fn answer<T: Clone>(
        &self,
        asked: &str,
        of_entry: impl FnOnce(&Entry) -> Option<Result<T, Errno>>,
        real: impl FnOnce() -> Result<T, Errno>,
        entry: impl FnOnce(Result<T, Errno>) -> Entry,
    ) -> Result<T, Errno> {
        let result = match self.journal.require(asked, of_entry) {
            Some(result) => result,
            // The run is about to end.
            None if self.journal.has_failed() => return Err(Errno::EIO),
            None => real(),
        };
        self.journal.write(|| entry(result.clone()));
        result
    }

    /// How many bytes have come in.
    fn queued(&self, fd: i32, arg: &mut [u8]) -> Result<i64, Errno> {
        let at = self.journal.moment();
        let of_entry = |entry: &Entry| match entry {
            Entry::Queued { fd: stream, bytes, .. } if *stream == fd => Some(*bytes),
            _ => None,
        };
        let last = self.with(fd, |stream| stream.queued);
        let now = if self.journal.goes_on() {
            self.journal.take_due(of_entry).unwrap_or(last)
        } else {
            let mut bytes = [0; 4];
            self.console.ioctl(fd, FIONREAD, &mut bytes).map(|_| u32::from_le_bytes(bytes))
        };
        if now != last {
            self.with(fd, |stream| stream.queued = now);
            self.journal.write(|| Entry::Queued { fd, bytes: now, at });
        }
        if let Some(arg) = arg.first_chunk_mut() {
            *arg = now?.to_le_bytes();
        }
        now.map(|_| 0)
    }

    /// Writes all of `data`, whatever the stream is now: the run has seen that it went out.
    fn write_out(&self, fd: i32, mut data: &[u8]) {
        while let Ok(count @ 1..) = self.console.write(fd, data) {
            data = data.get(count..).unwrap_or_default();
        }
    }
}

impl Console for Recorded {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let room = buf.len();
        let asked = format!("a read of at most {room} bytes from stream {fd}");
        let of_entry = |entry: &Entry| match entry {
            Entry::Read { fd: stream, result } if *stream == fd => {
                Some(result.clone()).filter(|it| it.as_ref().is_ok_and(|bytes| bytes.len() <= room) || it.is_err())
            }
            _ => None,
        };
        let real = || {
            let mut bytes = alloc::vec![0; room];
            let len = self.console.read(fd, &mut bytes)?;
            bytes.truncate(len);
            Ok(bytes)
        };
        let bytes: Vec<u8> = self.answer(&asked, of_entry, real, |result| Entry::Read { fd, result })?;
        if let Some(to) = buf.get_mut(..bytes.len()) {
            to.copy_from_slice(&bytes);
        }
        Ok(bytes.len())
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
        let write = self.with(fd, |stream| {
            stream.writes += 1;
            stream.writes - 1
        });
        let result = if self.journal.goes_on() {
            let short = self.journal.take(|entry| match entry {
                Entry::Short { fd: stream, write: nth, result } if (*stream, *nth) == (fd, write) => Some(*result),
                _ => None,
            });
            let result = short.map_or(Ok(data.len()), |it| it.map(|len| data.len().min(len as usize)));
            self.write_out(fd, data.get(..result.unwrap_or(0)).unwrap_or_default());
            result
        } else {
            self.console.write(fd, data)
        };
        if result != Ok(data.len()) {
            self.journal.write(|| Entry::Short { fd, write, result: result.map(|len| len as u64) });
        }
        result
    }

    fn poll(&self, fd: i32, want: u64) -> u32 {
        let at = self.journal.moment();
        let last = self.with(fd, |stream| stream.ready);
        let of_entry = |entry: &Entry| match entry {
            Entry::Ready { fd: stream, bits, .. } if *stream == fd => Some(*bits),
            _ => None,
        };
        let now = if self.journal.goes_on() {
            self.journal.take_due(of_entry).unwrap_or(last)
        } else {
            self.console.poll(fd, want)
        };
        if now != last {
            self.with(fd, |stream| stream.ready = now);
            self.journal.write(|| Entry::Ready { fd, bits: now, at });
        }
        now
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        let of_entry = |entry: &Entry| match entry {
            Entry::Stat { fd: stream, result } if *stream == fd => Some(result.map(|[mode, uid, gid, rdev]| {
                FileStat { mode: mode as u32, uid: uid as u32, gid: gid as u32, rdev, ..FileStat::default() }
            })),
            _ => None,
        };
        let real = || self.console.stat(fd);
        self.answer(&format!("what stream {fd} is"), of_entry, real, |result| Entry::stat(fd, result))
    }

    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        if request == FIONREAD {
            return self.queued(fd, arg);
        }
        let asked = format!("ioctl {request:#x} on stream {fd}");
        let size = arg.len();
        let of_entry = |entry: &Entry| match entry {
            Entry::Ioctl { fd: stream, request: number, result } if (*stream, *number) == (fd, request) => {
                Some(result.clone()).filter(|it| it.as_ref().is_ok_and(|(_, arg)| arg.len() <= size) || it.is_err())
            }
            _ => None,
        };
        let before = arg.to_vec();
        let real = || {
            let mut after = before.clone();
            let value = self.console.ioctl(fd, request, &mut after)?;
            // What only goes in is not part of the answer.
            Ok((value, if after == before { Vec::new() } else { after }))
        };
        let entry = |result| Entry::Ioctl { fd, request, result };
        let (value, after): (i64, Vec<u8>) = self.answer(&asked, of_entry, real, entry)?;
        if let Some(to) = arg.get_mut(..after.len()) {
            to.copy_from_slice(&after);
        }
        Ok(value)
    }

    fn fifo(&self, number: i32, request: &FifoRequest<'_>) -> bool {
        // Nobody has to be there again.
        self.journal.goes_on() || self.console.fifo(number, request)
    }
}
