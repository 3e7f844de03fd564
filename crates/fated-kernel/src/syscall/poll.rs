//! poll(2), ppoll(2), select(2), pselect6(2).

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::poll;
use crate::fs::select::{Asked, Behind, wait};
use crate::outcome::SysResult;
use crate::signal::SigSet;
use crate::syscall::Args;
use alloc::{vec, vec::Vec};

/// The most descriptors that a process may ever have (`/proc/sys/fs/nr_open`).
const MOST_FILES: u64 = 1 << 20;

/// The moment that is `ns` from now.
pub(super) fn moment(cx: &Cx, ns: u64) -> u64 {
    cx.kernel.timers.now().saturating_add(ns)
}

/// What is left until a moment.
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

/// The end of that. After an interruption the mask stays until the handler's frame has taken the old one.
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

/// poll(2) after a stop that no handler ran for: with the time that is left.
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
        // Linux doesn't mind if it can't.
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
    let asked: Vec<Asked> = entries
        .chunks_exact(ENTRY)
        .map(|entry| Asked {
            behind: Behind::of(cx, i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]])),
            wanted: u32::from(u16::from_le_bytes([entry[4], entry[5]])),
        })
        .collect();
    wait(cx, &asked, deadline).await?;
    let mut ready = 0;
    for (entry, asked) in entries.chunks_exact_mut(ENTRY).zip(&asked) {
        let now = asked.behind.ready(asked.wanted) as u16;
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
            // More than a second in the microseconds is taken, unlike elsewhere.
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

/// What each of the three sets of select(2) stands for.
const SETS: [u32; 3] = [
    poll::RDNORM | poll::RDBAND | poll::IN | poll::HUP | poll::ERR,
    poll::WRBAND | poll::WRNORM | poll::OUT | poll::ERR,
    poll::PRI,
];

async fn select_sets(cx: &Cx, a: Args, deadline: Option<u64>) -> Result<u64, Errno> {
    let count = u64::try_from(a[0] as i32).map_err(|_| Errno::EINVAL)?.min(MOST_FILES);
    let len = (count as usize).div_ceil(64) * 8;
    let mut sets: [Vec<u8>; 3] = [const { Vec::new() }; 3];
    for (set, addr) in sets.iter_mut().zip([a[1], a[2], a[3]]) {
        if addr != 0 {
            *set = cx.read_vec(addr, len)?;
        }
    }
    let has = |set: &[u8], fd: usize| set.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 == 1);
    let mut asked = Vec::new();
    let mut numbers = Vec::new();
    for fd in 0..count as usize {
        let wants = sets.iter().zip(SETS).filter(|(set, _)| has(set, fd)).fold(0, |all, (_, bits)| all | bits);
        if wants == 0 {
            continue;
        }
        let behind = Behind::of(cx, fd as i32);
        if matches!(behind, Behind::Closed) {
            return Err(Errno::EBADF);
        }
        numbers.push(fd);
        asked.push(Asked { behind, wanted: wants });
    }
    // Unlike poll(2), select(2) tells of errors only in the sets that were given.
    wait_select(cx, &asked, deadline).await?;
    let mut ready = 0;
    let mut results = [vec![0u8; sets[0].len()], vec![0u8; sets[1].len()], vec![0u8; sets[2].len()]];
    for (fd, asked) in numbers.into_iter().zip(&asked) {
        let now = asked.behind.ready(asked.wanted);
        for ((set, result), bits) in sets.iter().zip(&mut results).zip(SETS) {
            if has(set, fd)
                && now & bits != 0
                && let Some(byte) = result.get_mut(fd / 8)
            {
                *byte |= 1 << (fd % 8);
                ready += 1;
            }
        }
    }
    for (result, addr) in results.iter().zip([a[1], a[2], a[3]]) {
        cx.write(addr, result)?;
    }
    Ok(ready)
}

async fn wait_select(cx: &Cx, asked: &[Asked], deadline: Option<u64>) -> Result<bool, Errno> {
    match wait(cx, asked, deadline).await {
        Err(Errno::EINTR) => Err(Errno::ERESTARTNOHAND),
        result => result,
    }
}
