//! `/dev/random` and `/dev/urandom`. Both draw from the seed and never block.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs::device::Device;
use crate::fs::file::File;
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::sched::choice::Entropy;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;

/// An open source of randomness.
#[derive(Debug)]
pub struct Random(pub Device);

impl File for Random {
    fn read(&self, cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        let mut done = 0;
        let mut chunk = [0; 256];
        while to.left() > 0 {
            let len = chunk.len().min(to.left() as usize);
            let Some(bytes) = chunk.get_mut(..len) else { break };
            cx.kernel.chooser.fill(Entropy::Device, bytes);
            match to.put(bytes) {
                Ok(put) => {
                    done += put as u64;
                    if put < len {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn read_at(&self, cx: &Cx, to: &mut Buffers, _offset: u64) -> Result<u64, Errno> {
        self.read(cx, to)
    }

    /// Linux mixes the bytes into its pool. Here they change nothing: what is read depends on the seed alone.
    fn write(&self, _cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        const PIECE: usize = 4096;
        let mut done = 0;
        loop {
            match from.take(PIECE) {
                Ok(piece) if piece.is_empty() => return Ok(done),
                Ok(piece) => done += piece.len() as u64,
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
        }
    }

    fn write_at(&self, cx: &Cx, from: &mut Buffers, _offset: u64) -> Result<u64, Errno> {
        self.write(cx, from)
    }

    fn poll(&self) -> u32 {
        let both = poll::IN | poll::RDNORM | poll::OUT | poll::WRNORM;
        if self.0 == Device::Random { poll::IN | poll::RDNORM } else { both }
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        Ok(self.0.stat(&cx.kernel))
    }

    fn seek(&self, _cx: &Cx, _offset: i64, _whence: u32) -> Result<u64, Errno> {
        Ok(0)
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        const RNDGETENTCNT: u32 = 0x8004_5200;
        const BITS: u32 = 256;
        if request != RNDGETENTCNT {
            return Err(Errno::EINVAL);
        }
        cx.write_u32(arg, BITS)?;
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        [b"/dev/", self.0.name().as_bytes()].concat()
    }

    fn reopen(&self, _cx: &Cx, _flags: u32) -> Result<Rc<dyn File>, Errno> {
        Ok(Rc::new(Random(self.0)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
