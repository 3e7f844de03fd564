//! Copies between two open files: sendfile(2), splice(2), tee(2), copy_file_range(2).
//!
//! Between two files of the real Linux, it copies. Between one of those and one of the kernel's own, the bytes go through a
//! piece of the guest's memory that is mapped for the moment: the real Linux reads or writes it there.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::OpenFile;
use crate::fs::host::file::NativeFile;
use crate::fs::inode::kind;
use crate::fs::poll;
use crate::fs::read_write::wait_for;
use crate::fs::size_limit::{room, too_big};
use crate::ipc::pipe::end::End;
use crate::mm::iov_iter::{Buffers, MAX_COUNT};
use crate::outcome::{Outcome, SysResult};
use alloc::rc::Rc;
use linux_raw_sys::general as c;

/// How much goes at once, which is what a pipe holds.
const CHUNK: u64 = 1 << 16;

/// Memory of the guest that only the kernel knows of, until it is dropped. No other task runs meanwhile.
struct Scratch<'a> {
    cx: &'a Cx,
    addr: u64,
}

impl Scratch<'_> {
    fn new(cx: &Cx) -> Result<Scratch<'_>, Errno> {
        let protection = u64::from(c::PROT_READ | c::PROT_WRITE);
        let flags = u64::from(c::MAP_PRIVATE | c::MAP_ANONYMOUS);
        let addr = cx.native(c::__NR_mmap.into(), [0, CHUNK, protection, flags, u64::MAX, 0])?;
        Ok(Scratch { cx, addr })
    }

    fn buffers(&self, len: u64) -> Buffers {
        Buffers::one(self.cx.memory(), self.addr, len)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What has been mapped can be unmapped.
        let _ = self.cx.native(c::__NR_munmap.into(), [self.addr, CHUNK, 0, 0, 0, 0]);
    }
}

/// The open file behind `fd`, if it is one of the kernel's own.
fn own(cx: &Cx, fd: u64) -> Option<Rc<OpenFile>> {
    cx.file(fd as i32).filter(|open| !open.file.is_native())
}

/// Between two files of the real Linux: it knows best. The one written to has changed.
fn pass(cx: &Cx, to: u64) -> SysResult {
    if let Some(open) = cx.file(to as i32) {
        NativeFile::note_change(cx, &open);
    }
    Ok(Outcome::Pass)
}

/// A position in a file of the real Linux: the one at an address of the guest, or the descriptor's own.
struct Position {
    fd: u64,
    pointer: u64,
    at: u64,
}

impl Position {
    fn new(cx: &Cx, fd: u64, pointer: u64) -> Result<Position, Errno> {
        cx.check_open(fd as i32)?;
        let at = match pointer {
            0 => cx.native(c::__NR_lseek.into(), [fd, 0, c::SEEK_CUR.into(), 0, 0, 0])?,
            _ => cx.read_u64(pointer)?,
        };
        if (at as i64) < 0 { Err(Errno::EINVAL) } else { Ok(Position { fd, pointer, at }) }
    }

    fn advance(&mut self, cx: &Cx, by: u64) -> Result<(), Errno> {
        self.at = self.at.saturating_add(by);
        match self.pointer {
            0 => cx.native(c::__NR_lseek.into(), [self.fd, self.at, c::SEEK_SET.into(), 0, 0, 0]).map(drop),
            _ => cx.write_words(self.pointer, &[self.at]),
        }
    }
}

/// Whether an offset can be read, if there is one.
fn check_pointer(cx: &Cx, pointer: u64) -> Result<(), Errno> {
    if pointer == 0 { Ok(()) } else { cx.read_u64(pointer).map(drop) }
}

/// How a copy goes on.
#[derive(Clone, Copy)]
struct How {
    /// Wait for the kernel's own side.
    waits: bool,
    /// Go on until all is copied, instead of being content with what fits.
    all: bool,
}

