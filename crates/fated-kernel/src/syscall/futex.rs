//! futex(2), futex_waitv(2), get_robust_list(2) and their kin.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::Tid;
use crate::ipc::futex::key::Futex;
use crate::ipc::futex::pi::{try_lock, unlock, wait_for_lock};
use crate::ipc::futex::wait_wake::{ANY, expect, requeue, wake, wake_op, wake_or_offer_turn};
use crate::ipc::futex::{robust, wait_wake};
use crate::outcome::{Step, SysResult};
use crate::syscall::{Args, later, now};
use alloc::vec::Vec;
use linux_raw_sys::general::{
    CLOCK_MONOTONIC, CLOCK_REALTIME, FUTEX_CLOCK_REALTIME, FUTEX_CMP_REQUEUE, FUTEX_LOCK_PI, FUTEX_LOCK_PI2,
    FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE,
    FUTEX_WAKE_BITSET, FUTEX_WAKE_OP,
};

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
    let futex = |addr| futex_at(cx, addr, op & FUTEX_PRIVATE_FLAG == 0);
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
        FUTEX_WAKE => now(wake_or_offer_turn(cx, &futex(addr)?, count(value))),
        FUTEX_WAKE_BITSET => now(wake(cx, &futex(addr)?, count(value), value3)),
        FUTEX_REQUEUE => now(requeue(cx, &futex(addr)?, &futex(addr2)?, value, value2, None)),
        FUTEX_CMP_REQUEUE => now(requeue(cx, &futex(addr)?, &futex(addr2)?, value, value2, Some(value3))),
        FUTEX_WAKE_OP => now(wake_op(cx, &futex(addr)?, &futex(addr2)?, count(value), count(value2), value3)),
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => lock(cx, futex(addr)?, deadline)?,
        FUTEX_TRYLOCK_PI => {
            now(try_lock(cx, &futex(addr)?).and_then(|got| if got { Ok(0) } else { Err(Errno::EAGAIN) }))
        }
        FUTEX_UNLOCK_PI => now(unlock(cx, &futex(addr)?).map(|()| 0)),
        _ => return Err(Errno::ENOSYS),
    })
}

fn futex_at(cx: &Cx, addr: u64, shared: bool) -> Result<Futex, Errno> {
    let futex = Futex::new(cx.task.mm.get(), addr, shared)?;
    if shared {
        // Linux looks up the page that a shared one is in.
        cx.read_array::<1>(addr)?;
    }
    Ok(futex)
}

/// Reads an absolute timeout of one of the two clocks as a moment since 1970.
fn moment(cx: &Cx, addr: u64, real_time: bool) -> Result<Option<u64>, Errno> {
    let at = cx.read_timespec(addr)?;
    Ok(if real_time { at } else { at.map(|at| cx.kernel.timers.of_uptime(at)) })
}

fn wait(cx: &Cx, futex: Futex, value: u32, bits: u32, deadline: Option<u64>) -> Result<Step, Errno> {
    expect(cx, &futex, value)?;
    Ok(later(cx, wait_wake::wait(cx.clone(), [(futex, bits)], deadline)))
}

/// restart_syscall(2): continues a wait that was interrupted by a signal without a handler.
pub async fn resume(cx: Cx, call: Call, deadline: u64) -> SysResult {
    let [addr, op, value, _, _, value3] = call.args;
    let futex = futex_at(&cx, addr, op as u32 & FUTEX_PRIVATE_FLAG == 0)?;
    expect(&cx, &futex, value as u32)?;
    // The call is restart_syscall(2) now; if it is interrupted again, the first one's arguments are needed.
    cx.task.call.set(call);
    let plain = op as u32 & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME) == FUTEX_WAIT;
    wait_wake::wait(cx, [(futex, if plain { ANY } else { value3 as u32 })], Some(deadline)).await
}

fn lock(cx: &Cx, futex: Futex, deadline: Option<u64>) -> Result<Step, Errno> {
    if try_lock(cx, &futex)? {
        return Ok(Step::Value(0));
    }
    Ok(later(cx, wait_for_lock(cx.clone(), futex, deadline)))
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
            expect(cx, futex, value)?;
        }
        Ok(later(cx, wait_wake::wait(cx.clone(), futexes, deadline)))
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

/// A futex of the newer calls, whose flags have its size, which can only be 32 bits, and whether it is private.
fn futex2(cx: &Cx, addr: u64, flags: u64) -> Result<Futex, Errno> {
    const SIZE_U32: u64 = 2;
    const PRIVATE: u64 = FUTEX_PRIVATE_FLAG as u64;
    if flags & !PRIVATE != SIZE_U32 {
        return Err(Errno::EINVAL);
    }
    futex_at(cx, addr, flags & PRIVATE == 0)
}

/// Bits of the newer calls, which are 64 and must fit the size of the futex.
fn bits_of(mask: u64) -> Result<u32, Errno> {
    u32::try_from(mask).ok().filter(|&bits| bits != 0).ok_or(Errno::EINVAL)
}

/// futex_wake(2).
pub fn futex_wake(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [addr, mask, count, flags, ..] = a;
    let futex = futex2(cx, addr, u64::from(flags as u32))?;
    let bits = bits_of(mask)?;
    // Unlike futex(2), this call wakes nobody for a count of 0.
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
    requeue(cx, &from, &to, wakes as u32, moves as u32, Some(value as u32))
}

/// set_robust_list(2).
pub fn set_robust_list(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [head, len, ..] = a;
    if len != robust::HEAD_SIZE {
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
    cx.write_words(len, &[robust::HEAD_SIZE])?;
    cx.write_words(head, &[task.robust_list.get()])?;
    Ok(0)
}
