//! The run loop of a host: which task runs next, what it stopped for, how far time may go, and how the run ends.
//!
//! An engine alternates between [`Kernel::run_until`] and [`Kernel::stopped`]. This is the only file beside `syscall` itself that
//! starts system calls.
//!
//! # The horizon
//!
//! Whoever holds several hosts together lets each run up to a horizon, a moment of virtual time. The clock never passes it:
//!
//! - Time jumps to a timer only if that expires at or before the horizon.
//! - Guest code runs only if one more call can end by then. So a task stops between two calls, in the midst of its slice; with a
//!   later horizon it continues there, and the slice counts on. What happens before that, at a moment up to the horizon, does happen:
//!   a call that has waited ends, signals are delivered.
//!
//! Invariant: what happens in a run doesn't depend on the horizons that it was given, only on what happens to the host in between.
//! So nothing is drawn, counted or woken because of a horizon.

use crate::cx::Cx;
use crate::host::{Boot, Ending, Kernel, Next};
use crate::id::{Pid, Tid};
use crate::ports::{Awaited, FIFOS, RealTask, Stop};
use crate::process::fork;
use crate::process::task::{Process, Task};
use crate::sched::Rest;
use crate::signal::{SI_KERNEL, SigInfo};
use crate::syscall;
use crate::time::expiry::Jump;
use crate::time::timers::SECOND;
use crate::tty::input::END;
use alloc::{format, rc::Rc, string::String, vec::Vec};
use core::cell::Ref;

/// How much virtual time the other processes have to end once the first one has.
const LINGER_NS: u64 = 60 * SECOND;
/// How many turns they have, for those that never wait.
const LINGER_TURNS: u64 = 500_000;
/// What rdtsc costs.
const STAMP_NS: u64 = 25;

impl Kernel {
    /// Makes the first process, a child of the kernel's own process 1. Its program has been loaded and has not run yet.
    /// Descriptors 0, 1 and 2 are fated's own streams unless they are regular files or directories.
    pub fn boot(self: &Rc<Self>, boot: &Boot, guest: Rc<dyn RealTask>) -> Tid {
        let task = fork::first_task(self, boot, guest);
        self.run.first.set(Some(task.process.pid));
        self.stats.task();
        self.stats.program();
        task.tid.get()
    }

    /// Decides what happens next, up to `horizon` (nanoseconds since 1970) or without bounds.
    pub fn run_until(self: &Rc<Self>, horizon: Option<u64>) -> Next {
        self.timers.set_horizon(horizon, self.config.call_cost_ns.max(STAMP_NS));
        if let Some(cx) = &*self.run.current.borrow()
            && cx.task.passing.get()
        {
            return self.run_or_idle(&cx.task);
        }
        loop {
            self.set_journal_signal();
            if self.run.ending.get() || self.journal.has_failed() {
                if let Some(ending) = self.ended() {
                    return self.finish(ending);
                }
                self.count_lingering();
            }
            if let Some(next) = self.await_due_input() {
                return next;
            }
            let Some(task) = self.take_turn() else {
                match self.wait() {
                    Some(next) => return next,
                    None => continue,
                }
            };
            self.count_turn();
            let cx = Cx { kernel: self.clone(), task };
            self.run.current.replace(Some(cx.clone()));
            if matches!(cx.task.rest.get(), Rest::Waking(_)) {
                wake_up(&cx);
            }
            if cx.task.rest.get() == Rest::Ready && before_run(&cx) {
                self.set_journal_signal();
                self.begin_turn(&cx.task);
                return self.run_or_idle(&cx.task);
            }
        }
    }

