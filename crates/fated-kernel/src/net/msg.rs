//! What send(2) and recv(2) move besides the bytes.

use crate::fs::file::OpenFile;
use crate::net::unix::rights::Right;
use alloc::{rc::Rc, vec::Vec};

/// Who sent a message: process, user, group (`struct ucred`).
pub type Sender = [u32; 3];

/// What goes along with the bytes of a message.
#[derive(Debug, Default)]
pub struct Ancillary {
    /// Open files that are passed on (`SCM_RIGHTS`).
    pub rights: Vec<Right>,
    /// Whom the message claims to be from (`SCM_CREDENTIALS`).
    pub sender: Option<Sender>,
}

/// How to receive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Receive {
    /// The message stays in the queue (`MSG_PEEK`).
    pub peek: bool,
    /// The length of the whole message is returned (`MSG_TRUNC`).
    pub whole_length: bool,
}

/// What has been received.
#[derive(Debug, Default)]
pub struct Received {
    /// How many bytes, or how many the message had.
    pub len: u64,
    /// The message was longer than the buffer.
    pub truncated: bool,
    /// Open files that came with it.
    pub rights: Vec<Rc<OpenFile>>,
    /// Who sent it.
    pub sender: Option<Sender>,
}
