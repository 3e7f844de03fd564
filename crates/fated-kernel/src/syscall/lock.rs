//! flock(2) and the lock commands of fcntl(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::flock;
use crate::fs::flock::LockCall;
use crate::fs::locks::LockKind;
use crate::outcome::Step;
use crate::syscall::{Args, later, now};
use linux_raw_sys::general as c;

pub fn flock(cx: &Cx, a: Args) -> Step {
    let operation = a[1] as u32;
    let exclusive = match operation & !c::LOCK_NB {
        c::LOCK_SH => Some(false),
        c::LOCK_EX => Some(true),
        c::LOCK_UN => None,
        // Locks that forbid access did nothing long before Linux dropped them.
        other if other & c::LOCK_MAND != 0 => return Step::Value(0),
        _ => return Step::Failed(Errno::EINVAL),
    };
    let mut args = a;
    args[1] = u64::from(operation | c::LOCK_NB);
    let call = LockCall { number: c::__NR_flock, args, kind: LockKind::Flock, of_description: true, exclusive };
    begin(cx, call, operation & c::LOCK_NB == 0)
}

pub(super) fn fcntl(cx: &Cx, a: Args) -> Step {
    decode(cx, a).unwrap_or_else(Step::Failed)
}

fn decode(cx: &Cx, a: Args) -> Result<Step, Errno> {
    let [fd, command, addr, ..] = a;
    let command = command as u32;
    cx.check_open(fd as i32)?;
    let of_description = matches!(command, c::F_OFD_GETLK | c::F_OFD_SETLK | c::F_OFD_SETLKW);
    if matches!(command, c::F_GETLK | c::F_OFD_GETLK) {
        return flock::get_lock(cx, a, of_description).map(Step::Value);
    }
    let kind = u32::from(u16::from_le_bytes(cx.read_array(addr)?));
    let exclusive = match kind {
        c::F_RDLCK => Some(false),
        c::F_WRLCK => Some(true),
        c::F_UNLCK => None,
        _ => return Err(Errno::EINVAL),
    };
    let mut args = a;
    args[1] = u64::from(if of_description { c::F_OFD_SETLK } else { c::F_SETLK });
    let call = LockCall { number: c::__NR_fcntl, args, kind: LockKind::Record, of_description, exclusive };
    Ok(begin(cx, call, matches!(command, c::F_SETLKW | c::F_OFD_SETLKW)))
}

fn begin(cx: &Cx, call: LockCall, waits: bool) -> Step {
    if waits && call.exclusive.is_some() {
        later(cx, flock::lock(cx.clone(), call))
    } else {
        now(flock::try_lock(cx, &call))
    }
}
