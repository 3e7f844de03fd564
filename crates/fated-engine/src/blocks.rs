//! Standard input in blocks: what has arrived is kept until it is as much as a guest wants, or the end has come.
//!
//! Invariant: what a guest gets depends on the bytes of the input and on what guests asked for, not on when the bytes arrive. No more is
//! taken from the real stream than was asked for, so that the rest is there for whoever reads it next.

use crate::{signals, sys};
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::{FileStat, kind};
use fated_kernel::fs::poll;
use fated_kernel::ports::{Console, FIFOS, FifoRequest};
use fated_kernel::tty::input::BLOCK;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a wait looks whether the user ends the run.
const TICK_MS: i32 = 100;
/// How long a part of a block waits for the rest before the user hears of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an empty block does.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(10);

/// Streams whose standard input comes in blocks.
pub struct Blocks {
    streams: Rc<dyn Console>,
    input: RefCell<Input>,
    waits: Cell<Option<Wait>>,
    notice: Box<dyn Fn(&str)>,
    noticed: Cell<bool>,
    /// The named pipe whose other end is awaited, and since when.
    fifo: RefCell<Option<(Instant, String)>>,
}

/// What has arrived.
#[derive(Debug, Default)]
struct Input {
    bytes: Vec<u8>,
    /// How many of the bytes make a block that guests may read.
    offered: usize,
    /// No more will come.
    ended: bool,
    /// Why, if that wasn't the end.
    failed: Option<Errno>,
}

/// What ends a read before it has all that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Only the end.
    Bytes,
    /// The end of a line.
    Line,
    /// Any character.
    Character,
}

/// Guests wait for a block, of which so many bytes are there.
#[derive(Clone, Copy, Debug)]
struct Wait {
    since: Instant,
    there: usize,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("streams", &self.streams).field("input", &self.input).finish_non_exhaustive()
    }
}

impl Blocks {
    /// `streams` with standard input in blocks. `notice` takes a line for the user.
    #[must_use]
    pub fn new(streams: Rc<dyn Console>, notice: Box<dyn Fn(&str)>) -> Blocks {
        let (input, waits, noticed, fifo) = Default::default();
        Blocks { streams, input, waits, notice, noticed, fifo }
    }

    /// What ends a read. Terminals give lines, or, where a program has set them so, single characters.
    fn unit(&self) -> Unit {
        const LOCAL_MODES: usize = 12;
        const ICANON: u8 = 2;
        let mut termios = [0; 36];
        let is_device = self.streams.stat(0).is_ok_and(|stat| stat.is(kind::CHARACTER));
        match self.streams.ioctl(0, libc::TCGETS as u32, &mut termios) {
            Ok(_) if is_device && termios[LOCAL_MODES] & ICANON == 0 => Unit::Character,
            Ok(_) if is_device => Unit::Line,
            _ => Unit::Bytes,
        }
    }

