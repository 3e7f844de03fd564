//! flock(2) and the locks of fcntl(2).
//!
//! A lock is taken on the real file first, without waiting, as a process outside of the run may hold it; then in
//! [`Locks`](crate::fs::locks::Locks). What isn't free is tried again when a lock of a guest has been released: an unlock, a
//! close, an exec or the end of a process. When an outsider holds it, it is also tried again and again, in real time, while every task
//! waits.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::descriptors::settle;
use crate::fs::file::{Files, OpenFile, Slot};
use crate::fs::host::file::NativeFile;
use crate::fs::locks::{FileId, Held, Lock, LockKind, Owner, Span, Wish};
use crate::outcome::{Outcome, SysResult};
use crate::sched::Woken;
use crate::sched::wait_queue::WaitQueue;
use alloc::{rc::Rc, vec::Vec};
use core::cell::Cell;
use linux_raw_sys::general as c;

/// A call of flock(2) or fcntl(2): its number, and arguments with which it doesn't wait.
#[derive(Clone, Copy, Debug)]
pub struct LockCall {
    /// The number.
    pub number: u32,
    /// The arguments.
    pub args: [u64; 6],
    /// What it changes.
    pub kind: LockKind,
    /// An owner that is the open file description, not the process.
    pub of_description: bool,
    /// Whether it takes a shared (`false`) or exclusive lock; `None`: it releases.
    pub exclusive: Option<bool>,
}

/// What a call of fcntl(2) wants to lock; a bad pointer is left to the real call.
#[derive(Clone, Copy, Debug)]
struct Request {
    kind: u32,
    span: Option<Span>,
}

/// Reads a `struct flock`.
fn read_request(cx: &Cx, fd: i32, addr: u64) -> Result<Request, Errno> {
    let [types, start, len] = cx.read_words(addr)?;
    let (kind, whence) = (u32::from(types as u16), u32::from((types >> 16) as u16));
    let seek = |whence: u32| cx.native(c::__NR_lseek.into(), [fd as u64, 0, whence.into(), 0, 0, 0]);
    let base = match whence {
        c::SEEK_SET => 0,
        c::SEEK_CUR => seek(whence)? as i64,
        c::SEEK_END => i64::try_from(cx.task.guest.stat(fd, b"", 0)?.size).unwrap_or(i64::MAX),
        _ => return Err(Errno::EINVAL),
    };
    let span = base.checked_add(start as i64).and_then(|from| Span::of_flock(from, len as i64));
    Ok(Request { kind, span })
}

/// Who owns locks that are made through `fd`.
fn owner(cx: &Cx, fd: i32, of_description: bool) -> Result<Owner, Errno> {
    if !of_description {
        let files = cx.task.files.borrow();
        let owner = Owner::Table(Rc::as_ptr(&files) as usize);
        files.locked.get_or_init(|| Held::new(&cx.kernel.locks, owner));
        return Ok(owner);
    }
    let open = known(cx, fd)?;
    let owner = Owner::Description(Rc::as_ptr(&open) as usize);
    open.locked.get_or_init(|| Held::new(&cx.kernel.locks, owner));
    Ok(owner)
}

/// The open file at `fd`. One that was the real Linux's alone is known from now on, in all tables that have it.
fn known(cx: &Cx, fd: i32) -> Result<Rc<OpenFile>, Errno> {
    let file = match cx.open_slot(fd)? {
        Slot::Open(descriptor) => return Ok(descriptor.open),
        Slot::Host(file) | Slot::Passed(file) => file,
        Slot::Free => return Err(Errno::EBADF),
    };
    let flags = cx.native(c::__NR_fcntl.into(), [fd as u64, c::F_GETFL.into(), 0, 0, 0, 0])?;
    let open = OpenFile::of_host(Rc::new(NativeFile::untracked()), file.id(), flags as u32);
    let tasks: Vec<_> = cx.kernel.tasks.borrow().values().cloned().collect();
    for task in tasks {
        settle(&task);
        task.files.borrow().make_known(file.id(), &open);
    }
    Ok(open)
}

fn file_id(cx: &Cx, fd: i32) -> Result<FileId, Errno> {
    cx.task.guest.stat(fd, b"", 0).map(|stat| (stat.dev, stat.ino))
}

/// A call that doesn't wait. `EAGAIN` comes with what to wait for.
fn attempt(cx: &Cx, call: &LockCall) -> Result<(), (Errno, Option<Wish>)> {
    let locks = &cx.kernel.locks;
    match cx.native(call.number.into(), call.args) {
        Ok(_) => {
            if let Ok(wish) = wish(cx, call) {
                match call.exclusive {
                    Some(_) => locks.set(&wish),
                    None => locks.clear(wish.file, wish.kind, wish.lock.owner, wish.lock.span),
                }
            }
            // Changing a lock may release a part of it.
            locks.wake();
            Ok(())
        }
        Err(error @ (Errno::EAGAIN | Errno::EACCES)) => {
            let wish = wish(cx, call).ok();
            if let Some(wish) = wish.filter(|wish| wish.kind == LockKind::Flock) {
                // A lock that couldn't be changed to the other kind is lost.
                locks.clear(wish.file, wish.kind, wish.lock.owner, Span::ALL);
                locks.wake();
            }
            Err((error, wish))
        }
        Err(error) => Err((error, None)),
    }
}

