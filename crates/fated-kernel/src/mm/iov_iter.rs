//! The buffers of read and write calls: one or many pieces of guest memory, passed through from front to back.

use crate::errno::Errno;
use crate::ports::Memory;
use alloc::{
    rc::Rc,
    vec,
    vec::{IntoIter, Vec},
};

/// The most pieces of one readv or writev (`UIO_MAXIOV`).
const IOV_MAX: u64 = 1024;
/// The most bytes of one read or write (`MAX_RW_COUNT`).
pub const MAX_COUNT: u64 = 0x7fff_f000;

/// The end of what guests may address (`TASK_SIZE_MAX`).
const USER_END: u64 = 0x7fff_ffff_f000;

/// `access_ok`: addresses beyond the user's half of the space are refused before anything happens.
pub fn check_range(addr: u64, len: u64) -> Result<(), Errno> {
    match addr.checked_add(len) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// A cursor over pieces of guest memory.
#[derive(Debug)]
pub struct Buffers {
    memory: Rc<dyn Memory>,
    /// The piece that the cursor is in: its address and length from there on.
    piece: (u64, u64),
    /// Those behind it.
    more: IntoIter<(u64, u64)>,
    left: u64,
}

impl Buffers {
    /// The one piece of read(2) and write(2).
    #[must_use]
    pub fn one(memory: Rc<dyn Memory>, addr: u64, len: u64) -> Buffers {
        let left = len.min(MAX_COUNT);
        Buffers { memory, piece: (addr, left), more: IntoIter::default(), left }
    }

    /// The `count` pieces that `struct iovec`s at `addr` name.
    pub fn many(memory: Rc<dyn Memory>, addr: u64, count: u64) -> Result<Buffers, Errno> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL);
        }
        let mut parts = Vec::with_capacity(count as usize);
        let mut left = 0u64;
        let mut pairs = vec![0; count as usize * 16];
        if memory.read(addr, &mut pairs) < pairs.len() {
            return Err(Errno::EFAULT);
        }
        for pair in pairs.chunks_exact(16) {
            let (mut base, mut len) = ([0; 8], [0; 8]);
            base.copy_from_slice(&pair[..8]);
            len.copy_from_slice(&pair[8..]);
            let len = u64::from_le_bytes(len);
            if len > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            let base = u64::from_le_bytes(base);
            check_range(base, len)?;
            let len = len.min(MAX_COUNT - left);
            parts.push((base, len));
            left += len;
        }
        Ok(Buffers { memory, piece: (0, 0), more: parts.into_iter(), left })
    }

    /// The pieces themselves.
    #[must_use]
    pub fn into_pieces(self) -> Vec<(u64, u64)> {
        self.more.collect()
    }

    /// How many bytes are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Copies `data` to the guest as far as there is room; returns how much went. `EFAULT` if none could.
    pub fn put(&mut self, data: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < data.len() {
            let Some((addr, room)) = self.piece() else { break };
            let n = (room as usize).min(data.len() - done);
            let went = self.memory.write(addr, &data[done..done + n]);
            self.advance(went);
            done += went;
            if went < n {
                return if done == 0 { Err(Errno::EFAULT) } else { Ok(done) };
            }
        }
        Ok(done)
    }

    /// Copies all of `data`, which there is room for.
    pub fn put_all(&mut self, data: &[u8]) -> Result<(), Errno> {
        if self.put(data)? == data.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Takes `N` bytes from the guest, which there are.
    pub fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        let data = self.take(N)?;
        <[u8; N]>::try_from(data.as_slice()).map_err(|_| Errno::EFAULT)
    }

    /// Copies at most `max` bytes from the guest. `EFAULT` if none could be read and some were asked for.
    pub fn take(&mut self, max: usize) -> Result<Vec<u8>, Errno> {
        let mut data = Vec::new();
        while data.len() < max {
            let Some((addr, len)) = self.piece() else { break };
            let n = (len as usize).min(max - data.len());
            let from = data.len();
            data.resize(from + n, 0);
            let went = self.memory.read(addr, &mut data[from..]);
            data.truncate(from + went);
            self.advance(went);
            if went < n {
                return if data.is_empty() { Err(Errno::EFAULT) } else { Ok(data) };
            }
        }
        Ok(data)
    }

    /// The piece that the next byte stands in, if there is one.
    fn piece(&mut self) -> Option<(u64, u64)> {
        while self.piece.1 == 0 {
            self.piece = self.more.next()?;
        }
        Some(self.piece)
    }

    fn advance(&mut self, n: usize) {
        let (addr, len) = self.piece;
        self.piece = (addr.wrapping_add(n as u64), len - n as u64);
        self.left -= n as u64;
    }
}