    /// Every task waits: lets input in, or time go on. `None`: a task may be ready now.
    fn wait(self: &Rc<Self>) -> Option<Next> {
        if self.let_input_in() || self.locks.retry_outside() {
            return None;
        }
        // What outlives the first process isn't worth the user's waiting.
        let goes_on = self.run.exit_status.get().is_none();
        let awaited = self.streams.awaited().filter(|_| goes_on);
        let holds = goes_on && self.locks.awaits_outsider();
        let any = |is: fn(&Awaited) -> bool| awaited.as_ref().is_some_and(|streams| streams.iter().any(is));
        // Time stands still while a task waits for input or a lock, but not for those who wait for a stream's end alone, or for somebody
        // to come.
        let input = any(|it| it.bits & !END != 0 && !it.is_for_opening());
        let outsider = holds || any(|it| it.stream >= FIFOS);
        let user_waits = self.user_signals.get() > 0;
        if !input && !holds || user_waits {
            match self.jump() {
                Jump::Done => return None,
                Jump::BeyondHorizon(at) => return Some(self.idle_until(Some(at))),
                Jump::NoTimer => {}
            }
        }
        if self.let_end_in() {
            return None;
        }
        if awaited.is_some() && self.journal.obeys() && self.journal.lets_in() {
            return None;
        }
        if outsider {
            self.run.idle.set(true);
            return Some(Next::AwaitOutsider { streams: awaited.unwrap_or_default() });
        }
        if let Some(streams) = awaited {
            self.run.idle.set(true);
            return Some(Next::AwaitConsole { streams });
        }
        if self.run.exit_status.get().is_some() {
            return None;
        }
        if self.timers.horizon().is_some() {
            return Some(self.idle_until(None));
        }
        Some(self.finish(Ending::Deadlock(self.describe_sleepers())))
    }

    /// Input is due although tasks are ready: waits for it, unless the user's signal comes first.
    fn await_due_input(&self) -> Option<Next> {
        if !self.streams.is_due() || self.run.exit_status.get().is_some() || self.user_signals.get() > 0 {
            return None;
        }
        while !self.let_input_in() {
            if !self.journal.obeys() || !self.journal.lets_in() {
                return self.streams.awaited().map(|streams| Next::AwaitConsole { streams });
            }
        }
        self.streams.stay_due();
        None
    }

    /// Every task waits up to the horizon.
    fn idle_until(&self, until: Option<u64>) -> Next {
        self.run.idle.set(true);
        self.note_horizon();
        Next::Idle { until }
    }

    /// It is the turn of this task: now, or with a later horizon if its next call might end beyond this one.
    #[inline]
    fn run_or_idle(&self, task: &Task) -> Next {
        let waits = self.is_at_horizon(task);
        task.passing.set(waits);
        if waits { self.idle_until_next_call(task) } else { Next::Run(task.tid.get()) }
    }

    #[cold]
    fn idle_until_next_call(&self, task: &Task) -> Next {
        self.note_horizon();
        Next::Idle { until: Some(self.next_call_ends(task)) }
    }

    /// Whether the next call of the task might end beyond the horizon.
    #[inline]
    fn is_at_horizon(&self, task: &Task) -> bool {
        self.timers.is_at_horizon() || self.timers.horizon().is_some_and(|at| self.next_call_ends(task) > at)
    }

    /// When the next call of the task ends at the latest.
    fn next_call_ends(&self, task: &Task) -> u64 {
        let cost = self.config.call_cost_ns;
        self.timers
            .now()
            .saturating_add(cost.max(STAMP_NS))
            .saturating_add(task.readings.get().next_extra_ns(task.cpu_ns.get(), cost))
    }

    fn note_horizon(&self) {
        let horizon = self.timers.horizon().unwrap_or(0);
        self.run.reached.set(self.run.reached.get().max(horizon));
    }

