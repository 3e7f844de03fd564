//! The buffers of a pipe.
//!
//! Invariants: a buffer holds a page at most, as in Linux, so how much fits depends on how it was written. A write of up to a page is
//! whole, since a page takes it or a buffer is free for it.

use crate::errno::Errno;
use crate::mm::iov_iter::Buffers;
use alloc::{collections::VecDeque, vec::Vec};

/// What a buffer holds, and the most that a write keeps whole (`PIPE_BUF`).
pub(super) const PAGE: usize = 4096;
/// The size of a new pipe (`F_GETPIPE_SZ`).
const CAPACITY: usize = 16 * PAGE;

/// The buffers between the ends of a pipe.
#[derive(Debug)]
pub(super) struct Ring {
    buffers: VecDeque<Buffer>,
    /// How many buffers there may be.
    slots: usize,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// How many of them have been read.
    start: usize,
    /// It is read as one, and never filled up (`O_DIRECT`).
    packet: bool,
}

impl Buffer {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl Ring {
    pub fn new() -> Ring {
        Ring { buffers: VecDeque::new(), slots: CAPACITY / PAGE }
    }

    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.buffers.len() >= self.slots
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.rest().len()).sum()
    }

    /// How many bytes it could hold.
    pub fn capacity(&self) -> usize {
        self.slots * PAGE
    }

    /// Changes that; `EBUSY` if more buffers are in use.
    pub fn set_capacity(&mut self, bytes: usize) -> Result<(), Errno> {
        if bytes / PAGE < self.buffers.len() {
            return Err(Errno::EBUSY);
        }
        self.slots = bytes / PAGE;
        Ok(())
    }

    pub fn clear(&mut self) {
        self.buffers = VecDeque::new();
    }

    /// Writes as far as there is room; `EAGAIN` without any. The buffers that were filled before a bad address count.
    pub fn fill(&mut self, from: &mut Buffers, packets: bool) -> Result<usize, Errno> {
        let mut done = if packets { 0 } else { self.fill_up(from)? };
        while from.left() > 0 {
            if self.is_full() {
                return if done > 0 { Ok(done) } else { Err(Errno::EAGAIN) };
            }
            let wanted = PAGE.min(from.left() as usize);
            match from.take(wanted) {
                Ok(bytes) if bytes.len() == wanted => {
                    self.buffers.push_back(Buffer { bytes, start: 0, packet: packets });
                    done += wanted;
                }
                _ if done > 0 => return Ok(done),
                _ => return Err(Errno::EFAULT),
            }
        }
        Ok(done)
    }

    /// Appends what doesn't make up a page to the last buffer, if it fits there as a whole.
    fn fill_up(&mut self, from: &mut Buffers) -> Result<usize, Errno> {
        let odd = from.left() as usize % PAGE;
        let last = self.buffers.back_mut();
        let Some(last) = last.filter(|last| !last.packet && odd > 0 && last.bytes.len() + odd <= PAGE) else {
            return Ok(0);
        };
        let data = from.take(odd)?;
        if data.len() < odd {
            return Err(Errno::EFAULT);
        }
        last.bytes.extend_from_slice(&data);
        Ok(odd)
    }

    /// Reads as far as there is room in `to`. A packet ends a read, and what doesn't fit of it is lost.
    pub fn drain(&mut self, to: &mut Buffers) -> Result<usize, Errno> {
        let mut done = 0;
        while to.left() > 0 {
            let Some(first) = self.buffers.front_mut() else { break };
            let wanted = first.rest().len().min(to.left() as usize);
            let put = match to.put(first.rest()) {
                Ok(put) => put,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            // What a bad address has cut short stays in the buffer as a whole (Linux: `copy_page_to_iter`).
            if put < wanted {
                return if done > 0 { Ok(done) } else { Err(Errno::EFAULT) };
            }
            first.start += put;
            done += put;
            let packet = first.packet;
            if packet || first.rest().is_empty() {
                self.buffers.pop_front();
            }
            if packet {
                break;
            }
        }
        Ok(done)
    }

    /// Moves up to `len` bytes to another pipe, as far as it has room, or copies them (`keep`); returns how many.
    pub fn move_to(&mut self, to: &mut Ring, len: usize, keep: bool) -> usize {
        let (mut done, mut at) = (0, 0);
        while done < len && !to.is_full() {
            let Some(buffer) = self.buffers.get_mut(at) else { break };
            let rest = buffer.rest();
            let part = rest.get(..len - done).unwrap_or(rest).to_vec();
            done += part.len();
            let packet = buffer.packet;
            if keep {
                at += 1;
            } else {
                buffer.start += part.len();
                if buffer.rest().is_empty() {
                    self.buffers.pop_front();
                }
            }
            to.buffers.push_back(Buffer { bytes: part, start: 0, packet });
        }
        done
    }
}
