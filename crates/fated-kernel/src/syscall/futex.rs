//! futex(2) and its kin: decode, look at the word, act on the lines of [`crate::ipc::futex`].

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::Tid;
use crate::ipc::futex::{ANY, Futex, Places, hand_over, is_wanted, requeue, wake, wanted_locks};
use crate::outcome::{Step, SysResult};
use crate::sched::Woken;
use crate::syscall::{Args, later, now};
use alloc::{vec, vec::Vec};
use linux_raw_sys::general::{
    __NR_futex, CLOCK_MONOTONIC, CLOCK_REALTIME, FUTEX_CLOCK_REALTIME, FUTEX_CMP_REQUEUE, FUTEX_LOCK_PI,
    FUTEX_LOCK_PI2, FUTEX_OWNER_DIED, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_TID_MASK, FUTEX_TRYLOCK_PI,
    FUTEX_UNLOCK_PI, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAITERS, FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP,
};

/// The size of `struct robust_list_head`.
const ROBUST_HEAD: u64 = 24;
/// How many entries of a robust list are looked at (`ROBUST_LIST_LIMIT`).
const ROBUST_LIMIT: usize = 2048;

/// futex(2).
pub fn futex(cx: &Cx, a: Args) -> Step {
    decode(cx, a).unwrap_or_else(Step::Failed)
}

fn decode(cx: &Cx, a: Args) -> Result<Step, Errno> {
    let [addr, op, value, fourth, addr2, value3] = a;
    let (op, value, value2, value3) = (op as u32, value as u32, fourth as u32, value3 as u32);
    let command = op & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    let real_time = op & FUTEX_CLOCK_REALTIME != 0;
    let takes_clock = matches!(command, FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2);
    // Linux also has FUTEX_WAIT_REQUEUE_PI here, which this kernel hasn't.
    if real_time && !takes_clock {
        return Err(Errno::ENOSYS);
    }
    let futex = |addr| Futex::new(cx, addr, op & FUTEX_PRIVATE_FLAG == 0);
    let deadline = match command {
        FUTEX_WAIT => cx.read_timespec(fourth)?.map(|ns| cx.kernel.timers.now().saturating_add(ns)),
        FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2 => moment(cx, fourth, real_time)?,
        FUTEX_LOCK_PI => moment(cx, fourth, true)?,
        _ => None,
    };
    let count = |n: u32| if (n as i32) < 1 { 1 } else { n as usize };
    Ok(match command {
        FUTEX_WAIT => wait(cx, futex(addr)?, value, ANY, deadline)?,
        FUTEX_WAIT_BITSET | FUTEX_WAKE_BITSET if value3 == 0 => return Err(Errno::EINVAL),
        FUTEX_WAIT_BITSET => wait(cx, futex(addr)?, value, value3, deadline)?,
        FUTEX_WAKE => {
            let woken = wake(cx, &futex(addr)?, count(value), ANY);
            if woken == Ok(0) {
                cx.kernel.scheduler.offer_turn(&cx.task);
            }
            now(woken)
        }
        FUTEX_WAKE_BITSET => now(wake(cx, &futex(addr)?, count(value), value3)),
        FUTEX_REQUEUE => now(move_waiters(cx, &futex(addr)?, &futex(addr2)?, value, value2, None)),
        FUTEX_CMP_REQUEUE => now(move_waiters(cx, &futex(addr)?, &futex(addr2)?, value, value2, Some(value3))),
        FUTEX_WAKE_OP => now(wake_op(cx, &futex(addr)?, &futex(addr2)?, count(value), count(value2), value3)),
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => lock(cx, futex(addr)?, deadline)?,
        FUTEX_TRYLOCK_PI => {
            now(try_lock(cx, &futex(addr)?).and_then(|got| if got { Ok(0) } else { Err(Errno::EAGAIN) }))
        }
        FUTEX_UNLOCK_PI => now(unlock(cx, &futex(addr)?)),
        _ => return Err(Errno::ENOSYS),
    })
}

