//! Guests that exit on request, until the first process has waited for them: only then does Linux add their processor time
//! to that of fated's children.
//!
//! Invariant: whoever notes an exit has the turn. The first process, which waits, only removes.

use core::sync::atomic::Ordering::SeqCst;

use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::arena::control;
use crate::sys;

/// How often to yield to the first process, which takes it only a moment.
const PATIENCE: u32 = 1000;

/// Notes a guest that is about to exit.
pub fn note(real: u32) {
    let exits = &control().exits;
    loop {
        if let Some(free) = exits.iter().find(|it| it.load(SeqCst) == 0) {
            free.store(real, SeqCst);
            return;
        }
        call_first();
    }
}

/// Lets the first process wait for all that have exited; `false` if there was none.
pub fn settle() -> bool {
    let is_empty = || control().exits.iter().all(|it| it.load(SeqCst) == 0);
    if is_empty() {
        return false;
    }
    for _ in 0..PATIENCE {
        call_first();
        if is_empty() {
            break;
        }
    }
    true
}

fn call_first() {
    control().called.store(1, SeqCst);
    sys::futex_wake(&control().deaths);
    sys::call(__NR_sched_yield, [0; 6]);
}

/// Waits for those that have exited by now, in the first process.
pub fn wait_for_all() {
    for exit in &control().exits {
        let real = exit.load(SeqCst);
        let still_there = || sys::ask(__NR_wait4, [u64::from(real), 0, u64::from(WNOHANG | __WALL), 0, 0, 0]) == Ok(0);
        if real != 0 && !still_there() {
            exit.store(0, SeqCst);
        }
    }
}

/// Whether a child of the first process, which calls this, has exited.
pub fn has_exited(real: u32) -> bool {
    const P_PID: u64 = 1;
    let mut info = [0_u32; 32];
    let options = u64::from(WEXITED | WNOHANG | WNOWAIT | __WALL);
    let args = [P_PID, u64::from(real), info.as_mut_ptr() as u64, options, 0, 0];
    // `si_pid` is 0 if it goes on.
    sys::ask(__NR_waitid, args) == Err(Errno::ECHILD) || info[3] != 0
}
