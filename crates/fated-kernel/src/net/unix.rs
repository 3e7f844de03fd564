//! Pairs of unnamed unix sockets (socketpair(2), unix(7)).
//!
//! What a send may have under way is counted as Linux counts it: by the size of the packet buffers it would take, so that the
//! same writes fit.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{File, OpenFile, anonymous_name, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::host::Kernel;
use crate::mm::iov_iter::Buffers;
use crate::sched::wait_queue::WaitQueue;
use alloc::{
    collections::{BTreeMap, VecDeque},
    rc::{Rc, Weak},
    vec::Vec,
};
use core::any::Any;
use core::cell::{Cell, RefCell};

/// How a socket cuts what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stream of bytes (`SOCK_STREAM`).
    Stream,
    /// Messages that nobody need receive (`SOCK_DGRAM`).
    Datagram,
    /// Messages in a connection (`SOCK_SEQPACKET`).
    Packet,
}

/// Who sent a message: process, user, group (`struct ucred`).
pub type Sender = [u32; 3];

/// No more is received: bit of a shutdown.
const RECEIVE: u8 = 1;
/// No more is sent.
const SEND: u8 = 2;

/// The default of `SO_SNDBUF` and `SO_RCVBUF` (`/proc/sys/net/core/wmem_default`).
pub const BUFFER: usize = 212_992;

/// One end of a pair.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    ino: u64,
    made_ns: u64,
    own: Rc<Half>,
    peer: Rc<Half>,
    /// Who made the pair.
    maker: Sender,
    /// Options of setsockopt(2) that have no effect here.
    options: RefCell<BTreeMap<u32, u32>>,
}