/// What a call wants.
fn wish(cx: &Cx, call: &LockCall) -> Result<Wish, Errno> {
    let fd = call.args[0] as i32;
    let span = match call.kind {
        LockKind::Flock => Span::ALL,
        LockKind::Record => read_request(cx, fd, call.args[2])?.span.ok_or(Errno::EINVAL)?,
    };
    let file = file_id(cx, fd)?;
    let owner = owner(cx, fd, call.of_description)?;
    let lock = Lock { owner, pid: cx.process().pid, span, exclusive: call.exclusive == Some(true) };
    Ok(Wish { file, kind: call.kind, lock })
}

/// Takes or releases a lock without waiting.
pub fn try_lock(cx: &Cx, call: &LockCall) -> SysResult {
    attempt(cx, call).map(|()| Outcome::Value(0)).map_err(|(error, _)| error)
}

/// Takes a lock, and waits until it is free.
pub async fn lock(cx: Cx, call: LockCall) -> SysResult {
    loop {
        let wish = match attempt(&cx, &call) {
            Ok(()) => return Ok(Outcome::Value(0)),
            Err((Errno::EAGAIN | Errno::EACCES, Some(wish))) => wish,
            Err((error, _)) => return Err(error),
        };
        if matches!(wish.lock.owner, Owner::Table(_)) {
            cx.kernel.locks.check_deadlock(&wish)?;
        }
        let queue = WaitQueue::default();
        // What came of a try while this task slept.
        let taken = Rc::new(Cell::new(None));
        let retry = {
            let (cx, taken) = (cx.clone(), taken.clone());
            move || {
                let result = match attempt(&cx, &call) {
                    Err((Errno::EAGAIN | Errno::EACCES, Some(_))) => return false,
                    other => other.map_err(|(error, _)| error),
                };
                taken.set(Some(result));
                true
            }
        };
        let _waits = cx.kernel.locks.wait(wish, queue.clone(), Rc::new(retry));
        let woken = cx.sleep(&[&queue], None).await;
        if let Some(result) = taken.take() {
            return result.map(|()| Outcome::Value(0));
        }
        if woken == Woken::Signal {
            return Err(Errno::ERESTARTSYS);
        }
    }
}

/// `F_GETLK`: the first lock that would keep the caller's from being granted. The real Linux names a real process, which no guest can
/// know; who is outside of the run has no pid in it.
pub fn get_lock(cx: &Cx, args: [u64; 6], of_description: bool) -> Result<u64, Errno> {
    const OUTSIDE: i32 = -1;
    let [fd, _, addr, ..] = args;
    let request = read_request(cx, fd as i32, addr);
    cx.native(c::__NR_fcntl.into(), args)?;
    let kind = u32::from(u16::from_le_bytes(cx.read_array(addr)?));
    if kind == c::F_UNLCK {
        return Ok(0);
    }
    let pid = addr.wrapping_add(24);
    cx.write_u32(pid, OUTSIDE as u32)?;
    let Ok(Request { kind, span: Some(span) }) = request else { return Ok(0) };
    let owner = owner(cx, fd as i32, of_description)?;
    let lock = Lock { owner, pid: cx.process().pid, span, exclusive: kind == c::F_WRLCK };
    let wish = Wish { file: file_id(cx, fd as i32)?, kind: LockKind::Record, lock };
    let Some(held) = cx.kernel.locks.conflict(&wish) else { return Ok(0) };
    let kind = if held.exclusive { c::F_WRLCK } else { c::F_RDLCK };
    let len = if held.span.last == Span::END { 0 } else { held.span.last - held.span.first + 1 };
    cx.write_words(addr, &[u64::from(kind), held.span.first, len])?;
    if matches!(held.owner, Owner::Table(_)) {
        cx.write_u32(pid, held.pid.get())?;
    }
    Ok(0)
}

/// The files whose record locks the caller gives up by closing these descriptors. To be asked before they are closed.
#[must_use]
pub fn given_up_by(cx: &Cx, files: &Files, closed: impl Iterator<Item = i32>) -> Vec<FileId> {
    if files.locked.get().is_none() {
        return Vec::new();
    }
    closed.filter_map(|fd| file_id(cx, fd).ok()).collect()
}

/// Releases them.
pub fn give_up(cx: &Cx, files: &Rc<Files>, locked: Vec<FileId>) {
    for file in locked {
        cx.kernel.locks.clear(file, LockKind::Record, Owner::Table(Rc::as_ptr(files) as usize), Span::ALL);
    }
}