/// Reads an absolute timeout of one of the two clocks as a moment since 1970.
fn moment(cx: &Cx, addr: u64, real_time: bool) -> Result<Option<u64>, Errno> {
    let at = cx.read_timespec(addr)?;
    Ok(if real_time { at } else { at.map(|at| cx.kernel.timers.of_uptime(at)) })
}

fn wait(cx: &Cx, futex: Futex, value: u32, bits: u32, deadline: Option<u64>) -> Result<Step, Errno> {
    if cx.read_u32(futex.addr)? != value {
        return Err(Errno::EAGAIN);
    }
    Ok(later(cx, wait_in_line(cx.clone(), vec![(futex, bits)], deadline)))
}

/// Sleeps until one of `futexes` is woken; returns 0 for a single one, as futex(2) does, else its index.
async fn wait_in_line(cx: Cx, futexes: Vec<(Futex, u32)>, deadline: Option<u64>) -> SysResult {
    let places = Places::take(&cx, futexes, false);
    let why = cx.sleep(&[], deadline).await;
    match (places.woken(), why) {
        // Whatever else happened: the wake was counted.
        (Some(index), _) => Ok((index as u64).into()),
        (None, Woken::Timeout) => Err(Errno::ETIMEDOUT),
        (None, _) => match deadline {
            Some(at) if cx.task.call.get().number == u64::from(__NR_futex) => {
                cx.task.restart.set(Some((cx.task.call.get(), at)));
                Err(Errno::ERESTART_RESTARTBLOCK)
            }
            _ => Err(Errno::ERESTARTSYS),
        },
    }
}

/// Goes on with a wait that a signal without a handler interrupted.
pub async fn resume(cx: Cx, call: Call, deadline: u64) -> SysResult {
    let [addr, op, value, _, _, value3] = call.args;
    let futex = Futex::new(&cx, addr, op as u32 & FUTEX_PRIVATE_FLAG == 0)?;
    if cx.read_u32(addr)? != value as u32 {
        return Err(Errno::EAGAIN);
    }
    // restart_syscall(2) is the call now; another interruption keeps the first one's arguments.
    cx.task.call.set(call);
    let plain = op as u32 & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME) == FUTEX_WAIT;
    wait_in_line(cx, vec![(futex, if plain { ANY } else { value3 as u32 })], Some(deadline)).await
}

