//! epoll_create(2), epoll_ctl(2), epoll_wait(2) and their kin.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::eventpoll::{self, Epoll};
use crate::mm::iov_iter::check_range;
use crate::outcome::SysResult;
use crate::syscall::Args;
use crate::syscall::poll::{deadline_of_ms, moment, restore_mask, set_mask};
use linux_raw_sys::general as c;
use linux_raw_sys::general::{O_CLOEXEC, O_RDWR};

/// The size of a `struct epoll_event`, which has no padding on x86-64.
const EVENT: usize = 12;

pub fn epoll_create(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[0] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    make(cx, 0)
}

pub fn epoll_create1(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let flags = a[0] as u32;
    if flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    make(cx, flags)
}

fn make(cx: &Cx, flags: u32) -> Result<u64, Errno> {
    Ok(cx.install(Epoll::new(), flags | O_RDWR)? as u64)
}

pub fn epoll_ctl(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [epfd, operation, fd, event_addr, ..] = a;
    let (operation, fd) = (operation as u32, fd as i32);
    let (events, data) = if operation == c::EPOLL_CTL_DEL {
        (0, 0)
    } else {
        let event: [u8; EVENT] = cx.read_array(event_addr)?;
        let [e0, e1, e2, e3, data @ ..] = event;
        (u32::from_le_bytes([e0, e1, e2, e3]), u64::from_le_bytes(data))
    };
    eventpoll::control(cx, epfd as i32, operation, fd, events, data)?;
    Ok(0)
}

pub async fn epoll_wait(cx: Cx, a: Args) -> SysResult {
    let deadline = deadline_of_ms(&cx, a[3]);
    Ok(wait(&cx, a, deadline).await?.into())
}

pub async fn epoll_pwait(cx: Cx, a: Args) -> SysResult {
    let deadline = deadline_of_ms(&cx, a[3]);
    set_mask(&cx, a[4], a[5])?;
    let result = wait(&cx, a, deadline).await;
    restore_mask(&cx, &result);
    Ok(result?.into())
}

pub async fn epoll_pwait2(cx: Cx, a: Args) -> SysResult {
    let deadline = cx.read_timespec(a[3])?.map(|ns| moment(&cx, ns));
    set_mask(&cx, a[4], a[5])?;
    let result = wait(&cx, a, deadline).await;
    restore_mask(&cx, &result);
    Ok(result?.into())
}

async fn wait(cx: &Cx, a: Args, deadline: Option<u64>) -> Result<u64, Errno> {
    const MOST: usize = i32::MAX as usize / EVENT;
    cx.check_open(a[0] as i32)?;
    let max = usize::try_from(a[2] as i32).ok().filter(|max| (1..=MOST).contains(max)).ok_or(Errno::EINVAL)?;
    check_range(a[1], (max * EVENT) as u64)?;
    let open = cx.file_or(a[0] as i32, Errno::EINVAL)?;
    let epoll = open.downcast::<Epoll>().ok_or(Errno::EINVAL)?;
    let give = |index: usize, bits: u32, data: u64| {
        let mut event = [0; EVENT];
        event[..4].copy_from_slice(&bits.to_le_bytes());
        event[4..].copy_from_slice(&data.to_le_bytes());
        cx.write(a[1].wrapping_add((index * EVENT) as u64), &event)
    };
    Ok(epoll.wait(cx, max, deadline, give).await? as u64)
}
