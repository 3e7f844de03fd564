//! Timers on CPU time (`kernel/time/posix-cpu-timers.c`). CPU time moves with the calls of a process alone, so its timers are not in
//! the queue of the host: each call of the process looks at them.

use crate::cx::Cx;
use alloc::vec::Vec;

/// A call has cost CPU time: expires the timers of the caller's process that are due by it.
#[inline]
pub(crate) fn time_spent(cx: &Cx) {
    if cx.process().timers.cpu.get() {
        expire(cx);
    }
}

#[cold]
fn expire(cx: &Cx) {
    let (kernel, timers) = (&cx.kernel, &cx.process().timers);
    let on_cpu_time: Vec<_> = timers.all().into_iter().filter(|timer| timer.clock.counts_cpu()).collect();
    timers.cpu.set(on_cpu_time.iter().any(|timer| timer.due.get().is_some()));
    for timer in on_cpu_time {
        let due = timer.due.get().filter(|&due| due <= timer.clock.now(&kernel.timers));
        if due.is_some() && !timer.sent.get() {
            timer.send(kernel);
        }
    }
}
