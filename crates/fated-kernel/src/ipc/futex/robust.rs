//! Locks of tasks that end: robust lists (get_robust_list(2)) and locks that are handed over.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::ipc::futex::key::Futex;
use crate::ipc::futex::pi::inherit;
use crate::ipc::futex::wait_wake::{ANY, wake};
use linux_raw_sys::general::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};

/// The size of `struct robust_list_head`.
pub const HEAD_SIZE: u64 = 24;
/// How many entries of a list are looked at (`ROBUST_LIST_LIMIT`).
const LIMIT: usize = 2048;

/// Whether the task holds robust futexes.
pub fn holds_any(cx: &Cx) -> bool {
    let head = cx.task.robust_list.get();
    let empty = |[first, _, pending]: [u64; 3]| first == head && pending == 0;
    head != 0 && !cx.read_words(head).is_ok_and(empty)
}

/// The task ends or execs: marks its locks as those of a dead owner, and passes them on.
pub fn release_all(cx: &Cx) {
    let own = cx.task.tid.get().get();
    let wanted = cx.kernel.futexes.borrow().wanted_locks(cx.task.mm.get());
    for futex in wanted {
        if cx.read_u32(futex.addr).is_ok_and(|word| word & FUTEX_TID_MASK == own) {
            let _ = inherit(cx, &futex);
        }
    }
    let head = cx.task.robust_list.take();
    if head != 0 {
        // A list that can't be read ends here, as in Linux.
        let _ = walk(cx, head);
    }
}

fn walk(cx: &Cx, head: u64) -> Result<(), Errno> {
    let [first, offset, pending] = cx.read_words(head)?;
    let mut entry = first;
    for _ in 0..LIMIT {
        if entry & !1 == head {
            break;
        }
        // The next entry is read first: a woken task may reuse this one.
        let next = cx.read_u64(entry & !1);
        if entry & !1 != pending & !1 {
            owner_died(cx, entry, offset, false)?;
        }
        entry = next?;
    }
    if pending & !1 != 0 {
        owner_died(cx, pending, offset, true)?;
    }
    Ok(())
}

/// Releases one lock of a robust list; the lowest bit of its entry says whether it is handed over.
fn owner_died(cx: &Cx, entry: u64, offset: u64, pending: bool) -> Result<(), Errno> {
    let handed_over = entry & 1 != 0;
    let futex = Futex::new(cx.task.mm.get(), (entry & !1).wrapping_add(offset), true)?;
    let word = cx.read_u32(futex.addr)?;
    if pending && !handed_over && word == 0 {
        // The task ended between unlocking and waking.
        return wake(cx, &futex, 1, ANY).map(drop);
    }
    if word & FUTEX_TID_MASK != cx.task.tid.get().get() {
        return Ok(());
    }
    if handed_over && inherit(cx, &futex)? {
        return Ok(());
    }
    cx.write_u32(futex.addr, word & FUTEX_WAITERS | FUTEX_OWNER_DIED)?;
    if !handed_over && word & FUTEX_WAITERS != 0 {
        wake(cx, &futex, 1, ANY)?;
    }
    Ok(())
}
