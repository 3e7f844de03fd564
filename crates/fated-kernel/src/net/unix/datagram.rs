//! Messages (`SOCK_DGRAM`, `SOCK_SEQPACKET`).

use crate::errno::Errno;
use crate::mm::iov_iter::Buffers;
use crate::net::msg::{Ancillary, Receive, Received, Sender};
use crate::net::unix::Endpoint;
use crate::net::unix::buffer::PAGE;

impl Endpoint {
    /// Sends one message.
    pub(super) fn send_message(&self, from: &mut Buffers, with: &mut Ancillary, sender: Sender) -> Result<u64, Errno> {
        const LINEAR: usize = 4 * PAGE - 320;
        let len = from.left() as usize;
        if len > self.own.limit.get().saturating_sub(32) {
            return Err(Errno::EMSGSIZE);
        }
        self.check_send()?;
        self.own.check_room()?;
        let bytes = from.take(len)?;
        if bytes.len() < len {
            return Err(Errno::EFAULT);
        }
        self.push(bytes, LINEAR, with, sender);
        Ok(len as u64)
    }

    /// Receives one message; what doesn't fit of it is lost.
    pub(super) fn receive_message(&self, to: &mut Buffers, how: Receive) -> Result<Received, Errno> {
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
}