/// From a file of the real Linux to one of the kernel's own.
async fn send(cx: &Cx, from: &mut Position, to: &OpenFile, len: u64, how: How) -> Result<u64, Errno> {
    let mut done = 0;
    while done < len {
        match send_some(cx, from, to, len - done) {
            Ok(0) => break,
            Ok(n) => {
                done += n;
                if !how.all {
                    break;
                }
            }
            Err(Errno::EAGAIN) if how.waits && (how.all || done == 0) => {
                if let Err(error) = wait_for(cx, to, poll::OUT).await {
                    return if done > 0 { Ok(done) } else { Err(error) };
                }
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn send_some(cx: &Cx, from: &mut Position, to: &OpenFile, len: u64) -> Result<u64, Errno> {
    if to.file.poll() & (poll::OUT | poll::ERR | poll::HUP) == 0 {
        return Err(Errno::EAGAIN);
    }
    let scratch = Scratch::new(cx)?;
    let got = cx.native(c::__NR_pread64.into(), [from.fd, scratch.addr, len.min(CHUNK), from.at, 0, 0])?;
    if got == 0 {
        return Ok(0);
    }
    let put = to.file.write(cx, &mut scratch.buffers(got))?;
    from.advance(cx, put)?;
    Ok(put)
}

/// From one of the kernel's own files to one of the real Linux.
async fn receive(cx: &Cx, from: &OpenFile, to: &mut Position, len: u64, waits: bool) -> Result<u64, Errno> {
    loop {
        match receive_some(cx, from, to, len) {
            Err(Errno::EAGAIN) if waits => wait_for(cx, from, poll::IN).await?,
            result => return result,
        }
    }
}

fn receive_some(cx: &Cx, from: &OpenFile, to: &mut Position, len: u64) -> Result<u64, Errno> {
    let room = room(cx, to.fd, Some(to.at)).unwrap_or(u64::MAX);
    let has_data = || from.file.poll() & poll::IN != 0;
    if room == 0 && has_data() {
        return Err(too_big(cx));
    }
    let scratch = Scratch::new(cx)?;
    let got = from.file.read(cx, &mut scratch.buffers(len.min(CHUNK).min(room.max(1))))?;
    if got == 0 {
        return Ok(0);
    }
    let put = cx.native(c::__NR_pwrite64.into(), [to.fd, scratch.addr, got, to.at, 0, 0])?;
    to.advance(cx, put)?;
    if put == room && len > room && has_data() {
        // What is there beyond the limit has been tried.
        too_big(cx);
    }
    Ok(put)
}

/// sendfile(2) between files of the real Linux, where there is room for so many bytes only.
fn send_limited(cx: &Cx, to: u64, from: u64, pointer: u64, len: u64, room: u64) -> Result<u64, Errno> {
    let has_more = || -> Result<bool, Errno> {
        let source = cx.task.guest.stat(from as i32, b"", 0)?;
        Ok(!source.is(kind::REGULAR) || Position::new(cx, from, pointer)?.at < source.size)
    };
    let mut sent = 0;
    if room > 0 {
        sent = cx.native(c::__NR_sendfile.into(), [to, from, pointer, room, 0, 0])?;
    } else {
        // For its other errors.
        cx.native(c::__NR_sendfile.into(), [to, from, pointer, 0, 0, 0])?;
    }
    // Linux goes on, and finds the limit.
    let error = if sent == room && len > room && has_more()? { Some(too_big(cx)) } else { None };
    error.filter(|_| sent == 0).map_or(Ok(sent), Err)
}

/// sendfile(2): from a file with a position, or an offset at `pointer`.
pub async fn sendfile(cx: Cx, to: u64, from: u64, pointer: u64, len: u64) -> SysResult {
    let (source, target) = (own(&cx, from), own(&cx, to));
    if source.is_none() && target.is_none() {
        let outcome = pass(&cx, to);
        return match room(&cx, to, None).filter(|&room| len > room) {
            Some(room) => send_limited(&cx, to, from, pointer, len, room).map(Outcome::from),
            None => outcome,
        };
    }
    check_pointer(&cx, pointer)?;
    check_modes(&cx, (from, &source), (to, &target))?;
    // Only files with a place can be sent from.
    let (None, Some(target)) = (source, target) else { return Err(Errno::EINVAL) };
    let mut position = Position::new(&cx, from, pointer)?;
    // Into a pipe goes what fits, into anything else all of it.
    let how = How { waits: !target.nonblocking(), all: target.downcast::<End>().is_none() };
    Ok(send(&cx, &mut position, &target, len.min(MAX_COUNT), how).await?.into())
}

/// One side of a copy: a descriptor, and its open file if that is one of the kernel's own.
type Named<'a> = (u64, &'a Option<Rc<OpenFile>>);

/// Whether one side is open for reading, and the other one for writing.
fn check_modes(cx: &Cx, (from, source): Named<'_>, (to, target): Named<'_>) -> Result<(), Errno> {
    let permits = |fd: u64, refused: u32| {
        let flags = cx.native(c::__NR_fcntl.into(), [fd, c::F_GETFL.into(), 0, 0, 0, 0])? as u32;
        Ok::<_, Errno>(flags & c::O_ACCMODE != refused && flags & c::O_PATH == 0)
    };
    let reads = source.as_ref().map_or_else(|| permits(from, c::O_WRONLY), |open| Ok(open.readable()))?;
    let writes = target.as_ref().map_or_else(|| permits(to, c::O_RDONLY), |open| Ok(open.writable()))?;
    if reads && writes { Ok(()) } else { Err(Errno::EBADF) }
}

/// `SPLICE_F_*`: don't wait; and all that there are.
const NONBLOCK: u32 = 2;
const KNOWN: u32 = 1 | NONBLOCK | 4 | 8;

/// One side of a splice: a descriptor, and the address of an offset.
pub type Side = (u64, u64);

/// splice(2).
pub async fn splice(cx: Cx, (from, from_pointer): Side, (to, to_pointer): Side, len: u64, flags: u32) -> SysResult {
    if len == 0 {
        return Ok(0.into());
    }
    if flags & !KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let (source, target) = (own(&cx, from), own(&cx, to));
    if source.is_none() && target.is_none() {
        return pass(&cx, to);
    }
    check_modes(&cx, (from, &source), (to, &target))?;
    let is_pipe = |open: &Option<Rc<OpenFile>>| open.as_ref().is_some_and(|open| open.downcast::<End>().is_some());
    let (from_pipe, to_pipe) = (is_pipe(&source), is_pipe(&target));
    if from_pipe && from_pointer != 0 || to_pipe && to_pointer != 0 {
        return Err(Errno::ESPIPE);
    }
    match (source, target) {
        (None, Some(target)) if to_pipe => {
            let mut position = Position::new(&cx, from, from_pointer)?;
            let how = How { waits: flags & NONBLOCK == 0 && !target.nonblocking(), all: false };
            Ok(send(&cx, &mut position, &target, len, how).await?.into())
        }
        (Some(source), None) if from_pipe => {
            let mut position = Position::new(&cx, to, to_pointer)?;
            if let Some(open) = cx.file(to as i32) {
                NativeFile::note_change(&cx, &open);
            }
            let waits = flags & NONBLOCK == 0 && !source.nonblocking();
            Ok(receive(&cx, &source, &mut position, len, waits).await?.into())
        }
        (Some(source), Some(target)) if from_pipe && to_pipe => {
            hand_on(&cx, &source, &target, len, flags & NONBLOCK == 0, false).await
        }
        _ => Err(Errno::EINVAL),
    }
}

/// From pipe to pipe.
async fn hand_on(cx: &Cx, from: &OpenFile, to: &OpenFile, len: u64, waits: bool, keep: bool) -> SysResult {
    let (Some(source), Some(target)) = (from.downcast::<End>(), to.downcast::<End>()) else {
        return Err(Errno::EINVAL);
    };
    let waits = waits && !from.nonblocking() && !to.nonblocking();
    let len = usize::try_from(len.min(MAX_COUNT)).unwrap_or(usize::MAX);
    loop {
        match source.hand_on(cx, target, len, keep) {
            Err(Errno::EAGAIN) if waits => {
                let empty = from.file.poll() & poll::IN == 0;
                let (open, bits) = if empty { (from, poll::IN) } else { (to, poll::OUT) };
                wait_for(cx, open, bits).await?;
            }
            result => return Ok((result? as u64).into()),
        }
    }
}

/// copy_file_range(2): between files of the real Linux only.
pub fn copy_file_range(cx: &Cx, args: [u64; 6]) -> SysResult {
    let [from, from_pointer, to, to_pointer, len, flags] = args;
    if own(cx, from).is_none() && own(cx, to).is_none() {
        let outcome = pass(cx, to);
        let at = if to_pointer == 0 { None } else { cx.read_u64(to_pointer).ok() };
        let Some(room) = room(cx, to, at).filter(|&room| len > room) else { return outcome };
        // With a length of 0, it still finds what else is wrong.
        let copied = cx.native(c::__NR_copy_file_range.into(), [from, from_pointer, to, to_pointer, room, flags])?;
        return if room == 0 { Err(too_big(cx)) } else { Ok(copied.into()) };
    }
    cx.check_open(from as i32)?;
    cx.check_open(to as i32)?;
    check_pointer(cx, from_pointer)?;
    check_pointer(cx, to_pointer)?;
    Err(Errno::EINVAL)
}

/// tee(2).
pub async fn tee(cx: Cx, from: u64, to: u64, len: u64, flags: u32) -> SysResult {
    if flags & !KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0.into());
    }
    let (source, target) = (own(&cx, from), own(&cx, to));
    check_modes(&cx, (from, &source), (to, &target))?;
    let (Some(source), Some(target)) = (source, target) else { return Err(Errno::EINVAL) };
    hand_on(&cx, &source, &target, len, flags & NONBLOCK == 0, true).await
}

/// vmsplice(2): lending pages to a pipe, or taking them, which none can.
pub fn vmsplice(cx: &Cx, fd: u64, vector: (u64, u64), flags: u32) -> SysResult {
    if flags & !KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    cx.check_open(fd as i32)?;
    if Buffers::many(cx.memory(), vector.0, vector.1)?.left() == 0 {
        return Ok(0.into());
    }
    Err(if cx.file(fd as i32).is_some() { Errno::EINVAL } else { Errno::EBADF })
}
