//! Calls on memory: mmap(2), mremap(2), brk(2), mlock(2) and their kin. The real Linux carries them out; the limits are kept here, as the
//! real process has memory of the engine's, too.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::mm::limits::{Grows, PAGE, check_growth, check_lock, is_unlimited};
use crate::mm::sizes::vdso;
use crate::outcome::{Outcome, SysResult};
use crate::syscall::Args;
use linux_raw_sys::auxvec::AT_SYSINFO_EHDR;
use linux_raw_sys::general as c;

/// mmap(2).
pub fn mmap(cx: &Cx, a: Args) -> SysResult {
    let [_, len, protection, flags, fd, offset] = a;
    let flags = flags as u32;
    let writable = protection as u32 & c::PROT_WRITE != 0 && flags & c::MAP_TYPE == c::MAP_PRIVATE;
    check_growth(cx, len, if writable { Grows::Data } else { Grows::Space })?;
    if flags & c::MAP_LOCKED != 0 {
        check_lock(cx, len, Errno::EAGAIN)?;
    }
    // At a fixed place it mostly replaces other memory. Otherwise Linux gives what no limit forbids, of a file that is open.
    let is_sure = flags & c::MAP_ANONYMOUS != 0 || cx.check_open(fd as i32).is_ok();
    if flags & c::MAP_FIXED == 0 && flags & c::MAP_TYPE == c::MAP_PRIVATE && is_sure && offset % PAGE == 0 {
        cx.process().memory.grows(len, if protection == 0 { 0 } else { len });
    } else {
        protect(cx, len, protection);
    }
    Ok(Outcome::Pass)
}

/// Memory gets a protection: with one that permits nothing it doesn't count as resident.
fn protect(cx: &Cx, len: u64, protection: u64) {
    if protection == 0 { shrink(cx, len) } else { cx.process().memory.may_grow(len) }
}

fn shrink(cx: &Cx, len: u64) {
    cx.task.see_peak();
    cx.process().memory.shrinks(len);
}

/// mprotect(2).
pub fn mprotect(cx: &Cx, a: Args) -> SysResult {
    protect(cx, a[1], a[2]);
    Ok(Outcome::Pass)
}

/// munmap(2).
pub fn munmap(cx: &Cx, a: Args) -> SysResult {
    shrink(cx, a[1]);
    Ok(Outcome::Pass)
}

/// mremap(2).
pub fn mremap(cx: &Cx, a: Args) -> SysResult {
    let [old, old_len, len, flags, ..] = a;
    if flags as u32 & c::MREMAP_MAYMOVE != 0 && moves_part_of_vdso(cx, old, len) {
        return Err(Errno::EINVAL);
    }
    check_growth(cx, len.saturating_sub(old_len), Grows::Data)?;
    if len < old_len {
        shrink(cx, old_len - len);
    } else {
        cx.process().memory.grows(len - old_len, len - old_len);
    }
    Ok(Outcome::Pass)
}

/// The vDSO is moved as a whole or not at all (Linux: `vdso_mremap`).
fn moves_part_of_vdso(cx: &Cx, old: u64, len: u64) -> bool {
    let auxv = cx.task.guest.proc_file("auxv").unwrap_or_default();
    let begin = auxv.chunks_exact(16).find_map(|pair| {
        let word = |at: usize| Some(u64::from_le_bytes(pair.get(at..at + 8)?.try_into().ok()?));
        (word(0)? == u64::from(AT_SYSINFO_EHDR)).then(|| word(8))?
    });
    // It has a few pages.
    const REACH: u64 = 1 << 16;
    let near = begin.is_some_and(|begin| (begin..begin.saturating_add(REACH)).contains(&old));
    near && vdso(&cx.task).is_some_and(|vdso| vdso.contains(&old) && vdso.end - vdso.start != len)
}

/// brk(2): the end of the heap stays where it is if a limit is in the way.
pub fn brk(cx: &Cx, a: Args) -> SysResult {
    let number = u64::from(c::__NR_brk);
    if a[0] == 0 {
        return Ok(Outcome::Pass);
    }
    let memory = &cx.process().memory;
    let heap = memory.heap().map_or_else(|| cx.native(number, [0; 6]), Ok)?;
    match a[0].checked_sub(heap) {
        Some(more) => memory.grows(more, more),
        None => shrink(cx, heap - a[0]),
    }
    memory.set_heap(a[0]);
    if is_unlimited(cx) {
        return Ok(Outcome::Pass);
    }
    let end = cx.native(number, [0; 6])?;
    match check_growth(cx, a[0].saturating_sub(end), Grows::Data) {
        Ok(()) => Ok(Outcome::Pass),
        Err(_) => Ok(Outcome::Value(end)),
    }
}

/// mlock(2), mlock2(2).
pub fn mlock(cx: &Cx, a: Args) -> SysResult {
    let [start, len, ..] = a;
    check_lock(cx, len.wrapping_add(start % PAGE), Errno::ENOMEM)?;
    Ok(Outcome::Pass)
}
