//! read(2), write(2) and their kin.
//!
//! What the real Linux has, it reads and writes itself, unseen. On the kernel's own files a call is tried at once; only if it
//! must wait does it become a future.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::OpenFile;
use crate::fs::host::file::NativeFile;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::net::socket::Socket;
use crate::outcome::{Outcome, Step, SysResult};
use crate::sched::Woken;
use crate::syscall::{Args, later, now};
use alloc::rc::Rc;
use linux_raw_sys::general as c;

/// The end of what guests may address (`TASK_SIZE_MAX`).
const USER_END: u64 = 0x7fff_ffff_f000;

/// `access_ok`: addresses beyond the user's half of the space are refused before anything happens.
pub(super) fn check_range(addr: u64, len: u64) -> Result<(), Errno> {
    match addr.checked_add(len) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

pub(super) fn pass() -> Step {
    Step::Pass
}

/// Where a call reads or writes: a pointer and a length, or a vector of them.
enum Place {
    One(u64, u64),
    Many(u64, u64),
}

impl Place {
    fn buffers(&self, cx: &Cx) -> Result<Buffers, Errno> {
        match *self {
            Place::One(addr, len) => {
                check_range(addr, len)?;
                Ok(Buffers::one(cx, addr, len))
            }
            Place::Many(addr, count) => Buffers::many(cx, addr, count),
        }
    }
}

pub fn read(cx: &Cx, a: Args) -> Step {
    let Some(open) = made(cx, a[0]) else { return pass() };
    read_to(cx, open, &Place::One(a[1], a[2]), false)
}

pub fn readv(cx: &Cx, a: Args) -> Step {
    let Some(open) = made(cx, a[0]) else { return pass() };
    read_to(cx, open, &Place::Many(a[1], a[2]), false)
}

pub fn write(cx: &Cx, a: Args) -> Step {
    write_from(cx, a[0], &Place::One(a[1], a[2]), false)
}

pub fn writev(cx: &Cx, a: Args) -> Step {
    write_from(cx, a[0], &Place::Many(a[1], a[2]), false)
}

pub fn pread64(cx: &Cx, a: Args) -> Step {
    read_at(cx, a[0], &Place::One(a[1], a[2]), a[3])
}

pub fn preadv(cx: &Cx, a: Args) -> Step {
    read_at(cx, a[0], &Place::Many(a[1], a[2]), a[3])
}

pub fn pwrite64(cx: &Cx, a: Args) -> Step {
    write_at(cx, a[0], &Place::One(a[1], a[2]), a[3])
}

pub fn pwritev(cx: &Cx, a: Args) -> Step {
    write_at(cx, a[0], &Place::Many(a[1], a[2]), a[3])
}

/// The flags of preadv2(2) and pwritev2(2), for a file of the kernel's own: whether not to wait.
fn check_flags(cx: &Cx, fd: u64, flags: u64) -> Result<bool, Errno> {
    const KNOWN: u32 = c::RWF_HIPRI | c::RWF_DSYNC | c::RWF_SYNC | c::RWF_NOWAIT | c::RWF_APPEND;
    let native = cx.file(fd as i32).is_none_or(|open| open.file.is_native());
    let flags = flags as u32;
    if !native && flags & !KNOWN != 0 { Err(Errno::EOPNOTSUPP) } else { Ok(flags & c::RWF_NOWAIT != 0) }
}

/// Not at an offset, but where the file stands.
const CURRENT: u64 = u64::MAX;

pub fn preadv2(cx: &Cx, a: Args) -> Step {
    let place = Place::Many(a[1], a[2]);
    match check_flags(cx, a[0], a[5]) {
        Err(error) => Step::Failed(error),
        Ok(nowait) if a[3] == CURRENT => match made(cx, a[0]) {
            Some(open) => read_to(cx, open, &place, nowait),
            None => pass(),
        },
        Ok(_) => read_at(cx, a[0], &place, a[3]),
    }
}

pub fn pwritev2(cx: &Cx, a: Args) -> Step {
    let place = Place::Many(a[1], a[2]);
    match check_flags(cx, a[0], a[5]) {
        Err(error) => Step::Failed(error),
        Ok(nowait) if a[3] == CURRENT => write_from(cx, a[0], &place, nowait),
        Ok(_) => write_at(cx, a[0], &place, a[3]),
    }
}

/// Waits until `open` may be ready for `bits`.
pub(super) async fn wait_for(cx: &Cx, open: &OpenFile, bits: u32) -> Result<(), Errno> {
    let _outside = cx.await_streams(open.file.stream().map(|stream| (stream, bits)).into_iter());
    let Some(queue) = open.watched_queue(cx) else { return Err(Errno::EAGAIN) };
    let limit = open.downcast::<Socket>().and_then(|socket| socket.timeout(bits == poll::OUT));
    let deadline = limit.map(|ns| cx.kernel.timers.now().saturating_add(ns));
    match cx.sleep(&[queue], deadline).await {
        Woken::Event => Ok(()),
        Woken::Timeout => Err(Errno::EAGAIN),
        // A call that may time out isn't made again (signal(7)).
        Woken::Signal => Err(if limit.is_some() { Errno::EINTR } else { Errno::ERESTARTSYS }),
    }
}

/// The file behind a descriptor, if it is the kernel's own.
fn made(cx: &Cx, fd: u64) -> Option<Rc<OpenFile>> {
    cx.file(fd as i32).filter(|open| !open.file.is_native())
}

fn read_to(cx: &Cx, open: Rc<OpenFile>, place: &Place, nowait: bool) -> Step {
    if !open.readable() {
        return Step::Failed(Errno::EBADF);
    }
    let mut to = match place.buffers(cx) {
        Ok(to) => to,
        Err(error) => return Step::Failed(error),
    };
    match open.file.read(cx, &mut to) {
        Err(Errno::EAGAIN) if !nowait && !open.nonblocking() => later(cx, read_later(cx.clone(), open, to)),
        result => now(result),
    }
}

async fn read_later(cx: Cx, open: Rc<OpenFile>, mut to: Buffers) -> SysResult {
    loop {
        wait_for(&cx, &open, poll::IN).await?;
        match open.file.read(&cx, &mut to) {
            Err(Errno::EAGAIN) if !open.nonblocking() => {}
            result => return result.map(Outcome::Value),
        }
    }
}

fn write_from(cx: &Cx, fd: u64, place: &Place, nowait: bool) -> Step {
    let Some(open) = cx.file(fd as i32) else { return pass() };
    if open.file.is_native() {
        NativeFile::note_change(cx, &open);
        return pass();
    }
    if !open.writable() {
        return Step::Failed(Errno::EBADF);
    }
    let from = match place.buffers(cx) {
        Ok(from) => from,
        Err(error) => return Step::Failed(error),
    };
    let mut writing = Writing { open, from, done: 0, nowait };
    match writing.go_on(cx) {
        Some(result) => now(result),
        None => later(cx, write_later(cx.clone(), writing)),
    }
}

/// A write of which a part may be done.
struct Writing {
    open: Rc<OpenFile>,
    from: Buffers,
    done: u64,
    nowait: bool,
}

impl Writing {
    /// Writes what there is room for; `None` if the rest has to wait.
    fn go_on(&mut self, cx: &Cx) -> Option<Result<u64, Errno>> {
        loop {
            match self.open.file.write(cx, &mut self.from) {
                Ok(n) => {
                    self.done += n;
                    if n == 0 || self.from.left() == 0 || !self.open.file.writes_all() {
                        return Some(Ok(self.done));
                    }
                }
                Err(Errno::EAGAIN) if !self.nowait && !self.open.nonblocking() => return None,
                Err(error) => return Some(self.so_far(error)),
            }
        }
    }

    /// What has been written counts more than why the rest wasn't.
    fn so_far(&self, error: Errno) -> Result<u64, Errno> {
        if self.done > 0 { Ok(self.done) } else { Err(error) }
    }
}

async fn write_later(cx: Cx, mut writing: Writing) -> SysResult {
    loop {
        if let Err(error) = wait_for(&cx, &writing.open, poll::OUT).await {
            return writing.so_far(error).map(Outcome::Value);
        }
        if let Some(result) = writing.go_on(&cx) {
            return result.map(Outcome::Value);
        }
    }
}

fn read_at(cx: &Cx, fd: u64, place: &Place, offset: u64) -> Step {
    let Some(open) = cx.file(fd as i32).filter(|open| !open.file.is_native()) else { return pass() };
    let read = || {
        check_offset(cx, &open, offset)?;
        if !open.readable() {
            return Err(Errno::EBADF);
        }
        open.file.read_at(cx, &mut place.buffers(cx)?, offset)
    };
    now(read())
}

fn write_at(cx: &Cx, fd: u64, place: &Place, offset: u64) -> Step {
    let Some(open) = cx.file(fd as i32) else { return pass() };
    if open.file.is_native() {
        NativeFile::note_change(cx, &open);
        return pass();
    }
    let write = || {
        check_offset(cx, &open, offset)?;
        if !open.writable() {
            return Err(Errno::EBADF);
        }
        open.file.write_at(cx, &mut place.buffers(cx)?, offset)
    };
    now(write())
}

/// Linux looks at the offset first, then whether there are offsets at all, then whether the access mode allows it.
fn check_offset(cx: &Cx, open: &OpenFile, offset: u64) -> Result<(), Errno> {
    if (offset as i64) < 0 {
        Err(Errno::EINVAL)
    } else if open.file.seek(cx, 0, c::SEEK_CUR) == Err(Errno::ESPIPE) {
        Err(Errno::ESPIPE)
    } else {
        Ok(())
    }
}

pub fn lseek(cx: &Cx, a: Args) -> SysResult {
    const HIGHEST_WHENCE: u32 = 4;
    let whence = a[2] as u32;
    match cx.file(a[0] as i32) {
        Some(open) if !open.file.is_native() => {
            if whence > HIGHEST_WHENCE {
                return Err(Errno::EINVAL);
            }
            open.file.seek(cx, a[1] as i64, whence).map(Outcome::Value)
        }
        _ => Ok(Outcome::Pass),
    }
}
