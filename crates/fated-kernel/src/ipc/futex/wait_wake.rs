//! Waiting on futexes, waking, and moving waiters from one futex to another.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::Kernel;
use crate::ipc::futex::key::Futex;
use crate::ipc::futex::state::Waiter;
use crate::outcome::SysResult;
use crate::process::task::Task;
use crate::sched::Woken;
use alloc::{rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};
use linux_raw_sys::general::__NR_futex;

/// Matches every wake (`FUTEX_BITSET_MATCH_ANY`).
pub const ANY: u32 = u32::MAX;

/// The waiters of a task; dropping them removes those from their queues that have not been woken.
#[derive(Debug)]
pub(super) struct Waiters {
    kernel: Rc<Kernel>,
    list: Vec<Rc<Waiter<Rc<Task>>>>,
}

impl Waiters {
    /// Puts the task at the end of the queue of each futex, which comes with the bits that may wake it.
    pub(super) fn enqueue(cx: &Cx, futexes: impl IntoIterator<Item = (Futex, u32)>, wants_lock: bool) -> Waiters {
        let enqueue = |(futex, bits)| {
            let (task, real, futex) = (cx.task.clone(), cx.task.guest.clone(), RefCell::new(futex));
            let waiter = Rc::new(Waiter { task, real, futex, bits, wants_lock, woken: Cell::new(false) });
            cx.kernel.futexes.borrow_mut().push(waiter.clone());
            waiter
        };
        Waiters { kernel: cx.kernel.clone(), list: futexes.into_iter().map(enqueue).collect() }
    }

    /// Which of the futexes was woken, if one was; the last one of many.
    pub(super) fn woken(&self) -> Option<usize> {
        self.list.iter().rposition(|waiter| waiter.woken.get())
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        let mut futexes = self.kernel.futexes.borrow_mut();
        // Those that were woken have been removed.
        self.list.iter().filter(|waiter| !waiter.woken.get()).for_each(|waiter| futexes.remove(waiter));
    }
}

