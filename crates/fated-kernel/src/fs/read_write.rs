//! Reads and writes, at the position of an open file or at an offset.
//!
//! The real Linux reads and writes its own files itself. On the kernel's own files a call is tried at once; only if it must wait
//! does it become a future.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::OpenFile;
use crate::fs::host::file::NativeFile;
use crate::fs::poll;
use crate::fs::size_limit;
use crate::ipc::pipe::end::End;
use crate::mm::iov_iter::{Buffers, check_range};
use crate::net::socket::Socket;
use crate::outcome::{Outcome, Step, SysResult};
use crate::ports::Awaited;
use crate::sched::Woken;
use crate::tty::input::BLOCK;
use alloc::{rc::Rc, vec, vec::Vec};
use linux_raw_sys::general as c;

/// The guest's memory that a call reads from or writes to.
#[derive(Clone, Copy, Debug)]
pub enum UserBuffer {
    /// An address and a length.
    One(u64, u64),
    /// The address of a vector of those, and their count.
    Many(u64, u64),
}

impl UserBuffer {
    /// The pieces of memory, each with its length.
    fn pieces(self, cx: &Cx) -> Result<Vec<(u64, u64)>, Errno> {
        match self {
            UserBuffer::One(addr, len) => Ok(vec![(addr, len)]),
            UserBuffer::Many(addr, count) => Buffers::many(cx.memory(), addr, count).map(Buffers::into_pieces),
        }
    }

    fn buffers(self, cx: &Cx) -> Result<Buffers, Errno> {
        match self {
            UserBuffer::One(addr, len) => {
                check_range(addr, len)?;
                Ok(Buffers::one(cx.memory(), addr, len))
            }
            UserBuffer::Many(addr, count) => Buffers::many(cx.memory(), addr, count),
        }
    }
}

/// The flags of preadv2(2) and pwritev2(2): whether not to wait. A file of the kernel's own knows some of them.
pub fn check_flags(cx: &Cx, fd: u64, flags: u64) -> Result<bool, Errno> {
    const KNOWN: u32 = c::RWF_HIPRI | c::RWF_DSYNC | c::RWF_SYNC | c::RWF_NOWAIT | c::RWF_APPEND;
    let native = cx.file(fd as i32).is_none_or(|open| open.file.is_native());
    let flags = flags as u32;
    if !native && flags & !KNOWN != 0 { Err(Errno::EOPNOTSUPP) } else { Ok(flags & c::RWF_NOWAIT != 0) }
}

/// What preadv2(2) and pwritev2(2) say to flags that a file of the kernel's own doesn't know: `error`, or what Linux finds before it looks
/// at them. `at` is a place in the file.
pub fn refuse(cx: &Cx, fd: u64, buffer: UserBuffer, at: Option<u64>, error: Errno) -> Step {
    match at {
        Some(at) if (at as i64) < 0 => Step::Failed(Errno::EINVAL),
        Some(_) if own(cx, fd).is_some_and(|open| open.downcast::<End>().is_some()) => Step::Failed(Errno::ESPIPE),
        _ => match buffer.buffers(cx).map(|it| it.left()) {
            Ok(0) => Step::Value(0),
            result => Step::Failed(result.err().unwrap_or(error)),
        },
    }
}

/// Waits until `open` may be ready for `bits`.
pub async fn wait_for(cx: &Cx, open: &OpenFile, bits: u32) -> Result<(), Errno> {
    wait_for_bytes(cx, open, bits, BLOCK).await
}

