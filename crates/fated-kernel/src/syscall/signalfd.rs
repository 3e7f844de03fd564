//! signalfd(2) and signalfd4(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::signal::SigSet;
use crate::signal::signalfd::SignalFd;
use crate::syscall::Args;
use alloc::rc::Rc;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};

pub fn signalfd(cx: &Cx, a: Args) -> Result<u64, Errno> {
    make(cx, a, 0)
}

pub fn signalfd4(cx: &Cx, a: Args) -> Result<u64, Errno> {
    make(cx, a, a[3] as u32)
}

fn make(cx: &Cx, a: Args, flags: u32) -> Result<u64, Errno> {
    let [fd, mask_addr, size, ..] = a;
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let mask = SigSet(cx.read_u64(mask_addr)?).without(SigSet::UNBLOCKABLE);
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let fd = fd as i32;
    if fd == -1 {
        let fd = cx.install(Rc::new(SignalFd::new(cx, mask)), flags | O_RDWR)?;
        return Ok(fd as u64);
    }
    let open = cx.file_or(fd, Errno::EINVAL)?;
    open.downcast::<SignalFd>().ok_or(Errno::EINVAL)?.set_mask(mask);
    Ok(fd as u64)
}
