//! Sending signals: to a task, a process, a group.

use crate::cx::Cx;
use crate::host::Kernel;
use crate::id::Pgid;
use crate::process::limits::INFINITY;
use crate::process::task::{Process, Task};
use crate::sched::Woken;
use crate::signal::kill::from_caller;
use crate::signal::{Action, Disposition, SI_TIMER, SI_USER, SigInfo, SigSet, default_action, nr};
use alloc::rc::Rc;
use linux_raw_sys::general::RLIMIT_SIGPENDING;

impl Kernel {
    /// Sends to one task (tkill). `false` if its queue is full.
    pub fn send_to_task(self: &Rc<Self>, task: &Rc<Task>, info: SigInfo) -> bool {
        if !self.prepare(&task.process, info.signal()) || self.is_dropped(task, info.signal()) {
            return true;
        }
        let queued = task.pending.add(info, self.has_room(&task.process, &info));
        self.complete_signal(task, info.signal());
        task.process.signalled.wake();
        queued
    }

    /// Sends to a process (kill). `false` if its queue is full.
    pub fn send_to_process(self: &Rc<Self>, process: &Rc<Process>, info: SigInfo) -> bool {
        let signal = info.signal();
        let Some(first) = process.first_task() else { return true };
        if !self.prepare(process, signal) || self.is_dropped(&first, signal) {
            return true;
        }
        let queued = process.pending.add(info, self.has_room(process, &info));
        let wants = |task: &&Rc<Task>| !task.mask.get().has(signal);
        let tasks = process.tasks.borrow().clone();
        let waiter = tasks.iter().find(|task| task.sigwait.get().has(signal));
        if let Some(task) = tasks.iter().find(wants).or(waiter) {
            self.complete_signal(task, signal);
        }
        process.signalled.wake();
        queued
    }

    /// Sends to all processes of a group, in the order of their ids.
    pub fn send_to_group(self: &Rc<Self>, group: Pgid, info: SigInfo) {
        for pid in self.group_members(group) {
            if let Some(process) = self.process(pid) {
                self.send_to_process(&process, info);
            }
        }
    }

    /// Sends a signal that an instruction of the task raised. If it is blocked or ignored, the process dies of it.
    pub fn force_signal(self: &Rc<Self>, task: &Rc<Task>, info: SigInfo) {
        let signal = info.signal();
        let actions = task.actions.borrow().clone();
        let blocked = task.mask.get().has(signal);
        if blocked || actions.borrow().get(signal).handler == 1 {
            actions.borrow_mut().set(signal, Action::default());
            task.set_mask(task.mask.get().without(SigSet::of(&[signal])));
        }
        task.pending.add(info, true);
    }

    /// How many signals are pending for the processes of a user.
    pub(crate) fn queued_signals(&self, uid: u32) -> usize {
        let processes = self.processes.borrow();
        let of_user = processes.values().filter(|process| process.credentials.borrow().uid[0] == uid);
        let counted = |process: &Rc<Process>| {
            let tasks = process.tasks.borrow();
            process.pending.counted() + tasks.iter().map(|task| task.pending.counted()).sum::<usize>()
        };
        of_user.map(counted).sum()
    }

    /// Whether the receiver's limit leaves room for what a signal tells. Standard signals of the kernel and of kill(2) always have it,
    /// and those of timers have a place in reserve.
    fn has_room(&self, to: &Process, info: &SigInfo) -> bool {
        let limit = to.limits.soft(RLIMIT_SIGPENDING);
        let reserved = info.signal() < 32 && info.code() >= SI_USER || info.code() == SI_TIMER;
        reserved || limit == INFINITY || (self.queued_signals(to.credentials.borrow().uid[0]) as u64) < limit
    }

    /// What a signal does when it is sent, whoever takes it later: SIGCONT continues the process, and SIGCONT and stop signals cancel
    /// each other. `false` if the process is dying and takes no signals.
    fn prepare(self: &Rc<Self>, process: &Rc<Process>, signal: i32) -> bool {
        if process.dying.get() {
            return false;
        }
        let remove = match signal {
            nr::CONT => SigSet::STOPS,
            signal if SigSet::STOPS.has(signal) => SigSet::of(&[nr::CONT]),
            _ => SigSet::EMPTY,
        };
        if !remove.is_empty() {
            process.pending.remove(remove);
            process.tasks.borrow().iter().for_each(|task| task.pending.remove(remove));
        }
        if signal == nr::CONT {
            self.continue_group(process);
        }
        true
    }

    /// Whether it never becomes pending: it is ignored and not blocked. A blocked one becomes pending, since the action may change.
    fn is_dropped(&self, task: &Task, signal: i32) -> bool {
        let blocked = task.mask.get().has(signal) || task.sigwait.get().has(signal);
        !blocked && task.actions.borrow().borrow().ignores(signal)
    }

    /// A signal has become pending that `task` may take: wakes the task, or ends its process if that is all the signal does.
    fn complete_signal(self: &Rc<Self>, task: &Rc<Task>, signal: i32) {
        let fatal = self.is_fatal(task, signal);
        let stopped = task.halted.get() && signal != nr::KILL;
        if fatal && !stopped && !self.is_current(task) {
            // No guest code of it will run again, so it dies without waiting for its turn. A stopped one dies once it is continued.
            self.kill_group(&task.process, signal);
            return;
        }
        if task.sigwait.get().has(signal) || !task.mask.get().has(signal) {
            self.wake(task, Woken::Signal);
        }
    }

    fn is_fatal(&self, task: &Task, signal: i32) -> bool {
        let action = task.actions.borrow().borrow().get(signal);
        let fatal = matches!(default_action(signal), Disposition::Terminate | Disposition::Core);
        signal == nr::KILL
            || (action.handler == 0 && fatal && !task.mask.get().has(signal) && !task.sigwait.get().has(signal))
    }

    fn continue_group(self: &Rc<Self>, process: &Process) {
        // A process that has ended is not continued.
        let _ = self.family_event(|family, effects| family.continue_group(process.pid, effects));
    }
}

impl Cx {
    /// SIGPIPE for the caller, which has written where nobody reads any more.
    pub(crate) fn send_sigpipe(&self) {
        self.kernel.send_to_task(&self.task, from_caller(self, nr::PIPE, SI_USER));
    }
}
