//! What all sockets have, whatever their family: a type, options, timeouts, and an endpoint that does the rest.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, anonymous_name, anonymous_stat};
use crate::fs::inode::{FileStat, kind};
use crate::mm::iov_iter::Buffers;
use crate::net::Kind;
use crate::net::msg::{Ancillary, Receive, Received, Sender};
use crate::net::unix::Endpoint;
use crate::sched::wait_queue::WaitQueue;
use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};
use core::any::Any;
use core::cell::{Cell, RefCell};

/// A socket.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    ino: u64,
    made_ns: u64,
    /// Options of setsockopt(2) that are kept and have no other effect.
    options: RefCell<BTreeMap<u32, u32>>,
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO` in nanoseconds.
    timeouts: Cell<[Option<u64>; 2]>,
    protocol: Protocol,
}

/// The endpoint behind a socket, by family.
#[derive(Debug)]
pub enum Protocol {
    /// `AF_UNIX`.
    Unix(Endpoint),
}

/// The caller as the sender of a message.
#[must_use]
pub fn sender(cx: &Cx) -> Sender {
    let credentials = cx.process().credentials.borrow();
    [cx.process().pid.get(), credentials.uid[1], credentials.gid[1]]
}

impl Socket {
    fn new(cx: &Cx, kind: Kind, protocol: Protocol) -> Rc<Socket> {
        Rc::new(Socket {
            kind,
            ino: cx.kernel.next_serial(),
            made_ns: cx.kernel.timers.now(),
            options: RefCell::default(),
            timeouts: Cell::default(),
            protocol,
        })
    }

    /// Two sockets that are connected to each other (socketpair(2)).
    #[must_use]
    pub fn pair(cx: &Cx, kind: Kind) -> [Rc<Socket>; 2] {
        let queues = [(); 2].map(|()| WaitQueue::default());
        Endpoint::pair(queues, kind, sender(cx)).map(|endpoint| Socket::new(cx, kind, Protocol::Unix(endpoint)))
    }

    fn unix(&self) -> &Endpoint {
        let Protocol::Unix(endpoint) = &self.protocol;
        endpoint
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who made the other end (`SO_PEERCRED`).
    #[must_use]
    pub fn peer(&self) -> Sender {
        self.unix().maker()
    }

    /// `SO_SNDBUF`.
    #[must_use]
    pub fn send_buffer(&self) -> usize {
        self.unix().send_buffer()
    }

    /// Sets `SO_SNDBUF`.
    pub fn set_send_buffer(&self, bytes: usize) {
        self.unix().set_send_buffer(bytes);
    }

    /// An option that is only kept; 0 if it was never set.
    #[must_use]
    pub fn option(&self, number: u32) -> u32 {
        self.options.borrow().get(&number).copied().unwrap_or(0)
    }

    /// Sets such an option.
    pub fn set_option(&self, number: u32, value: u32) {
        self.options.borrow_mut().insert(number, value);
    }

    /// `SO_ERROR`: what has gone wrong since the last time.
    #[must_use]
    pub fn take_error(&self) -> Option<Errno> {
        self.unix().take_error()
    }

    /// How long a receive (or a send) may wait, in nanoseconds.
    #[must_use]
    pub fn timeout(&self, sends: bool) -> Option<u64> {
        let [receive, send] = self.timeouts.get();
        if sends { send } else { receive }
    }

    /// Sets how long a receive (or a send) may wait.
    pub fn set_timeout(&self, sends: bool, ns: Option<u64>) {
        let [receive, send] = self.timeouts.get();
        self.timeouts.set(if sends { [receive, ns] } else { [ns, send] });
    }

    /// shutdown(2).
    pub fn shut(&self, receive: bool, send: bool) {
        self.unix().shut(receive, send);
    }

    /// Whether a message may name a destination.
    pub fn check_destination(&self) -> Result<(), Errno> {
        self.unix().check_destination()
    }

    /// Sends what there is room for, a message as a whole. `quiet`: without SIGPIPE.
    pub fn send(&self, cx: &Cx, from: &mut Buffers, quiet: bool, with: &mut Ancillary) -> Result<u64, Errno> {
        let result = self.unix().send(from, with, sender(cx));
        if result == Err(Errno::EPIPE) && self.kind == Kind::Stream && !quiet {
            cx.send_sigpipe();
        }
        result
    }

    /// Receives. `EAGAIN` if there is nothing yet.
    pub fn receive(&self, to: &mut Buffers, how: Receive) -> Result<Received, Errno> {
        self.unix().receive(to, how)
    }
}

impl File for Socket {
    fn read(&self, _cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        if to.left() == 0 {
            return Ok(0);
        }
        self.receive(to, Receive::default()).map(|received| received.len)
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        self.send(cx, from, false, &mut Ancillary::default())
    }

    fn writes_all(&self) -> bool {
        self.kind == Kind::Stream
    }

    fn poll(&self) -> u32 {
        self.unix().poll()
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(self.unix().queue())
    }

    fn stat(&self, _cx: &Cx) -> Result<FileStat, Errno> {
        /// `st_dev` of all sockets (`sockfs`).
        const DEVICE: u64 = 9;
        let stat = anonymous_stat(kind::SOCKET | 0o777, self.ino, self.made_ns);
        Ok(FileStat { dev: DEVICE, ..stat })
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        let value = match request {
            linux_raw_sys::ioctl::FIONREAD => self.unix().unread(),
            linux_raw_sys::ioctl::TIOCOUTQ => self.unix().unsent(),
            _ => return Err(Errno::ENOTTY),
        };
        cx.write_u32(arg, value as u32)?;
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        anonymous_name("socket", self.ino)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
