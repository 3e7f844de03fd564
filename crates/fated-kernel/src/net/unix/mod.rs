//! Unix sockets (unix(7)): pairs without names (socketpair(2)).
//!
//! Two endpoints share two halves. An endpoint sends to the other's half and receives from its own; what the other one has to see,
//! such as a shutdown, is in the half too.

mod buffer;
mod datagram;
pub mod in_flight;
pub mod rights;
mod stream;

use crate::errno::Errno;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::net::Kind;
use crate::net::msg::{Ancillary, Receive, Received, Sender};
use crate::net::unix::buffer::{Half, Message, RECEIVE, SEND, cost};
use crate::sched::wait_queue::WaitQueue;
use alloc::{rc::Rc, vec::Vec};

/// One end of a pair.
#[derive(Debug)]
pub struct Endpoint {
    kind: Kind,
    own: Rc<Half>,
    peer: Rc<Half>,
    /// Who made the pair.
    maker: Sender,
}

impl Endpoint {
    /// Two ends that are connected to each other, with a queue for each.
    #[must_use]
    pub fn pair(queues: [WaitQueue; 2], kind: Kind, maker: Sender) -> [Endpoint; 2] {
        let [first, second] = queues.map(Half::new);
        [(first.clone(), second.clone()), (second, first)].map(|(own, peer)| Endpoint { kind, own, peer, maker })
    }

    /// Who made the pair.
    #[must_use]
    pub fn maker(&self) -> Sender {
        self.maker
    }

    /// How much may be sent and not received.
    #[must_use]
    pub fn send_buffer(&self) -> usize {
        self.own.limit.get()
    }

    /// Changes that.
    pub fn set_send_buffer(&self, bytes: usize) {
        self.own.limit.set(bytes);
        self.own.changed.wake();
    }

    /// What has gone wrong since the last time.
    #[must_use]
    pub fn take_error(&self) -> Option<Errno> {
        self.own.error.take()
    }

    /// The end of receiving, sending or both.
    pub fn shut(&self, receive: bool, send: bool) {
        let ways = if receive { RECEIVE } else { 0 } | if send { SEND } else { 0 };
        self.own.shut(ways);
        if self.kind != Kind::Datagram {
            self.peer.shut(if receive { SEND } else { 0 } | if send { RECEIVE } else { 0 });
            self.peer.changed.wake();
        }
        self.own.changed.wake();
    }

    /// The ends of a pair are connected and have no names: a message can't go elsewhere.
    pub fn check_destination(&self) -> Result<(), Errno> {
        match self.kind {
            Kind::Stream => Err(Errno::EISCONN),
            Kind::Datagram => Err(Errno::ECONNREFUSED),
            Kind::Packet => Ok(()),
        }
    }

    fn check_send(&self) -> Result<(), Errno> {
        if self.own.is_shut(SEND) {
            return Err(Errno::EPIPE);
        }
        if self.kind == Kind::Datagram && self.peer.closed.get() {
            // The first send finds that out, and the socket is unconnected from then on.
            let known = self.own.closed.replace(true);
            return Err(if known { Errno::ENOTCONN } else { Errno::ECONNREFUSED });
        }
        if self.peer.is_shut(RECEIVE) { Err(Errno::EPIPE) } else { Ok(()) }
    }

    /// Sends what there is room for, a message as a whole.
    pub fn send(&self, from: &mut Buffers, with: &mut Ancillary, sender: Sender) -> Result<u64, Errno> {
        let result = match self.kind {
            Kind::Stream => self.send_stream(from, with, sender),
            Kind::Datagram | Kind::Packet => self.send_message(from, with, sender),
        };
        if result.is_ok() {
            self.peer.changed.wake();
        }
        result
    }

    /// Queues bytes at the other end, as a buffer of which `linear` bytes are not in pages.
    fn push(&self, bytes: Vec<u8>, linear: usize, with: &mut Ancillary, sender: Sender) {
        let cost = cost(bytes.len(), linear);
        self.own.unsent.set(self.own.unsent.get() + cost);
        let rights = core::mem::take(&mut with.rights);
        let sender = with.sender.unwrap_or(sender);
        self.peer.messages.borrow_mut().push_back(Message { bytes, start: 0, cost, rights, sender });
    }

    /// Receives. `EAGAIN` if there is nothing yet.
    pub fn receive(&self, to: &mut Buffers, how: Receive) -> Result<Received, Errno> {
        if self.own.messages.borrow().is_empty() {
            if let Some(error) = self.own.error.take() {
                return Err(error);
            }
            let over = self.own.is_shut(RECEIVE) && self.kind != Kind::Datagram;
            return if over { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
        }
        match self.kind {
            Kind::Stream => self.receive_stream(to, how),
            Kind::Datagram | Kind::Packet => self.receive_message(to, how),
        }
    }

    /// A message has been received: its sender has room again.
    fn done_with(&self, message: Option<Message>) {
        self.peer.was_received(message.map_or(0, |message| message.cost));
        self.peer.changed.wake();
    }

    /// How many bytes the next receive could get.
    #[must_use]
    pub fn unread(&self) -> usize {
        let messages = self.own.messages.borrow();
        let rests = messages.iter().map(|message| message.bytes.len() - message.start);
        if self.kind == Kind::Datagram { rests.take(1).sum() } else { rests.sum() }
    }

    /// How much has been sent and not received, as buffers count.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.own.unsent.get()
    }

    /// The [`poll`] bits that hold now.
    #[must_use]
    pub fn poll(&self) -> u32 {
        let own = &self.own;
        let mut bits = 0;
        if own.error.get().is_some() {
            bits |= poll::ERR;
        }
        if own.is_shut(RECEIVE) && own.is_shut(SEND) {
            bits |= poll::HUP;
        }
        if own.is_shut(RECEIVE) {
            bits |= poll::RDHUP | poll::IN | poll::RDNORM;
        }
        if !own.messages.borrow().is_empty() {
            bits |= poll::IN | poll::RDNORM;
        }
        if own.unsent.get() * 4 <= own.limit.get() {
            bits |= poll::OUT | poll::WRNORM | poll::WRBAND;
        }
        bits
    }

    /// Woken when [`Endpoint::poll`] may have changed.
    #[must_use]
    pub fn queue(&self) -> &WaitQueue {
        &self.own.changed
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let unread = self.own.messages.take();
        self.own.closed.set(true);
        if self.kind != Kind::Datagram {
            self.peer.shut(RECEIVE | SEND);
            if !unread.is_empty() {
                self.peer.error.set(Some(Errno::ECONNRESET));
            }
        }
        for message in &unread {
            self.peer.was_received(message.cost);
        }
        self.peer.changed.wake();
    }
}
