//! The limits on memory: `RLIMIT_AS`, `RLIMIT_DATA` and `RLIMIT_MEMLOCK` (Linux: `may_expand_vm`, `can_do_mlock`). Linux counts what a
//! process has; here that is read when there is a limit.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::mm::sizes::{locked, sizes};
use crate::process::capabilities::cap;
use crate::process::credentials::Act;
use crate::process::limits::INFINITY;
use linux_raw_sys::general::{RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK};

pub(crate) const PAGE: u64 = 4096;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grows {
    /// The address space alone.
    Space,
    /// The private memory that may be written, too.
    Data,
}

fn soft(cx: &Cx, number: u32) -> u64 {
    cx.process().limits.soft(number)
}

/// Whether the memory of the calling process may grow as it likes.
#[must_use]
pub fn is_unlimited(cx: &Cx) -> bool {
    soft(cx, RLIMIT_AS) == INFINITY && soft(cx, RLIMIT_DATA) == INFINITY
}

/// `ENOMEM` if a limit doesn't let the calling process map so many bytes more.
pub fn check_growth(cx: &Cx, bytes: u64, grows: Grows) -> Result<(), Errno> {
    if is_unlimited(cx) || bytes == 0 {
        return Ok(());
    }
    let sizes = sizes(&cx.task);
    let fits = |now: u64, limit: u64| now.saturating_add(bytes) <= limit;
    let data = grows == Grows::Space || fits(sizes.data, soft(cx, RLIMIT_DATA));
    if data && fits(sizes.total, soft(cx, RLIMIT_AS)) { Ok(()) } else { Err(Errno::ENOMEM) }
}

/// Whether the calling process may lock so many bytes more: `EPERM` if it may lock none, `excess` if that were too many.
pub fn check_lock(cx: &Cx, bytes: u64, excess: Errno) -> Result<(), Errno> {
    let limit = soft(cx, RLIMIT_MEMLOCK);
    if cx.process().credentials.borrow().may(Act::Capable(cap::IPC_LOCK)) {
        return Ok(());
    }
    if limit == 0 {
        return Err(Errno::EPERM);
    }
    // The sum may wrap, as in Linux.
    let wanted = bytes.wrapping_add(PAGE - 1) & !(PAGE - 1);
    if limit == INFINITY || locked(&cx.task).saturating_add(wanted) <= limit & !(PAGE - 1) {
        Ok(())
    } else {
        Err(excess)
    }
}
