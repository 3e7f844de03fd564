//! Streams of bytes (`SOCK_STREAM`).

use crate::errno::Errno;
use crate::mm::iov_iter::Buffers;
use crate::net::msg::{Ancillary, Receive, Received, Sender};
use crate::net::unix::Endpoint;
use crate::net::unix::buffer::PAGE;

impl Endpoint {
    /// Sends as much as there is room for.
    pub(super) fn send_stream(&self, from: &mut Buffers, with: &mut Ancillary, sender: Sender) -> Result<u64, Errno> {
        /// What one buffer takes at most, and how much of that is not in pages.
        const MOST: usize = LINEAR + 8 * PAGE;
        const LINEAR: usize = PAGE - 320;
        self.check_send()?;
        let mut done = 0;
        while from.left() > 0 {
            let len = (from.left() as usize).min(MOST).min((self.own.limit.get() / 2).saturating_sub(64).max(1));
            match self.own.check_room().and_then(|()| from.take(len)) {
                // A buffer that a bad address has cut short isn't sent.
                Ok(bytes) if bytes.len() < len => return if done > 0 { Ok(done) } else { Err(Errno::EFAULT) },
                Ok(bytes) => {
                    done += bytes.len() as u64;
                    self.push(bytes, LINEAR, with, sender);
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Receives as much as there is, up to open files, which come with the bytes that they were sent with.
    pub(super) fn receive_stream(&self, to: &mut Buffers, how: Receive) -> Result<Received, Errno> {
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
}
