//! Timers and limits on CPU time (`kernel/time/posix-cpu-timers.c`). CPU time moves with the calls of a process alone, so its timers are
//! not in the queue of the host: each call of the process looks at them.

use crate::cx::Cx;
use crate::host::Kernel;
use crate::process::limits::{INFINITY, Limit};
use crate::process::thread_group::Process;
use crate::signal::{SI_KERNEL, SigInfo, nr};
use crate::time::timers::SECOND;
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general::RLIMIT_CPU;

/// A call has cost CPU time: expires the timers of the caller's process that are due by it.
#[inline]
pub(crate) fn time_spent(cx: &Cx) {
    if cx.process().timers.cpu.get() {
        expire(cx);
    }
}

#[cold]
fn expire(cx: &Cx) {
    let (kernel, process) = (&cx.kernel, cx.process());
    let timers = &process.timers;
    let on_cpu_time: Vec<_> = timers.all().into_iter().filter(|timer| timer.clock.counts_cpu()).collect();
    let armed = on_cpu_time.iter().any(|timer| timer.due.get().is_some());
    timers.cpu.set(armed || process.limits.soft(RLIMIT_CPU) != INFINITY);
    for timer in on_cpu_time {
        let due = timer.due.get().filter(|&due| due <= timer.clock.now(&kernel.timers));
        if due.is_some() && !timer.sent.get() {
            timer.send(kernel);
        }
    }
    check_limit(kernel, process);
}

/// `RLIMIT_CPU` has been set for a process, or it has inherited the limit.
pub(crate) fn limit_set(kernel: &Kernel, process: &Process) {
    if process.limits.soft(RLIMIT_CPU) != INFINITY {
        process.timers.cpu.set(true);
        kernel.watch();
    }
}

/// SIGKILL at the hard limit; from the soft one on, SIGXCPU at each second (Linux: `check_process_timers`).
fn check_limit(kernel: &Rc<Kernel>, process: &Rc<Process>) {
    let Ok(Limit { soft, hard }) = process.limits.get(RLIMIT_CPU) else { return };
    if soft == INFINITY {
        return;
    }
    let reached = |seconds: u64| process.total_cpu_ns() >= seconds.saturating_mul(SECOND);
    if reached(hard) {
        kernel.send_to_process(process, SigInfo::new(nr::KILL, SI_KERNEL));
    } else if reached(soft) {
        kernel.send_to_process(process, SigInfo::new(nr::XCPU, SI_KERNEL));
        process.limits.set(RLIMIT_CPU, Limit { soft: soft + 1, hard });
    }
}
