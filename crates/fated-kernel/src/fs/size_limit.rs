//! `RLIMIT_FSIZE`: how far a write may make a real file grow (Linux: `generic_write_check_limits`, `inode_newsize_ok`). What lies beyond
//! isn't written; a write that begins there fails with `EFBIG`, and SIGXFSZ is sent.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::inode::kind;
use crate::process::limits::INFINITY;
use crate::signal::kill::from_caller;
use crate::signal::{SI_USER, nr};
use alloc::vec::Vec;
use linux_raw_sys::general as c;

/// The limit of the calling process, if it has one.
pub(super) fn limit(cx: &Cx) -> Option<u64> {
    Some(cx.process().limits.soft(c::RLIMIT_FSIZE)).filter(|&limit| limit != INFINITY)
}

/// The error of a write that begins beyond the limit; sends the signal.
pub(super) fn too_big(cx: &Cx) -> Errno {
    cx.kernel.send_to_task(&cx.task, from_caller(cx, nr::XFSZ, SI_USER));
    Errno::EFBIG
}

/// Writes `pieces` of memory to the real file behind `fd`, at its position or at an offset, up to the limit. `None`: none has to be kept, and
/// the call may be made as it is.
pub(super) fn write(
    cx: &Cx,
    limit: u64,
    fd: u64,
    pieces: Vec<(u64, u64)>,
    offset: Option<u64>,
) -> Option<Result<u64, Errno>> {
    let file = cx.task.guest.stat(fd as i32, b"", 0).ok().filter(|stat| stat.is(kind::REGULAR))?;
    let flags = cx.native(c::__NR_fcntl.into(), [fd, c::F_GETFL.into(), 0, 0, 0, 0]).ok()?;
    let at = if flags & u64::from(c::O_APPEND) != 0 {
        file.size
    } else if let Some(offset) = offset {
        offset
    } else {
        cx.native(c::__NR_lseek.into(), [fd, 0, c::SEEK_CUR.into(), 0, 0, 0]).ok()?
    };
    let len: u64 = pieces.iter().map(|(_, len)| len).sum();
    if len == 0 || at.saturating_add(len) <= limit {
        return None;
    }
    if at >= limit {
        return Some(Err(too_big(cx)));
    }
    let mut done = 0;
    for (addr, len) in pieces {
        let part = len.min(limit - at - done);
        let result = match offset {
            Some(offset) => cx.native(c::__NR_pwrite64.into(), [fd, addr, part, offset + done, 0, 0]),
            None => cx.native(c::__NR_write.into(), [fd, addr, part, 0, 0, 0]),
        };
        match result {
            Ok(count) => done += count,
            Err(error) if done == 0 => return Some(Err(error)),
            Err(_) => break,
        }
        if result != Ok(part) || at + done >= limit {
            break;
        }
    }
    Some(Ok(done))
}

/// How many bytes may be written to the real file behind `fd` from a position on, its own if there is no other. `None`: as many as one likes.
pub(super) fn room(cx: &Cx, fd: u64, at: Option<u64>) -> Option<u64> {
    let limit = limit(cx)?;
    cx.task.guest.stat(fd as i32, b"", 0).ok().filter(|stat| stat.is(kind::REGULAR))?;
    let at = match at {
        Some(at) => at,
        None => cx.native(c::__NR_lseek.into(), [fd, 0, c::SEEK_CUR.into(), 0, 0, 0]).ok()?,
    };
    Some(limit.saturating_sub(at))
}

/// Whether the real file, which has `size` bytes, may be made `new` long.
pub(super) fn check_size(cx: &Cx, size: u64, new: u64) -> Result<(), Errno> {
    match limit(cx) {
        Some(limit) if new > size && new > limit => Err(too_big(cx)),
        _ => Ok(()),
    }
}
