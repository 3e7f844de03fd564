//! The end of a named pipe whose other end somebody outside of the run has: a stream, like those that fated has inherited.
//!
//! A guest's open waits for another guest first. Only when nothing else can happen in the run, time included, does the host wait for
//! somebody outside. Guests that wait for each other don't notice, and what outsiders do can't come before what the run does by itself.

use crate::cx::Cx;
use crate::fs::file::File;
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::ports::{Awaited, Console, FifoRequest};
use crate::sched::wait_queue::WaitQueue;
use crate::tty::stream::Stream;
use alloc::rc::Rc;

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

    /// The guest's end, which is there as long as this.
    #[must_use]
    pub fn open(&self, cx: &Cx, flags: u32) -> Rc<dyn File> {
        self.console.fifo(self.number, &FifoRequest::Take);
        cx.kernel.streams.consumed(self.number, u64::MAX, None);
        Rc::new(Stream::new(cx, self.number, FileStat::default(), Some(flags)))
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        self.console.fifo(self.number, &FifoRequest::Close);
    }
}