/// The same, where `want` bytes are to be read.
async fn wait_for_bytes(cx: &Cx, open: &OpenFile, bits: u32, want: u64) -> Result<(), Errno> {
    let want = want.min(BLOCK);
    let _outside = cx.await_streams(open.file.stream().map(|stream| Awaited { stream, bits, want }).into_iter());
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
fn own(cx: &Cx, fd: u64) -> Option<Rc<OpenFile>> {
    cx.file(fd as i32).filter(|open| !open.file.is_native())
}

/// Reads at the position of `fd`.
pub fn read(cx: &Cx, fd: u64, buffer: UserBuffer, nowait: bool) -> Step {
    let Some(open) = own(cx, fd) else { return Step::Pass };
    if !open.readable() {
        return Step::Failed(Errno::EBADF);
    }
    let mut to = match buffer.buffers(cx) {
        Ok(to) => to,
        Err(error) => return Step::Failed(error),
    };
    match open.file.read(cx, &mut to) {
        Err(Errno::EAGAIN) if !nowait && !open.nonblocking() => cx.later(read_later(cx.clone(), open, to)),
        Err(Errno::EAGAIN) => {
            open.file.ask();
            Step::Failed(Errno::EAGAIN)
        }
        result => Step::from(result),
    }
}

async fn read_later(cx: Cx, open: Rc<OpenFile>, mut to: Buffers) -> SysResult {
    loop {
        wait_for_bytes(&cx, &open, poll::IN, to.left()).await?;
        match open.file.read(&cx, &mut to) {
            Err(Errno::EAGAIN) if !open.nonblocking() => {}
            result => return result.map(Outcome::Value),
        }
    }
}

/// Writes at the position of `fd`.
pub fn write(cx: &Cx, fd: u64, buffer: UserBuffer, nowait: bool) -> Step {
    let Some(open) = cx.file(fd as i32) else { return Step::Pass };
    if open.file.is_native() {
        NativeFile::note_change(cx, &open);
        return write_native(cx, fd, buffer, None);
    }
    if !open.writable() {
        return Step::Failed(Errno::EBADF);
    }
    let from = match buffer.buffers(cx) {
        Ok(from) => from,
        Err(error) => return Step::Failed(error),
    };
    let mut writing = Writing { open, from, done: 0, nowait };
    match writing.go_on(cx) {
        Some(result) => Step::from(result),
        None => cx.later(write_later(cx.clone(), writing)),
    }
}

/// Lets the real Linux write to its own file, as far as the caller's limit allows.
fn write_native(cx: &Cx, fd: u64, buffer: UserBuffer, offset: Option<u64>) -> Step {
    let limited = |limit| size_limit::write(cx, limit, fd, buffer.pieces(cx).ok()?, offset);
    size_limit::limit(cx).and_then(limited).map_or(Step::Pass, Step::from)
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

/// Reads from an offset.
pub fn read_at(cx: &Cx, fd: u64, buffer: UserBuffer, offset: u64) -> Step {
    let Some(open) = own(cx, fd) else { return Step::Pass };
    let read = || {
        check_offset(cx, &open, offset)?;
        if !open.readable() {
            return Err(Errno::EBADF);
        }
        open.file.read_at(cx, &mut buffer.buffers(cx)?, offset)
    };
    Step::from(read())
}

/// Writes at an offset.
pub fn write_at(cx: &Cx, fd: u64, buffer: UserBuffer, offset: u64) -> Step {
    let Some(open) = cx.file(fd as i32) else { return Step::Pass };
    if open.file.is_native() {
        NativeFile::note_change(cx, &open);
        return write_native(cx, fd, buffer, Some(offset));
    }
    let write = || {
        check_offset(cx, &open, offset)?;
        if !open.writable() {
            return Err(Errno::EBADF);
        }
        open.file.write_at(cx, &mut buffer.buffers(cx)?, offset)
    };
    Step::from(write())
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

/// Moves the position of `fd`.
pub fn seek(cx: &Cx, fd: u64, offset: i64, whence: u32) -> SysResult {
    const HIGHEST_WHENCE: u32 = 4;
    let Some(open) = own(cx, fd) else { return Ok(Outcome::Pass) };
    if whence > HIGHEST_WHENCE {
        return Err(Errno::EINVAL);
    }
    open.file.seek(cx, offset, whence).map(Outcome::Value)
}