    /// Takes what has arrived. `Some`: it makes a block of so many bytes for a read of `want`; 0 at the end.
    fn fill(&self, input: &mut Input, want: usize) -> Option<usize> {
        let unit = self.unit();
        loop {
            let bytes = &input.bytes[..input.bytes.len().min(want)];
            let block = match unit {
                Unit::Bytes => None,
                Unit::Line => bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1),
                Unit::Character => bytes.first().map(|_| 1),
            };
            if block.is_some() || bytes.len() == want || input.ended {
                self.waits.set(None);
                return Some(block.unwrap_or(bytes.len()));
            }
            if self.streams.poll(0, 1) & (poll::IN | poll::HUP | poll::ERR | poll::NVAL) == 0 {
                return None;
            }
            let mut more = vec![0; want - input.bytes.len()];
            match self.streams.read(0, &mut more) {
                Ok(0) => input.ended = true,
                Ok(len) => input.bytes.extend_from_slice(&more[..len]),
                Err(Errno::EAGAIN) => return None,
                Err(errno) => (input.ended, input.failed) = (true, Some(errno)),
            }
        }
    }

    /// Whether no more will come. Behind a whole block only the stream itself knows.
    fn is_at_end(&self, input: &Input) -> bool {
        input.ended || input.offered == BLOCK as usize && self.streams.poll(0, 1) & poll::HUP != 0
    }

    /// Blocks for `want` bytes, or the end.
    fn await_block(&self, input: &mut Input, want: usize) -> Result<(), Errno> {
        loop {
            if let Some(block) = self.fill(input, want) {
                input.offered = block;
                return Ok(());
            }
            // The user ends the run. The guest won't see this error.
            if signals::fatal().is_some() {
                return Err(Errno::EIO);
            }
            self.note_wait(input.bytes.len(), want);
            // EINTR is expected; nothing else can fail.
            let _ = sys::poll(&mut [libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 }], TICK_MS);
        }
    }

    /// Tells the user once if the rest of a block doesn't come.
    #[expect(clippy::disallowed_methods, reason = "the user is told after some real time; guests don't see it")]
    fn note_wait(&self, there: usize, want: usize) {
        let now = Wait { since: Instant::now(), there };
        let wait = self.waits.get().filter(|wait| wait.there == there).unwrap_or(now);
        self.waits.set(Some(wait));
        let patience = if there > 0 { PATIENCE } else { PATIENCE_AT_FIRST };
        if wait.since.elapsed() >= patience && !self.noticed.replace(true) {
            (self.notice)(&format!(
                "all guests wait for standard input: {there} bytes have come of the {want} that are asked for, or for its end. To answer a \
                 program that waits for an answer itself, run with --input live"
            ));
        }
    }

    /// Tells the user once if nobody opens the other end of a named pipe.
    fn note_fifo(&self) {
        if let Some((since, path)) = &*self.fifo.borrow()
            && since.elapsed() >= PATIENCE_AT_FIRST
            && !self.noticed.replace(true)
        {
            (self.notice)(&format!(
                "all guests wait, one of them for somebody outside to open the other end of {path}"
            ));
        }
    }
}

