//! Pipes (pipe(7)): what stands between the ends. `ring` has the buffers, [`end`] the ends, which are files.
//!
//! A pipe lives as long as an end of it is open. [`Fifo`](super::fifo) gives an end the name of a file.

pub mod end;
mod ring;

use crate::ipc::pipe::ring::Ring;
use crate::sched::wait_queue::WaitQueue;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

/// The pipe between the ends.
#[derive(Debug)]
pub struct Pipe {
    ino: u64,
    made_ns: u64,
    ring: RefCell<Ring>,
    readers: Cell<usize>,
    writers: Cell<usize>,
    /// How often a reading and a writing end have been opened so far.
    opened: Cell<(u64, u64)>,
    /// Woken when data comes or the writers change, when room comes or the readers change, and at both.
    filled: WaitQueue,
    drained: WaitQueue,
    changed: WaitQueue,
}

impl Pipe {
    /// An empty pipe without ends.
    #[must_use]
    pub fn new(ino: u64, now_ns: u64) -> Rc<Pipe> {
        Rc::new(Pipe {
            ino,
            made_ns: now_ns,
            ring: RefCell::new(Ring::new()),
            readers: Cell::new(0),
            writers: Cell::new(0),
            opened: Cell::default(),
            filled: WaitQueue::default(),
            drained: WaitQueue::default(),
            changed: WaitQueue::default(),
        })
    }

    /// Whether the reading end, and the writing end, is open.
    #[must_use]
    pub fn ends(&self) -> (bool, bool) {
        (self.readers.get() > 0, self.writers.get() > 0)
    }

    /// How often the reading end, and the writing end, have been opened so far.
    #[must_use]
    pub fn opened(&self) -> (u64, u64) {
        self.opened.get()
    }

    /// Woken when data, room or ends come or go.
    #[must_use]
    pub fn changed(&self) -> &WaitQueue {
        &self.changed
    }

    fn ends_changed(&self, reader: bool, writer: bool) {
        if writer {
            self.filled.wake();
        }
        if reader {
            self.drained.wake();
        }
        self.changed.wake();
    }

    fn is_full(&self) -> bool {
        self.ring.borrow().is_full()
    }
}
