//! What the engine requires of a machine beyond what fated itself does.

use fated_engine::limits::Need;
use fated_engine::{Error, cpuid, limits};

use crate::protocol::layout::{ARENA_SIZE, WINDOW_SIZE, XSTATE_ROOM};

/// Checks that the engine works on this machine.
pub(crate) fn check() -> Result<(), Error> {
    let limits = limits::provide(&[
        // The window, and as much for the program.
        Need::address_space(2 * WINDOW_SIZE),
        Need::file_size(ARENA_SIZE),
    ]);
    let why = if !has_bases() {
        "processor or Linux lacks FSGSBASE (Linux 5.9 or newer has it)".into()
    } else if !has_dispatch() {
        "Linux lacks Syscall User Dispatch (5.11 or newer has it), or a sandbox withholds it".into()
    } else if signal_frame() > XSTATE_ROOM as u64 && xstate_size() > XSTATE_ROOM {
        format!("the processor's extended state takes {} bytes, more than {XSTATE_ROOM}", xstate_size())
    } else if let Err(why) = limits {
        why
    } else {
        return Ok(());
    };
    Err(Error::Unsuited { why })
}

/// Whether Linux permits `rdfsbase` and its like: a bit of `AT_HWCAP2`.
fn has_bases() -> bool {
    const FSGSBASE: u64 = 2;
    // SAFETY: takes a number.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & FSGSBASE != 0 }
}

/// Whether Linux has Syscall User Dispatch (`blob/src/enter/filter.rs`): if so, it can be turned off, too.
fn has_dispatch() -> bool {
    const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
    const PR_SYS_DISPATCH_OFF: u64 = 0;
    // SAFETY: takes numbers, and changes nothing: dispatch is off in this thread.
    unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0_u64, 0_u64, 0_u64) == 0 }
}

/// The size of a signal frame with its extended state; the maximum if Linux doesn't say (before 5.14).
fn signal_frame() -> u64 {
    const AT_MINSIGSTKSZ: u64 = 51;
    // SAFETY: takes a number.
    let size = unsafe { libc::getauxval(AT_MINSIGSTKSZ) };
    if size == 0 { u64::MAX } else { size }
}

/// The largest extended state in a signal frame. Components that a program must request from Linux aren't in it.
fn xstate_size() -> usize {
    const LEAF: u32 = 0xd;
    const TILE_DATA: u32 = 18;
    let all = cpuid::real(LEAF, 0);
    let user = u64::from(all.eax) | u64::from(all.edx) << 32;
    let parts = (2..64).filter(|&part| user >> part & 1 != 0 && part != TILE_DATA);
    let end = |part| {
        let it = cpuid::real(LEAF, part);
        (it.ebx + it.eax) as usize
    };
    parts.map(end).max().unwrap_or(0)
}
