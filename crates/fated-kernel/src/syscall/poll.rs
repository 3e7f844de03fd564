//! poll(2), ppoll(2), select(2), pselect6(2).

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::select::{Asked, select_ready, wait};
use crate::outcome::SysResult;
use crate::signal::SigSet;
use crate::syscall::Args;
use alloc::vec::Vec;

/// The most descriptors that a process may ever have (`/proc/sys/fs/nr_open`).
const MOST_FILES: u64 = 1 << 20;

/// The moment that is `ns` from now.
pub(super) fn moment(cx: &Cx, ns: u64) -> u64 {
    cx.kernel.timers.now().saturating_add(ns)
}

/// The nanoseconds left until a moment.
fn left(cx: &Cx, deadline: u64) -> u64 {
    deadline.saturating_sub(cx.kernel.timers.now())
}

/// A timeout in milliseconds; a negative one never ends.
pub(super) fn deadline_of_ms(cx: &Cx, ms: u64) -> Option<u64> {
    u64::try_from(ms as i32).ok().map(|ms| moment(cx, ms * 1_000_000))
}

/// Blocks the signals at `addr` instead of the current ones until the call ends.
pub(super) fn set_mask(cx: &Cx, addr: u64, size: u64) -> Result<(), Errno> {
    if addr == 0 {
        return Ok(());
    }
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let mask = SigSet(cx.read_u64(addr)?);
    cx.task.saved_mask.set(Some(cx.task.mask.get()));
    cx.task.set_mask(mask);
    Ok(())
}

/// Restores the mask. After an interruption it stays until the frame of the handler has saved the old one.
pub(super) fn restore_mask<T>(cx: &Cx, result: &Result<T, Errno>) {
    if !matches!(result, Err(Errno::EINTR | Errno::ERESTARTNOHAND))
        && let Some(mask) = cx.task.saved_mask.take()
    {
        cx.task.set_mask(mask);
    }
}

pub async fn poll(cx: Cx, a: Args) -> SysResult {
    let deadline = deadline_of_ms(&cx, a[2]);
    poll_until(&cx, a, deadline).await
}

/// poll(2) restarted after a stop that ran no handler, with the time that is left.
pub async fn resume(cx: Cx, call: Call, deadline: u64) -> SysResult {
    let deadline = if deadline == u64::MAX { None } else { Some(deadline) };
    poll_until(&cx, call.args, deadline).await
}

async fn poll_until(cx: &Cx, a: Args, deadline: Option<u64>) -> SysResult {
    match poll_list(cx, a[0], a[1], deadline).await {
        Err(Errno::EINTR) => {
            let call = Call { number: linux_raw_sys::general::__NR_poll.into(), args: a };
            cx.task.restart.set(Some((call, deadline.unwrap_or(u64::MAX))));
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
        result => Ok(result?.into()),
    }
}

pub async fn ppoll(cx: Cx, a: Args) -> SysResult {
    let [list, count, timeout_addr, mask_addr, mask_size, _] = a;
    let deadline = cx.read_timespec(timeout_addr)?.map(|ns| moment(&cx, ns));
    set_mask(&cx, mask_addr, mask_size)?;
    let result = match poll_list(&cx, list, count, deadline).await {
        Err(Errno::EINTR) => Err(Errno::ERESTARTNOHAND),
        result => result,
    };
    restore_mask(&cx, &result);
    if let Some(deadline) = deadline {
        // Linux ignores a fault here.
        let _ = cx.write_timespec(timeout_addr, left(&cx, deadline));
    }
    Ok(result?.into())
}

/// Polls the `struct pollfd`s at `list`.
async fn poll_list(cx: &Cx, list: u64, count: u64, deadline: Option<u64>) -> Result<u64, Errno> {
    const ENTRY: usize = 8;
    let count = count & 0xffff_ffff;
    if count > cx.descriptor_limit().min(MOST_FILES) {
        return Err(Errno::EINVAL);
    }
    let mut entries = cx.read_vec(list, count as usize * ENTRY)?;
    let asked = entries.chunks_exact(ENTRY).map(|entry| {
        let fd = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        Asked::of(cx, fd, u16::from_le_bytes([entry[4], entry[5]]).into())
    });
    let asked: Vec<Asked> = asked.collect();
    wait(cx, &asked, deadline).await?;
    let mut ready = 0;
    for (entry, asked) in entries.chunks_exact_mut(ENTRY).zip(&asked) {
        let now = asked.ready() as u16;
        entry[6..8].copy_from_slice(&now.to_le_bytes());
        ready += u64::from(now != 0);
    }
    cx.write(list, &entries)?;
    Ok(ready)
}

pub async fn select(cx: Cx, a: Args) -> SysResult {
    let deadline = match a[4] {
        0 => None,
        addr => {
            let [seconds, micros] = cx.read_words(addr)?;
            if (seconds as i64) < 0 || (micros as i64) < 0 {
                return Err(Errno::EINVAL);
            }
            // Unlike other calls, select(2) accepts a second or more in the microseconds.
            let ns = seconds.saturating_mul(1_000_000_000).saturating_add(micros.saturating_mul(1000));
            Some(moment(&cx, ns.min(i64::MAX as u64)))
        }
    };
    let result = select_sets(&cx, a, deadline).await;
    if let Some(deadline) = deadline {
        let _ = cx.write_timeval(a[4], left(&cx, deadline));
    }
    Ok(result?.into())
}

pub async fn pselect6(cx: Cx, a: Args) -> SysResult {
    let [_, _, _, _, timeout_addr, mask_arg] = a;
    let [mask_addr, mask_size] = if mask_arg == 0 { [0, 0] } else { cx.read_words(mask_arg)? };
    let deadline = cx.read_timespec(timeout_addr)?.map(|ns| moment(&cx, ns));
    set_mask(&cx, mask_addr, mask_size)?;
    let result = select_sets(&cx, a, deadline).await;
    restore_mask(&cx, &result);
    if let Some(deadline) = deadline {
        let _ = cx.write_timespec(timeout_addr, left(&cx, deadline));
    }
    Ok(result?.into())
}

async fn select_sets(cx: &Cx, a: Args, deadline: Option<u64>) -> Result<u64, Errno> {
    let count = u64::try_from(a[0] as i32).map_err(|_| Errno::EINVAL)?.min(MOST_FILES);
    let len = (count as usize).div_ceil(64) * 8;
    let mut sets: [Vec<u8>; 3] = [const { Vec::new() }; 3];
    for (set, addr) in sets.iter_mut().zip([a[1], a[2], a[3]]) {
        if addr != 0 {
            *set = cx.read_vec(addr, len)?;
        }
    }
    let (ready, results) = select_ready(cx, count as usize, &sets, deadline).await?;
    for (result, addr) in results.iter().zip([a[1], a[2], a[3]]) {
        cx.write(addr, result)?;
    }
    Ok(ready)
}
