//! eventfd(2) and eventfd2(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::ipc::eventfd::EventFd;
use crate::syscall::Args;
use alloc::rc::Rc;
use linux_raw_sys::general::EFD_SEMAPHORE;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};

pub fn eventfd(cx: &Cx, a: Args) -> Result<u64, Errno> {
    make(cx, a[0] as u32, 0)
}

pub fn eventfd2(cx: &Cx, a: Args) -> Result<u64, Errno> {
    make(cx, a[0] as u32, a[1] as u32)
}

fn make(cx: &Cx, count: u32, flags: u32) -> Result<u64, Errno> {
    if flags & !(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = EventFd::new(count, flags & EFD_SEMAPHORE != 0);
    let fd = cx.install(Rc::new(file), flags & !EFD_SEMAPHORE | O_RDWR)?;
    Ok(fd as u64)
}
