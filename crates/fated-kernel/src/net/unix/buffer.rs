//! What is between two endpoints: messages, and how much of them there may be.
//!
//! Sent bytes are counted as Linux counts them, by the size of the packet buffers that they would take. So the same writes fit.

use crate::errno::Errno;
use crate::net::BUFFER;
use crate::net::msg::Sender;
use crate::net::unix::rights::Right;
use crate::sched::wait_queue::WaitQueue;
use alloc::{collections::VecDeque, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};

/// No more is received: bit of a shutdown.
pub(super) const RECEIVE: u8 = 1;
/// No more is sent.
pub(super) const SEND: u8 = 2;

/// The size of a page.
pub(super) const PAGE: usize = 4096;

/// What belongs to one endpoint and is seen by the other.
#[derive(Debug)]
pub(super) struct Half {
    /// What has arrived here and has not been received.
    pub messages: RefCell<VecDeque<Message>>,
    /// What this endpoint has sent and the other has not received, as buffers count.
    pub unsent: Cell<usize>,
    /// `SO_SNDBUF`.
    pub limit: Cell<usize>,
    shut: Cell<u8>,
    pub error: Cell<Option<Errno>>,
    pub closed: Cell<bool>,
    pub changed: WaitQueue,
}

/// A message, or a piece of a stream.
#[derive(Debug)]
pub(super) struct Message {
    pub bytes: Vec<u8>,
    /// How many of them have been received.
    pub start: usize,
    pub cost: usize,
    pub rights: Vec<Right>,
    pub sender: Sender,
}

impl Half {
    pub fn new(changed: WaitQueue) -> Rc<Half> {
        Rc::new(Half {
            messages: RefCell::default(),
            unsent: Cell::new(0),
            limit: Cell::new(BUFFER),
            shut: Cell::new(0),
            error: Cell::new(None),
            closed: Cell::new(false),
            changed,
        })
    }

    pub fn is_shut(&self, way: u8) -> bool {
        self.shut.get() & way != 0
    }

    pub fn shut(&self, ways: u8) {
        self.shut.set(self.shut.get() | ways);
    }

    /// `EAGAIN` if no more may be sent before something has been received.
    pub fn check_room(&self) -> Result<(), Errno> {
        if self.unsent.get() < self.limit.get() { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    /// Something that this endpoint has sent is gone from the queue of the other.
    pub fn was_received(&self, cost: usize) {
        self.unsent.set(self.unsent.get().saturating_sub(cost));
    }
}

/// The size of the buffer for `len` bytes (`alloc_skb_with_frags`, `skb->truesize`): a head up to the next power of two, and pages for
/// what is more than `linear`.
pub(super) fn cost(len: usize, linear: usize) -> usize {
    const HEAD: usize = 256;
    const SHARED: usize = 320;
    let paged = len.saturating_sub(linear).next_multiple_of(PAGE).min(len);
    HEAD + (len - paged + SHARED).next_power_of_two().max(512) + paged.next_multiple_of(PAGE)
}