/// What belongs to one end and is seen by the other.
#[derive(Debug)]
struct Half {
    /// What has arrived here.
    messages: RefCell<VecDeque<Message>>,
    /// What this end has sent and the other has not yet received, in the bytes that Linux would need for it.
    under_way: Cell<usize>,
    limit: Cell<usize>,
    shut: Cell<u8>,
    error: Cell<Option<Errno>>,
    closed: Cell<bool>,
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO` in nanoseconds.
    timeouts: Cell<[Option<u64>; 2]>,
    changed: WaitQueue,
}

#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    /// What of it has been received.
    start: usize,
    cost: usize,
    rights: Vec<Right>,
    sender: Sender,
}

/// An open file that is on its way from one process to another, and counted.
#[derive(Debug)]
pub struct Right {
    /// The file.
    pub open: Rc<OpenFile>,
    kernel: Weak<Kernel>,
}

impl Right {
    /// How many may be under way in the whole host, as Linux limits them for each user. A socket can be sent through a socket, and
    /// what is closed while it is under way takes all that is in it along: so this also bounds how deep that goes.
    const LIMIT: usize = 1000;

    /// Sends a file on its way; `ETOOMANYREFS` if too many are.
    pub fn new(kernel: &Rc<Kernel>, open: Rc<OpenFile>) -> Result<Right, Errno> {
        let count = kernel.rights_under_way.get();
        if count >= Right::LIMIT {
            return Err(Errno::ETOOMANYREFS);
        }
        kernel.rights_under_way.set(count + 1);
        Ok(Right { open, kernel: Rc::downgrade(kernel) })
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.upgrade() {
            kernel.rights_under_way.set(kernel.rights_under_way.get().saturating_sub(1));
        }
    }
}

/// What goes with the bytes of a message.
#[derive(Debug, Default)]
pub struct Ancillary {
    /// Open files that are handed over (`SCM_RIGHTS`).
    pub rights: Vec<Right>,
    /// Whom the message claims to be from (`SCM_CREDENTIALS`).
    pub sender: Option<Sender>,
}

/// How to receive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Receive {
    /// Leave it there (`MSG_PEEK`).
    pub peek: bool,
    /// Tell the length of the whole message (`MSG_TRUNC`).
    pub whole_length: bool,
}

/// What has been received.
#[derive(Debug, Default)]
pub struct Received {
    /// How many bytes, or how many there would have been.
    pub len: u64,
    /// The message was longer than the buffer.
    pub truncated: bool,
    /// What came with it.
    pub rights: Vec<Rc<OpenFile>>,
    /// Who sent it.
    pub sender: Option<Sender>,
}

const PAGE: usize = 4096;

/// The size of the buffer for `len` bytes (`alloc_skb_with_frags`, `skb->truesize`): a head up to the next power of two, pages for
/// what is more than `linear`.
fn cost(len: usize, linear: usize) -> usize {
    const HEAD: usize = 256;
    const SHARED: usize = 320;
    let paged = len.saturating_sub(linear).next_multiple_of(PAGE).min(len);
    HEAD + (len - paged + SHARED).next_power_of_two().max(512) + paged.next_multiple_of(PAGE)
}

impl Half {
    fn new(kernel: &Rc<Kernel>) -> Rc<Half> {
        Rc::new(Half {
            messages: RefCell::default(),
            under_way: Cell::new(0),
            limit: Cell::new(BUFFER),
            shut: Cell::new(0),
            error: Cell::new(None),
            closed: Cell::new(false),
            timeouts: Cell::default(),
            changed: WaitQueue::new(kernel),
        })
    }

    fn is_shut(&self, way: u8) -> bool {
        self.shut.get() & way != 0
    }

    fn shut(&self, ways: u8) {
        self.shut.set(self.shut.get() | ways);
    }
}

impl Socket {
    /// Two ends that are connected to each other.
    #[must_use]
    pub fn pair(cx: &Cx, kind: Kind) -> [Rc<Socket>; 2] {
        let (first, second) = (Half::new(&cx.kernel), Half::new(&cx.kernel));
        [(first.clone(), second.clone()), (second, first)].map(|(own, peer)| {
            Rc::new(Socket {
                kind,
                ino: cx.kernel.next_serial(),
                made_ns: cx.kernel.timers.now(),
                own,
                peer,
                maker: sender(cx),
                options: RefCell::default(),
            })
        })
    }

    /// How it cuts what is sent.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who made the pair (`SO_PEERCRED`).
    #[must_use]
    pub fn maker(&self) -> Sender {
        self.maker
    }

    /// `SO_SNDBUF`.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.own.limit.get()
    }

    /// Sets `SO_SNDBUF`.
    pub fn set_limit(&self, bytes: usize) {
        self.own.limit.set(bytes);
        self.own.changed.wake();
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

    /// `SO_ERROR`: what has gone wrong since it was last asked.
    #[must_use]
    pub fn take_error(&self) -> Option<Errno> {
        self.own.error.take()
    }

    /// How long a receive (or a send) may wait, in nanoseconds.
    #[must_use]
    pub fn timeout(&self, sends: bool) -> Option<u64> {
        self.own.timeouts.get()[usize::from(sends)]
    }

    /// Sets that.
    pub fn set_timeout(&self, sends: bool, ns: Option<u64>) {
        let mut timeouts = self.own.timeouts.get();
        timeouts[usize::from(sends)] = ns;
        self.own.timeouts.set(timeouts);
    }

    /// shutdown(2).
    pub fn shut(&self, receive: bool, send: bool) {
        let ways = if receive { RECEIVE } else { 0 } | if send { SEND } else { 0 };
        self.own.shut(ways);
        if self.kind != Kind::Datagram {
            self.peer.shut(if receive { SEND } else { 0 } | if send { RECEIVE } else { 0 });
            self.peer.changed.wake();
        }
        self.own.changed.wake();
    }

    fn check_send(&self) -> Result<(), Errno> {
        if self.own.is_shut(SEND) {
            return Err(Errno::EPIPE);
        }
        if self.kind == Kind::Datagram && self.peer.closed.get() {
            // The first one finds out, and the socket is unconnected from then on.
            let known = self.own.closed.replace(true);
            return Err(if known { Errno::ENOTCONN } else { Errno::ECONNREFUSED });
        }
        if self.peer.is_shut(RECEIVE) { Err(Errno::EPIPE) } else { Ok(()) }
    }

    /// Sends what there is room for, a message as a whole. `quiet`: without `SIGPIPE`.
    pub fn send(&self, cx: &Cx, from: &mut Buffers, quiet: bool, with: &mut Ancillary) -> Result<u64, Errno> {
        let result = match self.kind {
            Kind::Stream => self.send_stream(cx, from, with),
            Kind::Datagram | Kind::Packet => self.send_message(cx, from, with),
        };
        if result == Err(Errno::EPIPE) && self.kind == Kind::Stream && !quiet {
            cx.send_sigpipe();
        }
        if result.is_ok() {
            self.peer.changed.wake();
        }
        result
    }

    fn send_stream(&self, cx: &Cx, from: &mut Buffers, with: &mut Ancillary) -> Result<u64, Errno> {
        /// What one buffer takes at most, and how much of that is not in pages.
        const MOST: usize = LINEAR + 8 * PAGE;
        const LINEAR: usize = PAGE - 320;
        self.check_send()?;
        let mut done = 0;
        while from.left() > 0 {
            let len = (from.left() as usize).min(MOST).min((self.own.limit.get() / 2).saturating_sub(64).max(1));
            match self.room().and_then(|()| from.take(len)) {
                Ok(bytes) => {
                    done += bytes.len() as u64;
                    let short = bytes.len() < len;
                    self.push(cx, bytes, LINEAR, with);
                    if short {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn send_message(&self, cx: &Cx, from: &mut Buffers, with: &mut Ancillary) -> Result<u64, Errno> {
        const LINEAR: usize = 4 * PAGE - 320;
        let len = from.left() as usize;
        if len > self.own.limit.get().saturating_sub(32) {
            return Err(Errno::EMSGSIZE);
        }
        self.check_send()?;
        self.room()?;
        let bytes = from.take(len)?;
        if bytes.len() < len {
            return Err(Errno::EFAULT);
        }
        self.push(cx, bytes, LINEAR, with);
        Ok(len as u64)
    }

    fn room(&self) -> Result<(), Errno> {
        if self.own.under_way.get() < self.own.limit.get() { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    fn push(&self, cx: &Cx, bytes: Vec<u8>, linear: usize, with: &mut Ancillary) {
        let cost = cost(bytes.len(), linear);
        self.own.under_way.set(self.own.under_way.get() + cost);
        let rights = core::mem::take(&mut with.rights);
        let sender = with.sender.unwrap_or_else(|| sender(cx));
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

    fn receive_stream(&self, to: &mut Buffers, how: Receive) -> Result<Received, Errno> {
        let mut received = Received::default();
        let mut at = 0;
        while to.left() > 0 {
            let mut messages = self.own.messages.borrow_mut();
            let Some(message) = messages.get_mut(at) else { break };
            let had_rights = !message.rights.is_empty();
            if received.len > 0 && had_rights {
                break;
            }
            let rest = message.bytes.get(message.start..).unwrap_or_default();
            let put = match to.put(rest) {
                Ok(put) => put,
                Err(error) if received.len == 0 => return Err(error),
                Err(_) => break,
            };
            let all = put == rest.len();
            received.len += put as u64;
            received.sender.get_or_insert(message.sender);
            if how.peek {
                received.rights.extend(message.rights.iter().map(|right| right.open.clone()));
                at += 1;
            } else {
                message.start += put;
                received.rights.extend(message.rights.drain(..).map(|right| right.open.clone()));
                if all {
                    let taken = messages.pop_front();
                    drop(messages);
                    self.done_with(taken);
                }
            }
            if had_rights || !all {
                break;
            }
        }
        Ok(received)
    }

    fn receive_message(&self, to: &mut Buffers, how: Receive) -> Result<Received, Errno> {
        let mut messages = self.own.messages.borrow_mut();
        let Some(message) = messages.front_mut() else { return Err(Errno::EAGAIN) };
        let len = message.bytes.len() as u64;
        let put = if message.bytes.is_empty() || to.left() == 0 { 0 } else { to.put(&message.bytes)? as u64 };
        let rights = message.rights.iter().map(|right| right.open.clone()).collect();
        let received = Received {
            len: if how.whole_length { len } else { put },
            truncated: put < len,
            rights,
            sender: Some(message.sender),
        };
        if !how.peek {
            let taken = messages.pop_front();
            drop(messages);
            self.done_with(taken);
        }
        Ok(received)
    }

    /// A message has been received: its sender has room again.
    fn done_with(&self, message: Option<Message>) {
        let cost = message.map_or(0, |message| message.cost);
        self.peer.under_way.set(self.peer.under_way.get().saturating_sub(cost));
        self.peer.changed.wake();
    }

    fn unread(&self) -> usize {
        let messages = self.own.messages.borrow();
        let rests = messages.iter().map(|message| message.bytes.len() - message.start);
        if self.kind == Kind::Datagram { rests.take(1).sum() } else { rests.sum() }
    }
}

/// The caller as the sender of a message.
fn sender(cx: &Cx) -> Sender {
    let credentials = cx.process().credentials.borrow();
    [cx.process().pid.get(), credentials.uid[1], credentials.gid[1]]
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
        if own.under_way.get() * 4 <= own.limit.get() {
            bits |= poll::OUT | poll::WRNORM | poll::WRBAND;
        }
        bits
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.own.changed)
    }

    fn stat(&self, _cx: &Cx) -> Result<FileStat, Errno> {
        let stat = anonymous_stat(0o140_777, self.ino, self.made_ns);
        Ok(FileStat { dev: 9, ..stat })
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        let value = match request {
            linux_raw_sys::ioctl::FIONREAD => self.unread(),
            linux_raw_sys::ioctl::TIOCOUTQ => self.own.under_way.get(),
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

impl Drop for Socket {
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
            self.peer.under_way.set(self.peer.under_way.get().saturating_sub(message.cost));
        }
        self.peer.changed.wake();
    }
}
