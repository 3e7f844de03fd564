//! File locks: flock(2) and the record locks of fcntl(2).
//!
//! The real Linux keeps them, since it has the files. It must not block though, so a lock that isn't free is tried again
//! whenever a lock may have been given up: at each unlock, close and end of a process.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::Kernel;
use crate::outcome::{Outcome, Step, SysResult};
use crate::sched::Woken;
use crate::sched::wait_queue::WaitQueue;
use crate::syscall::rw::pass;
use crate::syscall::{Args, later, now};
use alloc::rc::Rc;
use core::cell::OnceCell;
use linux_raw_sys::general as c;

/// Those who wait for a file lock.
#[derive(Debug, Default)]
pub struct Locks(OnceCell<WaitQueue>);

impl Locks {
    fn queue(&self, kernel: &Rc<Kernel>) -> &WaitQueue {
        self.0.get_or_init(|| WaitQueue::new(kernel))
    }

    /// Whether anyone waits.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.0.get().is_some_and(|queue| !queue.is_empty())
    }

    /// A lock may have been given up.
    pub fn wake(&self) {
        if let Some(queue) = self.0.get() {
            queue.wake();
        }
    }
}

pub fn flock(cx: &Cx, a: Args) -> Step {
    let operation = a[1] as u32;
    if operation & c::LOCK_NB != 0 || !matches!(operation, c::LOCK_SH | c::LOCK_EX) {
        return give_up(cx, c::__NR_flock, a);
    }
    let mut trial = a;
    trial[1] = u64::from(operation | c::LOCK_NB);
    lock(cx, c::__NR_flock, trial)
}

pub(super) fn fcntl(cx: &Cx, a: Args) -> Step {
    let mut trial = a;
    match a[1] as u32 {
        c::F_SETLKW => trial[1] = c::F_SETLK.into(),
        c::F_OFD_SETLKW => trial[1] = c::F_OFD_SETLK.into(),
        c::F_SETLK | c::F_OFD_SETLK => return give_up(cx, c::__NR_fcntl, a),
        _ => return now(owner(cx, a)),
    }
    lock(cx, c::__NR_fcntl, trial)
}

/// A call that doesn't wait and may free a lock.
fn give_up(cx: &Cx, number: u32, a: Args) -> Step {
    if !cx.kernel.locks.is_awaited() {
        return pass();
    }
    let result = cx.native(number.into(), a);
    cx.kernel.locks.wake();
    now(result)
}

fn lock(cx: &Cx, number: u32, trial: Args) -> Step {
    match cx.native(number.into(), trial) {
        Err(Errno::EAGAIN | Errno::EACCES) => later(cx, lock_later(cx.clone(), number, trial)),
        result => {
            // Changing a lock may free a part of it.
            cx.kernel.locks.wake();
            now(result)
        }
    }
}

async fn lock_later(cx: Cx, number: u32, trial: Args) -> SysResult {
    loop {
        if cx.sleep(&[cx.kernel.locks.queue(&cx.kernel)], None).await == Woken::Signal {
            return Err(Errno::ERESTARTSYS);
        }
        match cx.native(number.into(), trial) {
            Err(Errno::EAGAIN | Errno::EACCES) => {}
            result => return result.map(Outcome::Value),
        }
    }
}

/// `F_GETLK`: the real Linux names a real process, which no guest can know.
fn owner(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const TYPE: u64 = 0;
    const PID: u64 = 24;
    let value = cx.native(c::__NR_fcntl.into(), a)?;
    let kind: [u8; 2] = cx.read_array(a[2].wrapping_add(TYPE))?;
    if u32::from(u16::from_le_bytes(kind)) != c::F_UNLCK {
        cx.write_u32(a[2].wrapping_add(PID), -1i32 as u32)?;
    }
    Ok(value)
}