impl Console for Blocks {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        if fd != 0 {
            return self.streams.read(fd, buf);
        }
        let input = &mut *self.input.borrow_mut();
        if input.offered == 0 {
            self.await_block(input, buf.len())?;
        }
        if input.offered == 0 {
            return input.failed.take().map_or(Ok(0), Err);
        }
        let len = buf.len().min(input.offered);
        buf[..len].copy_from_slice(&input.bytes[..len]);
        input.bytes.drain(..len);
        input.offered -= len;
        Ok(len)
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
        self.streams.write(fd, data)
    }

    fn poll(&self, fd: i32, want: u64) -> u32 {
        if fd != 0 {
            let bits = self.streams.poll(fd, want);
            if fd >= FIFOS && bits == 0 {
                self.note_fifo();
            }
            return bits;
        }
        let want = want.clamp(1, BLOCK) as usize;
        let input = &mut *self.input.borrow_mut();
        let Some(block) = self.fill(input, want) else {
            self.note_wait(input.bytes.len(), want);
            return 0;
        };
        input.offered = block;
        match input.failed {
            // As a pipe without a writer: the end shows as soon as it is known.
            None if input.offered > 0 && self.unit() == Unit::Bytes && self.is_at_end(input) => poll::IN | poll::HUP,
            _ if input.offered > 0 => poll::IN,
            Some(_) => poll::IN | poll::ERR,
            None if self.unit() == Unit::Bytes => poll::HUP,
            None => poll::IN,
        }
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        self.streams.stat(fd)
    }

    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        match arg.first_chunk_mut() {
            Some(bytes) if fd == 0 && libc::Ioctl::from(request) == libc::FIONREAD => {
                *bytes = (self.input.borrow().offered as u32).to_le_bytes();
                Ok(0)
            }
            _ => self.streams.ioctl(fd, request, arg),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the user is told after some real time; guests don't see it")]
    fn fifo(&self, number: i32, request: &FifoRequest<'_>) -> bool {
        let awaited = match request {
            FifoRequest::Await { path, .. } => Some((Instant::now(), String::from_utf8_lossy(path).into_owned())),
            FifoRequest::Take | FifoRequest::Close => None,
        };
        self.fifo.replace(awaited);
        self.streams.fifo(number, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of pieces; an empty one is a moment at which nothing is there.
    #[derive(Debug)]
    struct Pieces(RefCell<Vec<&'static [u8]>>);

    impl Console for Pieces {
        fn read(&self, _fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
            let mut pieces = self.0.borrow_mut();
            let Some(piece) = pieces.first_mut() else { return Ok(0) };
            let len = piece.len().min(buf.len());
            buf[..len].copy_from_slice(&piece[..len]);
            *piece = &piece[len..];
            if piece.is_empty() {
                pieces.remove(0);
            }
            Ok(len)
        }
        fn write(&self, _fd: i32, _data: &[u8]) -> Result<usize, Errno> {
            Err(Errno::EBADF)
        }
        fn poll(&self, _fd: i32, _want: u64) -> u32 {
            let mut pieces = self.0.borrow_mut();
            if pieces.first().is_some_and(|piece| piece.is_empty()) {
                pieces.remove(0);
                return 0;
            }
            poll::IN
        }
        fn stat(&self, _fd: i32) -> Result<FileStat, Errno> {
            Err(Errno::EBADF)
        }
        fn ioctl(&self, _fd: i32, _request: u32, _arg: &mut [u8]) -> Result<i64, Errno> {
            Err(Errno::ENOTTY)
        }
    }

    /// What a guest gets that reads so many bytes at a time.
    fn reads(pieces: &[&'static [u8]], size: usize) -> Vec<Vec<u8>> {
        let blocks = Blocks::new(Rc::new(Pieces(RefCell::new(pieces.to_vec()))), Box::new(|_| {}));
        let mut all = Vec::new();
        loop {
            while blocks.poll(0, size as u64) == 0 {}
            let mut queued = [0; 4];
            assert_eq!(blocks.ioctl(0, libc::FIONREAD as u32, &mut queued), Ok(0));
            let mut bytes = vec![0; size];
            let len = blocks.read(0, &mut bytes).expect("it can be read");
            assert_eq!(u32::from_le_bytes(queued) as usize, len);
            if len == 0 {
                return all;
            }
            all.push(bytes[..len].to_vec());
        }
    }

    #[test]
    fn pieces_do_not_show() {
        let expected: Vec<Vec<u8>> = [&b"abc"[..], b"def", b"g"].iter().map(|it| it.to_vec()).collect();
        assert_eq!(reads(&[b"abcdefg"], 3), expected);
        assert_eq!(reads(&[b"ab", b"", b"c", b"", b"", b"defg"], 3), expected);
        assert_eq!(reads(&[b"", b"a", b"b", b"c", b"d", b"", b"e", b"f", b"g", b""], 3), expected);
        assert_eq!(reads(&[b""], 3), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn the_end_shows_as_soon_as_it_is_known() {
        let blocks = Blocks::new(Rc::new(Pieces(RefCell::new(vec![b"abcde"]))), Box::new(|_| {}));
        assert_eq!(blocks.poll(0, 5), poll::IN);
        let blocks = Blocks::new(Rc::new(Pieces(RefCell::new(vec![b"ab"]))), Box::new(|_| {}));
        assert_eq!(blocks.poll(0, 5), poll::IN | poll::HUP);
        assert_eq!(blocks.read(0, &mut [0; 5]), Ok(2));
        assert_eq!(blocks.poll(0, 5), poll::HUP);
        assert_eq!(blocks.read(0, &mut [0; 5]), Ok(0));
    }
}
