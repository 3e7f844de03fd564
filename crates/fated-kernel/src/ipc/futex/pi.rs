//! Locks that their owner hands over to the first waiter (`FUTEX_LOCK_PI`). Their priority
//! inheritance has no effect: the order of tasks doesn't depend on priorities.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::Tid;
use crate::ipc::futex::key::Futex;
use crate::ipc::futex::wait_wake::{ANY, Waiters, release};
use crate::outcome::SysResult;
use crate::sched::Woken;
use linux_raw_sys::general::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};

/// Takes the lock if it is free; otherwise marks it as waited for.
pub fn try_lock(cx: &Cx, futex: &Futex) -> Result<bool, Errno> {
    let word = cx.read_u32(futex.addr)?;
    let own = cx.task.tid.get().get();
    let owner = word & FUTEX_TID_MASK;
    if owner == own {
        return Err(Errno::EDEADLK);
    }
    if owner == 0 && !is_wanted(cx, futex) {
        cx.write_u32(futex.addr, own | (word & FUTEX_OWNER_DIED))?;
        return Ok(true);
    }
    if owner != 0 && Tid::new(owner).and_then(|tid| cx.kernel.task(tid)).is_none() {
        return Err(Errno::ESRCH);
    }
    cx.write_u32(futex.addr, word | FUTEX_WAITERS)?;
    Ok(false)
}

fn is_wanted(cx: &Cx, futex: &Futex) -> bool {
    !cx.kernel.futexes.borrow().find(&*cx.task.guest, futex, 1, |waiter| waiter.wants_lock).is_empty()
}

/// Waits until the owner hands the lock over.
pub async fn wait_for_lock(cx: Cx, futex: Futex, deadline: Option<u64>) -> SysResult {
    let waiters = Waiters::enqueue(&cx, [(futex, ANY)], true);
    let why = cx.sleep(&[], deadline).await;
    match (waiters.woken(), why) {
        (Some(_), _) => Ok(0.into()),
        (None, Woken::Timeout) => Err(Errno::ETIMEDOUT),
        // Linux restarts this one whatever the handler asked for.
        (None, _) => Err(Errno::ERESTARTNOINTR),
    }
}

/// Gives the caller's lock to the first that waits for it, or frees it.
pub fn unlock(cx: &Cx, futex: &Futex) -> Result<(), Errno> {
    let word = cx.read_u32(futex.addr)?;
    if word & FUTEX_TID_MASK != cx.task.tid.get().get() {
        return Err(Errno::EPERM);
    }
    if !hand_over(cx, futex, 0)? {
        cx.write_u32(futex.addr, 0)?;
    }
    Ok(())
}

/// Gives the lock of an ending task to the first that waits for it; `false` if nobody does.
pub(super) fn inherit(cx: &Cx, futex: &Futex) -> Result<bool, Errno> {
    hand_over(cx, futex, FUTEX_OWNER_DIED)
}

/// Enters the first waiter as the owner, with the bits `died`, and wakes it; `false` if nobody waits.
fn hand_over(cx: &Cx, futex: &Futex, died: u32) -> Result<bool, Errno> {
    let found = cx.kernel.futexes.borrow().find(&*cx.task.guest, futex, 2, |waiter| waiter.wants_lock);
    let Some(first) = found.first() else { return Ok(false) };
    let waiters = if found.len() > 1 { FUTEX_WAITERS } else { 0 };
    cx.write_u32(futex.addr, first.task.tid.get().get() | waiters | died)?;
    release(cx, first);
    Ok(true)
}
