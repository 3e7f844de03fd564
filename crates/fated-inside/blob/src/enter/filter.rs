//! Keeps guests' system calls from Linux: a call from outside of the gate traps.
//!
//! Linux returns such calls to the guest (Syscall User Dispatch). A seccomp filter on the instruction pointer would
//! take twice as long for each real call of the engine. Dispatch is not inherited, so [`arm`] comes first in each new
//! thread and image. Nor does it catch calls from the `vsyscall` page, which are left to a seccomp filter. That one
//! looks at the number only: so Linux knows in advance which calls it permits, and doesn't run the filter for them.
//!
//! Invariant: no guest instruction is executed in a thread that isn't armed.

use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::enter::gate;
use crate::sys;

/// Makes calls trap in this process, and in all its descendants once they are armed.
pub fn install() -> Result<(), Errno> {
    dispatch()?;
    filter()
}

/// Sets up what a thread or an image doesn't inherit.
pub fn arm() {
    if dispatch().is_err() {
        sys::exit_group(1);
    }
}

fn dispatch() -> Result<u64, Errno> {
    const PR_SET_SYSCALL_USER_DISPATCH: u64 = 59;
    const PR_SYS_DISPATCH_ON: u64 = 1;
    let (from, len) = (gate::begin(), gate::end() - gate::begin());
    sys::ask(__NR_prctl, [PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, from, len, 0, 0])
}

/// Makes the calls of the `vsyscall` page trap. The engine itself never makes them. The instructions are classic BPF
/// (`struct sock_filter`).
fn filter() -> Result<(), Errno> {
    const SECCOMP_SET_MODE_FILTER: u64 = 1;
    const LOAD: u64 = 0x20;
    const EQUAL: u64 = 0x15;
    const RETURN: u64 = 0x06;
    /// The offset of the number (`struct seccomp_data`).
    const NUMBER: u64 = 0;
    const TRAP: u64 = 0x0003_0000;
    const ALLOW: u64 = 0x7fff_0000;
    let op = |code: u64, jt: u64, jf: u64, k: u64| code | jt << 16 | jf << 24 | k << 32;
    let filter = [
        op(LOAD, 0, 0, NUMBER),
        op(EQUAL, 3, 0, __NR_gettimeofday.into()),
        op(EQUAL, 2, 0, __NR_time.into()),
        op(EQUAL, 1, 0, __NR_getcpu.into()),
        op(RETURN, 0, 0, ALLOW),
        op(RETURN, 0, 0, TRAP),
    ];
    let program = [filter.len() as u64, filter.as_ptr() as u64];
    sys::ask(__NR_seccomp, [SECCOMP_SET_MODE_FILTER, 0, &raw const program as u64, 0, 0, 0]).map(drop)
}