fn move_waiters(
    cx: &Cx,
    from: &Futex,
    to: &Futex,
    wakes: u32,
    moves: u32,
    expected: Option<u32>,
) -> Result<u64, Errno> {
    if (wakes as i32) < 0 || (moves as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    if let Some(expected) = expected
        && cx.read_u32(from.addr)? != expected
    {
        return Err(Errno::EAGAIN);
    }
    let (woken, moved) = requeue(cx, from, to, wakes as usize, moves as usize)?;
    Ok(woken + moved)
}

/// `FUTEX_WAKE_OP`: changes the word at `second`, wakes `first`, and `second` too if its old value compares as asked.
fn wake_op(cx: &Cx, first: &Futex, second: &Futex, count: usize, count2: usize, encoded: u32) -> Result<u64, Errno> {
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

/// Takes the lock if it is free; else marks it as waited for.
fn try_lock(cx: &Cx, futex: &Futex) -> Result<bool, Errno> {
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

fn lock(cx: &Cx, futex: Futex, deadline: Option<u64>) -> Result<Step, Errno> {
    if try_lock(cx, &futex)? {
        return Ok(Step::Value(0));
    }
    Ok(later(cx, wait_for_lock(cx.clone(), futex, deadline)))
}

async fn wait_for_lock(cx: Cx, futex: Futex, deadline: Option<u64>) -> SysResult {
    let places = Places::take(&cx, vec![(futex, ANY)], true);
    let why = cx.sleep(&[], deadline).await;
    match (places.woken(), why) {
        (Some(_), _) => Ok(0.into()),
        (None, Woken::Timeout) => Err(Errno::ETIMEDOUT),
        // Linux restarts this one whatever the handler asked for.
        (None, _) => Err(Errno::ERESTARTNOINTR),
    }
}

fn unlock(cx: &Cx, futex: &Futex) -> Result<u64, Errno> {
    let word = cx.read_u32(futex.addr)?;
    if word & FUTEX_TID_MASK != cx.task.tid.get().get() {
        return Err(Errno::EPERM);
    }
    if !hand_over(cx, futex, |owner, more| grant(cx, futex, owner, more, 0))? {
        cx.write_u32(futex.addr, 0)?;
    }
    Ok(0)
}

/// Enters the new owner of a lock.
fn grant(cx: &Cx, futex: &Futex, owner: u32, more: bool, died: u32) -> Result<(), Errno> {
    cx.write_u32(futex.addr, owner | if more { FUTEX_WAITERS } else { 0 } | died)
}

/// futex_waitv(2).
pub fn futex_waitv(cx: &Cx, a: Args) -> Step {
    let [waiters, count, flags, timeout, clock, _] = a;
    let decode = || {
        const MAX: u64 = 128;
        if flags as u32 != 0 || count as u32 == 0 || u64::from(count as u32) > MAX || waiters == 0 {
            return Err(Errno::EINVAL);
        }
        let deadline = moment_of(cx, timeout, clock)?;
        let mut futexes = Vec::with_capacity(count as usize);
        let mut values = Vec::with_capacity(count as usize);
        for index in 0..u64::from(count as u32) {
            let [value, addr, flags] = cx.read_words(waiters.wrapping_add(index * 24))?;
            if flags >> 32 != 0 {
                return Err(Errno::EINVAL);
            }
            futexes.push((futex2(cx, addr, flags)?, ANY));
            values.push(value as u32);
        }
        for ((futex, _), value) in futexes.iter().zip(values) {
            if cx.read_u32(futex.addr)? != value {
                return Err(Errno::EAGAIN);
            }
        }
        Ok(later(cx, wait_in_line(cx.clone(), futexes, deadline)))
    };
    decode().unwrap_or_else(Step::Failed)
}

/// The timeout of the newer calls, which name its clock.
fn moment_of(cx: &Cx, timeout: u64, clock: u64) -> Result<Option<u64>, Errno> {
    if timeout == 0 {
        return Ok(None);
    }
    match clock as u32 {
        CLOCK_REALTIME => moment(cx, timeout, true),
        CLOCK_MONOTONIC => moment(cx, timeout, false),
        _ => Err(Errno::EINVAL),
    }
}

/// A futex of the newer calls: their flags tell its size, which can only be 32 bits, and whether it is private.
fn futex2(cx: &Cx, addr: u64, flags: u64) -> Result<Futex, Errno> {
    const SIZE_U32: u64 = 2;
    const PRIVATE: u64 = FUTEX_PRIVATE_FLAG as u64;
    if flags & !PRIVATE != SIZE_U32 {
        return Err(Errno::EINVAL);
    }
    Futex::new(cx, addr, flags & PRIVATE == 0)
}

/// Bits for the newer calls, which take 64 and accept what fits the size of the futex.
fn bits_of(mask: u64) -> Result<u32, Errno> {
    u32::try_from(mask).ok().filter(|&bits| bits != 0).ok_or(Errno::EINVAL)
}

/// futex_wake(2).
pub fn futex_wake(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [addr, mask, count, flags, ..] = a;
    let futex = futex2(cx, addr, u64::from(flags as u32))?;
    let bits = bits_of(mask)?;
    // Unlike the older call this one takes a count of 0 at its word.
    if count as i32 <= 0 { Ok(0) } else { wake(cx, &futex, count as u32 as usize, bits) }
}

/// futex_wait(2).
pub fn futex_wait(cx: &Cx, a: Args) -> Step {
    let [addr, value, mask, flags, timeout, clock] = a;
    let decode = || {
        let futex = futex2(cx, addr, u64::from(flags as u32))?;
        let value = u32::try_from(value).map_err(|_| Errno::EINVAL)?;
        let bits = bits_of(mask)?;
        let deadline = moment_of(cx, timeout, clock)?;
        wait(cx, futex, value, bits, deadline)
    };
    decode().unwrap_or_else(Step::Failed)
}

/// futex_requeue(2).
pub fn futex_requeue(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [waiters, flags, wakes, moves, ..] = a;
    if flags as u32 != 0 || waiters == 0 {
        return Err(Errno::EINVAL);
    }
    let [value, from, flags, _, to, flags2]: [u64; 6] = cx.read_words(waiters)?;
    if flags >> 32 != 0 || flags2 >> 32 != 0 {
        return Err(Errno::EINVAL);
    }
    let (from, to) = (futex2(cx, from, flags)?, futex2(cx, to, flags2)?);
    move_waiters(cx, &from, &to, wakes as u32, moves as u32, Some(value as u32))
}

/// set_robust_list(2).
pub fn set_robust_list(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [head, len, ..] = a;
    if len != ROBUST_HEAD {
        return Err(Errno::EINVAL);
    }
    cx.task.robust_list.set(head);
    Ok(0)
}

/// get_robust_list(2).
pub fn get_robust_list(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [pid, head, len, ..] = a;
    let task = match pid as i32 {
        0 => cx.task.clone(),
        pid => Tid::new(pid as u32).and_then(|tid| cx.kernel.task(tid)).ok_or(Errno::ESRCH)?,
    };
    cx.write_words(len, &[ROBUST_HEAD])?;
    cx.write_words(head, &[task.robust_list.get()])?;
    Ok(0)
}

/// Wakes `count` sleepers on the word that ends a thread (`CLONE_CHILD_CLEARTID`); always a shared futex.
pub fn wake_address(cx: &Cx, addr: u64, count: usize) {
    if let Ok(futex) = Futex::new(cx, addr, true) {
        // What it points to is the guest's own concern.
        let _ = wake(cx, &futex, count, ANY);
    }
}

/// Whether the task holds robust futexes.
pub fn holds_robust(cx: &Cx) -> bool {
    let head = cx.task.robust_list.get();
    let empty = |[first, _, pending]: [u64; 3]| first == head && pending == 0;
    head != 0 && !cx.read_words(head).is_ok_and(empty)
}

/// Marks the locks that an ending task holds as its, and passes them on.
pub fn exit_robust_list(cx: &Cx) {
    let own = cx.task.tid.get().get();
    for futex in wanted_locks(cx) {
        if cx.read_u32(futex.addr).is_ok_and(|word| word & FUTEX_TID_MASK == own) {
            let _ = inherit(cx, &futex);
        }
    }
    let head = cx.task.robust_list.take();
    if head != 0 {
        // A list that can't be read ends here, as in Linux.
        let _ = walk_robust_list(cx, head);
    }
}

/// Gives the lock of an ending task to the first that waits for it, if there is one.
fn inherit(cx: &Cx, futex: &Futex) -> Result<bool, Errno> {
    hand_over(cx, futex, |owner, more| grant(cx, futex, owner, more, FUTEX_OWNER_DIED))
}

fn walk_robust_list(cx: &Cx, head: u64) -> Result<(), Errno> {
    let [first, offset, pending] = cx.read_words(head)?;
    let mut entry = first;
    for _ in 0..ROBUST_LIMIT {
        if entry & !1 == head {
            break;
        }
        // Read on first: whoever is woken may reuse the entry.
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

/// One lock of a robust list; the lowest bit of its entry tells the kind.
fn owner_died(cx: &Cx, entry: u64, offset: u64, pending: bool) -> Result<(), Errno> {
    let pi = entry & 1 != 0;
    let futex = Futex::new(cx, (entry & !1).wrapping_add(offset), true)?;
    let word = cx.read_u32(futex.addr)?;
    if pending && !pi && word == 0 {
        // It died between unlocking and waking.
        return wake(cx, &futex, 1, ANY).map(drop);
    }
    if word & FUTEX_TID_MASK != cx.task.tid.get().get() {
        return Ok(());
    }
    if pi && inherit(cx, &futex)? {
        return Ok(());
    }
    cx.write_u32(futex.addr, word & FUTEX_WAITERS | FUTEX_OWNER_DIED)?;
    if !pi && word & FUTEX_WAITERS != 0 {
        wake(cx, &futex, 1, ANY)?;
    }
    Ok(())
}
