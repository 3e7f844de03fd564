//! What a system call works with: the kernel, the task that made it, and that task's memory.

use crate::errno::Errno;
use crate::host::Kernel;
use crate::outcome::{Step, SysResult, Waiting};
use crate::ports::Memory;
use crate::process::task::{Process, Task};
use alloc::{boxed::Box, rc::Rc, vec, vec::Vec};
use core::future::Future;

/// The context of a call.
#[derive(Clone, Debug)]
pub struct Cx {
    /// The kernel of the host.
    pub kernel: Rc<Kernel>,
    /// The calling task.
    pub task: Rc<Task>,
}

/// The longest path, its NUL included (`PATH_MAX`).
pub const PATH_MAX: usize = 4096;

const PAGE: u64 = 4096;

impl Cx {
    /// The calling process.
    #[must_use]
    pub fn process(&self) -> &Rc<Process> {
        &self.task.process
    }

    /// The task's memory.
    pub(crate) fn memory(&self) -> Rc<dyn Memory> {
        self.task.guest.clone()
    }

    /// The task's call may wait: it goes on with this.
    pub(crate) fn later(&self, future: impl Future<Output = SysResult> + 'static) -> Step {
        let work: Waiting = Box::pin(future);
        self.task.work.replace(Some(work));
        Step::Later
    }

    /// Fills `buf` from guest memory.
    pub fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Errno> {
        if self.task.guest.read(addr, buf) == buf.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Reads `N` bytes.
    pub fn read_array<const N: usize>(&self, addr: u64) -> Result<[u8; N], Errno> {
        let mut buf = [0; N];
        self.read(addr, &mut buf)?;
        Ok(buf)
    }

    /// Reads `len` bytes; the caller has bounded `len`.
    pub fn read_vec(&self, addr: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; len];
        self.read(addr, &mut buf)?;
        Ok(buf)
    }

    /// Reads 32 bits.
    pub fn read_u32(&self, addr: u64) -> Result<u32, Errno> {
        self.read_array(addr).map(u32::from_le_bytes)
    }

    /// Reads 64 bits.
    pub fn read_u64(&self, addr: u64) -> Result<u64, Errno> {
        self.read_array(addr).map(u64::from_le_bytes)
    }

    /// Reads `N` words of 64 bits.
    pub fn read_words<const N: usize>(&self, addr: u64) -> Result<[u64; N], Errno> {
        let mut bytes = [[0; 8]; N];
        self.read(addr, bytes.as_flattened_mut())?;
        Ok(bytes.map(u64::from_le_bytes))
    }

    /// Copies `data` to guest memory.
    pub fn write(&self, addr: u64, data: &[u8]) -> Result<(), Errno> {
        if self.task.guest.write(addr, data) == data.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Writes 32 bits.
    pub fn write_u32(&self, addr: u64, value: u32) -> Result<(), Errno> {
        self.write(addr, &value.to_le_bytes())
    }

    /// Writes words of 64 bits.
    pub fn write_words<const N: usize>(&self, addr: u64, words: &[u64; N]) -> Result<(), Errno> {
        self.write(addr, words.map(u64::to_le_bytes).as_flattened())
    }

    /// Reads a string that ends with a NUL within `max` bytes; without one it is `ENAMETOOLONG`.
    pub fn read_str(&self, addr: u64, max: usize) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        // Most are short.
        let mut chunk = [0; 64];
        while text.len() < max {
            let at = addr.wrapping_add(text.len() as u64);
            let in_page = (PAGE - at % PAGE) as usize;
            let want = chunk.len().min(in_page).min(max - text.len());
            let got = self.task.guest.read(at, &mut chunk[..want]);
            if let Some(end) = end_of_text(&chunk[..got]) {
                if text.is_empty() {
                    return Ok(chunk[..end].to_vec());
                }
                text.extend_from_slice(&chunk[..end]);
                return Ok(text);
            }
            if got < want {
                return Err(Errno::EFAULT);
            }
            text.extend_from_slice(&chunk[..got]);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// Reads a path.
    pub fn read_path(&self, addr: u64) -> Result<Vec<u8>, Errno> {
        self.read_str(addr, PATH_MAX)
    }

    /// Reads a `struct timespec` as nanoseconds; `None` for a null pointer.
    pub fn read_timespec(&self, addr: u64) -> Result<Option<u64>, Errno> {
        if addr == 0 {
            return Ok(None);
        }
        let [seconds, nanos] = self.read_words(addr)?;
        if (seconds as i64) < 0 || nanos >= 1_000_000_000 {
            return Err(Errno::EINVAL);
        }
        Ok(Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanos).min(i64::MAX as u64)))
    }

    /// Reads a `struct timeval` as nanoseconds; `None` for a null pointer.
    pub fn read_timeval(&self, addr: u64) -> Result<Option<u64>, Errno> {
        if addr == 0 {
            return Ok(None);
        }
        let [seconds, micros] = self.read_words(addr)?;
        if (seconds as i64) < 0 || micros >= 1_000_000 {
            return Err(Errno::EINVAL);
        }
        Ok(Some(seconds.saturating_mul(1_000_000_000).saturating_add(micros * 1000).min(i64::MAX as u64)))
    }

    /// Writes nanoseconds as a `struct timespec`.
    pub fn write_timespec(&self, addr: u64, ns: u64) -> Result<(), Errno> {
        self.write_words(addr, &[ns / 1_000_000_000, ns % 1_000_000_000])
    }

    /// Writes nanoseconds as a `struct timeval`.
    pub fn write_timeval(&self, addr: u64, ns: u64) -> Result<(), Errno> {
        self.write_words(addr, &[ns / 1_000_000_000, ns % 1_000_000_000 / 1000])
    }
}

/// Where the first NUL is.
pub(crate) fn end_of_text(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // Bytes that are 0, and perhaps others behind them.
        let zeros = word.wrapping_sub(ONES) & !word & HIGHEST;
        if zeros != 0 {
            return Some(index * size_of::<u64>() + zeros.trailing_zeros() as usize / 8);
        }
    }
    Some(bytes.len() - rest.len() + rest.iter().position(|&byte| byte == 0)?)
}

#[cfg(test)]
mod tests {
    use super::end_of_text;
    use alloc::vec;

    #[test]
    fn text_ends_at_the_first_nul() {
        for len in 0..40 {
            let text = vec![0x80; len];
            assert_eq!(end_of_text(&text), None);
            for end in 0..len {
                let mut text = text.clone();
                text[end] = 0;
                text[end + 1..].fill(1);
                assert_eq!(end_of_text(&text), Some(end), "of {len}");
                text[end + 1..].fill(0);
                assert_eq!(end_of_text(&text), Some(end), "of {len}");
            }
        }
    }
}