    /// How far the host has come: everything up to this moment has happened. That is its clock, or the last horizon up to which
    /// [`Next::Idle`] was answered. Nothing that happens to it from outside may happen earlier.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.timers.now().max(self.run.reached.get())
    }

    /// Whether the running task has to stop, because it has read so many time stamps that its next call might end beyond the
    /// horizon. If so, it continues when its turn is given again, as if nothing had been between.
    #[must_use]
    pub fn stops_at_horizon(&self) -> bool {
        if !self.timers.is_at_horizon() {
            return false;
        }
        if let Some(cx) = &*self.run.current.borrow() {
            cx.task.passing.set(true);
        }
        true
    }

    /// Whether the running task continues behind its call: its turn isn't over, and no signal comes before. This counts the call,
    /// so it is asked once.
    pub(crate) fn runs_on(&self, task: &Task) -> bool {
        if !task.is_undisturbed() || self.run.ending.get() || self.is_at_horizon(task) || self.streams.is_due() {
            return false;
        }
        if self.scheduler.slice_over(task) || self.journal.has_failed() {
            task.turn_over.set(true);
            return false;
        }
        self.count_turn();
        self.set_journal_signal();
        true
    }

    /// The running task, if its turn isn't over, else the next one.
    fn take_turn(&self) -> Option<Rc<Task>> {
        if self.run.idle.take() && self.scheduler.is_empty() {
            return None;
        }
        let current = self.run.current.borrow_mut().take();
        if let Some(task) = current.map(|cx| cx.task).filter(|task| task.rest.get() == Rest::Ready) {
            if task.halted.get() {
                task.parked.set(true);
            } else if task.turn_over.take() || self.scheduler.slice_over(&task) {
                task.counts.borrow_mut().nivcsw += u64::from(!self.scheduler.is_empty());
                self.scheduler.push(&task);
            } else {
                return Some(task);
            }
        }
        // Those that have ended or are stopped drop out of the queue here.
        loop {
            let task = self.scheduler.take()?;
            if task.is_gone() {
                continue;
            }
            // One that has woken ends its sleep, and stops before it runs guest code.
            if !task.halted.get() || matches!(task.rest.get(), Rest::Waking(_)) {
                return Some(task);
            }
            task.parked.set(true);
        }
    }

    /// Whether it is this task's turn.
    pub(crate) fn is_current(&self, task: &Rc<Task>) -> bool {
        self.run.current.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(&current.task, task))
    }

    /// The task whose turn it is.
    pub(crate) fn running(&self) -> Option<Rc<Task>> {
        self.run.current.borrow().as_ref().map(|current| current.task.clone())
    }

    /// The task that [`Next::Run`] named, as its calls see it. To be dropped before [`Kernel::run_until`].
    #[must_use]
    pub fn turn(&self) -> Option<Ref<'_, Cx>> {
        Ref::filter_map(self.run.current.borrow(), Option::as_ref).ok()
    }

    /// The task that [`Next::Run`] named has stopped.
    pub fn stopped(self: &Rc<Self>, tid: Tid, stop: Stop) {
        let Some(task) = self.task(tid) else { return };
        let cx = Cx { kernel: self.clone(), task };
        match stop {
            Stop::Call(call) => {
                if let Some(value) = syscall::dispatch::enter(&cx, &call) {
                    cx.task.guest.set_result(value);
                }
            }
            Stop::Fault(fault) => {
                /// What Linux keeps the address of, which later faults of other kinds show again.
                const PAGE_FAULT: u64 = 14;
                let (.., last) = cx.task.fault.get();
                let has_addr = fault.trap == PAGE_FAULT && fault.code != SI_KERNEL;
                let addr = if has_addr { fault.addr } else { last };
                cx.task.fault.set((fault.trap, fault.error, addr));
                self.force_signal(&cx.task, SigInfo::fault(fault.signal, fault.code, fault.addr));
            }
            Stop::Killed { signal } => {
                let exe = String::from_utf8_lossy(&cx.process().exe.borrow()).into_owned();
                self.fail(format!(
                    "process {} ({exe}) was killed by signal {signal} from outside of the run",
                    cx.process().pid
                ));
            }
        }
    }

    /// Ends the run because something real went wrong.
    pub fn fail(&self, why: String) {
        self.run.broken.borrow_mut().get_or_insert(why);
        self.run.ending.set(true);
        self.watch();
    }

    /// The first process, if it lives.
    pub(crate) fn first_process(&self) -> Option<Rc<Process>> {
        self.run.first.get().and_then(|pid| self.process(pid))
    }

    /// What rdtsc reads now: a processor of 1 GHz. The task may have to stop behind it ([`Kernel::stops_at_horizon`]).
    #[must_use]
    pub fn timestamp_counter(self: &Rc<Self>) -> u64 {
        self.pass_time(STAMP_NS);
        self.timers.uptime()
    }

    /// Notes the end of a process; with the first one the run's status is known.
    pub(crate) fn process_ended(&self, pid: Pid, status: i32) {
        if self.run.first.get() == Some(pid) {
            self.run.exit_status.set(Some(status));
            self.run.ending.set(true);
            self.watch();
            self.run.lingering.set((self.timers.now().saturating_add(LINGER_NS), LINGER_TURNS));
        }
    }

    /// The run is over.
    fn finish(self: &Rc<Self>, ending: Ending) -> Next {
        self.kill_all();
        if matches!(ending, Ending::Exited(_) | Ending::Deadlock(_)) {
            self.journal.finish();
        }
        Next::Finished(self.journal.failure().map_or(ending, Ending::LeftJournal))
    }

    /// How the run has ended, if it has.
    #[cold]
    fn ended(&self) -> Option<Ending> {
        if let Some(why) = self.journal.failure() {
            return Some(Ending::LeftJournal(why));
        }
        if !self.run.ending.get() {
            return None;
        }
        if let Some(why) = self.run.broken.borrow().clone() {
            return Some(Ending::Broken(why));
        }
        let status = self.run.exit_status.get()?;
        let nothing_left = self.processes.borrow().is_empty();
        let nothing_moves = self.timers.next_at().is_none()
            && self.scheduler.is_empty()
            && self.current_is_none()
            && !self.journal.has_more();
        if nothing_left || nothing_moves {
            return Some(Ending::Exited(status));
        }
        let (until, turns) = self.run.lingering.get();
        if self.timers.now() <= until && turns > 0 {
            return None;
        }
        let left = self.processes.borrow().len();
        self.trace.notice(format!("the first process has ended long ago; killed {left} that would not end"));
        Some(Ending::Exited(status))
    }

    /// Counts a turn of the processes that have outlived the first one.
    fn count_lingering(&self) {
        if self.run.exit_status.get().is_some() && !self.run.idle.get() {
            let (until, turns) = self.run.lingering.get();
            self.run.lingering.set((until, turns.saturating_sub(1)));
        }
    }

    fn current_is_none(&self) -> bool {
        self.run.current.borrow().as_ref().is_none_or(|cx| cx.task.rest.get() != Rest::Ready)
    }

    fn kill_all(self: &Rc<Self>) {
        let processes: Vec<_> = self.processes.borrow().values().cloned().collect();
        for process in processes {
            self.kill_group(&process, crate::signal::nr::KILL);
        }
        self.run.current.take();
    }

    fn describe_sleepers(&self) -> Vec<String> {
        let tasks = self.tasks.borrow();
        let describe = |task: &Rc<Task>| {
            let exe = String::from_utf8_lossy(&task.process.exe.borrow()).into_owned();
            let stopped = if task.halted.get() { ", stopped by a signal" } else { "" };
            format!(
                "task {} of {exe} in {}{stopped}",
                task.tid.get(),
                syscall::log::waiting_line(task.call.get(), |fd| self.descriptor_name(task, fd))
            )
        };
        tasks.values().map(describe).collect()
    }

    /// What stands at a descriptor: a path, or what kind of object it is.
    fn descriptor_name(&self, task: &Task, fd: i32) -> Option<String> {
        let known = task.files.borrow().get(fd).map(|open| open.file.name()).filter(|name| !name.is_empty());
        let name = known.or_else(|| self.files_of(task).proc_link(&format!("fd/{fd}")).ok())?;
        Some(String::from_utf8_lossy(&name).into_owned())
    }
}

/// A task has woken in a call: continues it.
fn wake_up(cx: &Cx) {
    let work = cx.task.work.borrow_mut().take();
    let Some(work) = work else {
        cx.task.rest.set(Rest::Ready);
        return;
    };
    if let Some(value) = syscall::dispatch::go_on(cx, work) {
        cx.task.guest.set_result(value);
    }
}

/// What Linux does on the way to guest code: a new task writes its id, and signals are delivered; `false` if they ended or stopped
/// the task.
fn before_run(cx: &Cx) -> bool {
    if cx.task.halted.get() {
        return false;
    }
    let place = cx.task.set_child_tid.take();
    if place != 0 {
        // Linux ignores a bad pointer, too.
        let _ = cx.write_u32(place, cx.task.tid.get().get());
    }
    if cx.task.looks_at_signals() {
        cx.kernel.deliver(cx);
    }
    cx.task.rest.get() == Rest::Ready && !cx.task.halted.get()
}
