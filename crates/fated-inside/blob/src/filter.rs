//! What keeps guests' system calls from Linux: those made elsewhere than in the gate trap.
//!
//! By dispatch to user space (Syscall User Dispatch, since Linux 5.11), because each real call of the engine's passes here and
//! that takes a sixth of the time of a filter on the instruction pointer. It isn't inherited: [`arm`] is the first thing in each
//! new thread and image. Nor does it see calls of the `vsyscall` page. Those are left to a filter by number, so that Linux
//! knows beforehand which calls it lets through, and doesn't run it for them.
//!
//! Where Linux has no such dispatch, there is the filter on the instruction pointer.
//!
//! Invariant: no guest's instruction is executed in a thread that isn't armed.

use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::host::host;
use crate::{gate, sys};

/// Makes calls trap from here on, in this process and all that come of it once they are armed.
pub fn install() -> Result<(), Errno> {
    let is_there = dispatch().is_ok();
    host().dispatches.set(is_there);
    if is_there { filter(&by_number()) } else { filter(&by_pointer()) }
}

/// Sets up what a thread or an image hasn't inherited.
pub fn arm() {
    if host().dispatches.get() && dispatch().is_err() {
        sys::exit_group(1);
    }
}

fn dispatch() -> Result<u64, Errno> {
    const PR_SET_SYSCALL_USER_DISPATCH: u64 = 59;
    const PR_SYS_DISPATCH_ON: u64 = 1;
    let (from, len) = (gate::begin(), gate::end() - gate::begin());
    sys::ask(__NR_prctl, [PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, from, len, 0, 0])
}

fn filter(instructions: &[u64]) -> Result<(), Errno> {
    const SECCOMP_SET_MODE_FILTER: u64 = 1;
    let program = [instructions.len() as u64, instructions.as_ptr() as u64];
    sys::ask(__NR_seccomp, [SECCOMP_SET_MODE_FILTER, 0, &raw const program as u64, 0, 0, 0]).map(drop)
}

// `struct sock_filter` of classic BPF, and what it finds at which offset: `struct seccomp_data`.
const LOAD: u64 = 0x20;
const EQUAL: u64 = 0x15;
const AT_LEAST: u64 = 0x35;
const RETURN: u64 = 0x06;
const NUMBER: u64 = 0;
const POINTER: u64 = 8;
const TRAP: u64 = 0x0003_0000;
const ALLOW: u64 = 0x7fff_0000;

const fn op(code: u64, jt: u64, jf: u64, k: u64) -> u64 {
    code | jt << 16 | jf << 24 | k << 32
}

/// The calls of the `vsyscall` page trap, which the engine itself never makes.
fn by_number() -> [u64; 6] {
    [
        op(LOAD, 0, 0, NUMBER),
        op(EQUAL, 3, 0, __NR_gettimeofday.into()),
        op(EQUAL, 2, 0, __NR_time.into()),
        op(EQUAL, 1, 0, __NR_getcpu.into()),
        op(RETURN, 0, 0, ALLOW),
        op(RETURN, 0, 0, TRAP),
    ]
}

/// Calls are permitted from the gate alone.
fn by_pointer() -> [u64; 7] {
    [
        op(LOAD, 0, 0, POINTER + 4),
        op(EQUAL, 0, 3, gate::begin() >> 32),
        op(LOAD, 0, 0, POINTER),
        op(AT_LEAST, 0, 1, gate::begin() & 0xffff_ffff),
        op(AT_LEAST, 0, 1, gate::end() & 0xffff_ffff),
        op(RETURN, 0, 0, TRAP),
        op(RETURN, 0, 0, ALLOW),
    ]
}
