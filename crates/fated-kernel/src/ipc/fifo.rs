//! Named pipes (fifo(7)): a pipe of this kernel behind the name of a real file.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::File;
use crate::fs::inode::FileStat;
use crate::mm::iov_iter::Buffers;
use crate::sched::wait_queue::WaitQueue;
use crate::tty::outside::Outsider;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;

/// An open end.
#[derive(Debug)]
pub struct Fifo {
    end: Rc<dyn File>,
    path: Vec<u8>,
    stat: FileStat,
    /// Who has the other end, if that isn't a guest: given up with the last of these.
    outsider: Option<Rc<Outsider>>,
}

impl Fifo {
    /// Gives an open end of a pipe the name and the inode of a file.
    #[must_use]
    pub fn new(end: Rc<dyn File>, path: Vec<u8>, stat: FileStat, outsider: Option<Rc<Outsider>>) -> Rc<Fifo> {
        Rc::new(Fifo { end, path, stat, outsider })
    }
}

impl File for Fifo {
    fn read(&self, cx: &Cx, to: &mut Buffers) -> Result<u64, Errno> {
        self.end.read(cx, to)
    }

    fn write(&self, cx: &Cx, from: &mut Buffers) -> Result<u64, Errno> {
        self.end.write(cx, from)
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn poll(&self) -> u32 {
        self.end.poll()
    }

    fn queue(&self) -> Option<&WaitQueue> {
        self.end.queue()
    }

    fn stream(&self) -> Option<i32> {
        self.end.stream()
    }

    fn ask(&self) {
        self.end.ask();
    }

    fn stat(&self, _cx: &Cx) -> Result<FileStat, Errno> {
        Ok(self.stat)
    }

    fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        self.end.ioctl(cx, request, arg)
    }

    fn name(&self) -> Vec<u8> {
        self.path.clone()
    }

    fn reopen(&self, cx: &Cx, flags: u32) -> Result<Rc<dyn File>, Errno> {
        Ok(Fifo::new(self.end.reopen(cx, flags)?, self.path.clone(), self.stat, self.outsider.clone()))
    }

    /// The end of the pipe, so that calls on pipes work with named ones.
    fn as_any(&self) -> &dyn Any {
        self.end.as_any()
    }
}