/// `EAGAIN` if the word at `futex` has changed already.
pub fn expect(cx: &Cx, futex: &Futex, value: u32) -> Result<(), Errno> {
    if cx.read_u32(futex.addr)? == value { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// Waits until one of `futexes`, each with the bits that may wake it, is woken; returns its index.
pub async fn wait(cx: Cx, futexes: impl IntoIterator<Item = (Futex, u32)>, deadline: Option<u64>) -> SysResult {
    let waiters = Waiters::enqueue(&cx, futexes, false);
    let why = cx.sleep(&[], deadline).await;
    match (waiters.woken(), why) {
        // Whatever else has happened: the wake was counted.
        (Some(index), _) => Ok((index as u64).into()),
        (None, Woken::Timeout) => Err(Errno::ETIMEDOUT),
        (None, _) => match deadline {
            // Its newer kin start again with their absolute timeouts.
            Some(at) if cx.task.call.get().number == u64::from(__NR_futex) => {
                cx.task.restart.set(Some((cx.task.call.get(), at)));
                Err(Errno::ERESTART_RESTARTBLOCK)
            }
            _ => Err(Errno::ERESTARTSYS),
        },
    }
}

/// Removes a waiter from its queue and wakes its task.
pub(super) fn release(cx: &Cx, waiter: &Rc<Waiter<Rc<Task>>>) {
    cx.kernel.futexes.borrow_mut().remove(waiter);
    waiter.woken.set(true);
    cx.kernel.wake(&waiter.task, Woken::Event);
}

/// Wakes at most `count` waiters whose bits meet `bits`; returns how many. `EINVAL` if the first one waits for a lock.
pub fn wake(cx: &Cx, futex: &Futex, count: usize, bits: u32) -> Result<u64, Errno> {
    let found = cx.kernel.futexes.borrow().find(&*cx.task.guest, futex, count, |waiter| waiter.bits & bits != 0);
    let mut done = 0;
    for waiter in &found {
        if waiter.wants_lock {
            return if done == 0 { Err(Errno::EINVAL) } else { Ok(done) };
        }
        release(cx, waiter);
        done += 1;
    }
    Ok(done)
}

/// `FUTEX_WAKE`: as [`wake`]. If nobody waits, this is a good moment to let the next task run.
pub fn wake_or_offer_turn(cx: &Cx, futex: &Futex, count: usize) -> Result<u64, Errno> {
    let woken = wake(cx, futex, count, ANY);
    if woken == Ok(0) {
        cx.kernel.scheduler.offer_turn(&cx.task);
    }
    woken
}

/// Wakes a waiter on the word that is cleared when a thread ends (`CLONE_CHILD_CLEARTID`), which is always a shared futex.
pub fn wake_cleared_tid(cx: &Cx, addr: u64) {
    if let Ok(futex) = Futex::new(cx.task.mm.get(), addr, true) {
        // Waiters that want a lock are not woken; nobody is there to learn of it.
        let _ = wake(cx, &futex, 1, ANY);
    }
}

/// Wakes the first `wakes` waiters on `from` and moves the next `moves` to the queue of `to`; returns how many waiters that were.
/// With `expected`: only if the word at `from` has that value.
pub fn requeue(cx: &Cx, from: &Futex, to: &Futex, wakes: u32, moves: u32, expected: Option<u32>) -> Result<u64, Errno> {
    if (wakes as i32) < 0 || (moves as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    if let Some(expected) = expected {
        expect(cx, from, expected)?;
    }
    let count = (wakes as usize).saturating_add(moves as usize);
    let found = cx.kernel.futexes.borrow().find(&*cx.task.guest, from, count, |_| true);
    if found.iter().any(|waiter| waiter.wants_lock) {
        return Err(Errno::EINVAL);
    }
    for (index, waiter) in found.iter().enumerate() {
        if index < wakes as usize {
            release(cx, waiter);
        } else {
            move_to(cx, waiter, to);
        }
    }
    Ok(found.len() as u64)
}

fn move_to(cx: &Cx, waiter: &Rc<Waiter<Rc<Task>>>, to: &Futex) {
    let mut futexes = cx.kernel.futexes.borrow_mut();
    futexes.remove(waiter);
    // The new address is the caller's: what is mapped there must be known before it stands for another address space's.
    let target = to.clone();
    if target.shared && target.mm != waiter.task.mm.get() {
        let _ = target.byte(&*cx.task.guest);
    }
    waiter.futex.replace(target);
    futexes.push(waiter.clone());
}

/// `FUTEX_WAKE_OP`: changes the word at `second`, wakes `first`, and `second` too if its old value compares as `encoded` says.
pub fn wake_op(
    cx: &Cx,
    first: &Futex,
    second: &Futex,
    count: usize,
    count2: usize,
    encoded: u32,
) -> Result<u64, Errno> {
    const SHIFTED: u32 = 8;
    let sign_extend = |bits: u32| ((bits << 20) as i32) >> 20;
    let (op, compare) = (encoded >> 28, encoded >> 24 & 15);
    let (mut operand, against) = (sign_extend(encoded >> 12 & 0xfff), sign_extend(encoded & 0xfff));
    if op & SHIFTED != 0 {
        operand = 1 << (operand & 31);
    }
    let old = cx.read_u32(second.addr)? as i32;
    let new = match op & 7 {
        0 => operand,
        1 => old.wrapping_add(operand),
        2 => old | operand,
        3 => old & !operand,
        4 => old ^ operand,
        _ => return Err(Errno::ENOSYS),
    };
    cx.write_u32(second.addr, new as u32)?;
    let holds = match compare {
        0 => old == against,
        1 => old != against,
        2 => old < against,
        3 => old <= against,
        4 => old > against,
        5 => old >= against,
        _ => return Err(Errno::ENOSYS),
    };
    let woken = wake(cx, first, count, ANY)?;
    Ok(if holds { woken + wake(cx, second, count2, ANY)? } else { woken })
}
