//! The end of a named pipe whose other end somebody outside of the run has: a stream, like those that fated has inherited.
//!
//! A guest's open waits for another guest first. Only when nothing else can happen in the run, time included, does the host wait for
//! somebody outside. Guests that wait for each other don't notice, and what outsiders do can't come before what the run does by itself.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::File;
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::ports::{Awaited, Console, FifoRequest};
use crate::sched::wait_queue::WaitQueue;
use crate::tty::stream::Stream;
use alloc::rc::Rc;
use core::any::Any;

/// A wait for somebody outside, and then what was waited for. Dropping it closes the pipe.
#[derive(Debug)]
pub struct Outsider {
    number: i32,
    console: Rc<dyn Console>,
    /// Woken when the other end is there.
    pub came: WaitQueue,
}

impl Outsider {
    /// Awaits the other end of the pipe at a real path. `None` if nobody can be outside.
    pub fn awaited(cx: &Cx, path: &[u8], writes: bool) -> Option<Outsider> {
        let (console, streams) = (cx.kernel.console.clone(), &cx.kernel.streams);
        let number = streams.new_fifo();
        let came = streams.queue(number);
        console.fifo(number, &FifoRequest::Await { path, writes }).then_some(Outsider { number, console, came })
    }

    /// What a task waits for that sleeps until somebody comes.
    #[must_use]
    pub fn wanted(&self) -> Awaited {
        Awaited { stream: self.number, bits: poll::PRI, want: 1 }
    }

    /// Whether the other end is there.
    #[must_use]
    pub fn has_come(&self, cx: &Cx) -> bool {
        cx.kernel.streams.ready(self.number) & poll::PRI != 0
    }

    /// The guest's end.
    #[must_use]
    pub fn open(self, cx: &Cx, flags: u32) -> Rc<dyn File> {
        self.console.fifo(self.number, &FifoRequest::Take);
        cx.kernel.streams.consumed(self.number, u64::MAX, None);
        let stream = Stream::new(cx, self.number, FileStat::default(), Some(flags));
        Rc::new(End { stream: Rc::new(stream), _outsider: Rc::new(self) })
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        self.console.fifo(self.number, &FifoRequest::Close);
    }
}

/// An end that guests have open.
#[derive(Debug)]
struct End {
    stream: Rc<dyn File>,
    /// Closed with the last one.
    _outsider: Rc<Outsider>,
}

impl File for End {
    fn read(&self, cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        self.stream.read(cx, to)
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        self.stream.write(cx, from)
    }

    fn writes_all(&self) -> bool {
        self.stream.writes_all()
    }

    fn poll(&self) -> u32 {
        self.stream.poll()
    }

    fn queue(&self) -> Option<&WaitQueue> {
        self.stream.queue()
    }

    fn stream(&self) -> Option<i32> {
        self.stream.stream()
    }

    fn ask(&self) {
        self.stream.ask();
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        self.stream.stat(cx)
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        self.stream.ioctl(cx, request, arg)
    }

    fn name(&self) -> alloc::vec::Vec<u8> {
        self.stream.name()
    }

    fn reopen(&self, cx: &Cx, flags: u32) -> Result<Rc<dyn File>, Errno> {
        Ok(Rc::new(End { stream: self.stream.reopen(cx, flags)?, _outsider: self._outsider.clone() }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
