//! The end of tasks and processes: exit(2), exit_group(2), death by signal.

use crate::cx::Cx;
use crate::fs::fdtable::Files;
use crate::host::Kernel;
use crate::outcome::{Outcome, SysResult};
use crate::process::family::{ExitCode, Signal};
use crate::process::task::{Process, Task};
use crate::record::What;
use crate::sched::Rest;
use crate::syscall::Args;
use alloc::rc::Rc;

pub fn exit(cx: &Cx, a: Args) -> SysResult {
    // The log tells of the call before it tells of what it does.
    crate::syscall::dispatch::tell_log(cx, Ok(Outcome::Away));
    cx.kernel.exit_task(&cx.task, ExitCode::exited(a[0] as i32));
    Ok(Outcome::Away)
}

pub fn exit_group(cx: &Cx, a: Args) -> SysResult {
    crate::syscall::dispatch::tell_log(cx, Ok(Outcome::Away));
    cx.kernel.exit_group(cx.process(), ExitCode::exited(a[0] as i32));
    Ok(Outcome::Away)
}

impl Kernel {
    /// Kills a process by `signal`.
    pub(crate) fn kill_group(self: &Rc<Self>, process: &Rc<Process>, signal: i32) {
        // No core is written (RLIMIT_CORE is 0), so no status says that one was.
        let signal = Signal::new(signal as u32).unwrap_or(Signal::SIGKILL);
        self.exit_group(process, ExitCode::killed(signal, false));
    }

    /// Ends a process with all its tasks.
    pub(crate) fn exit_group(self: &Rc<Self>, process: &Rc<Process>, code: ExitCode) {
        if process.dying.replace(true) {
            return;
        }
        // The process lives as long as it has a task.
        let _ = self.family_event(|family, effects| family.set_group_exit(process.pid, code, effects));
        let tasks = process.tasks.borrow().clone();
        for task in &tasks {
            self.leave_memory(task);
        }
        if let Some(task) = tasks.first() {
            task.guest.exit_group();
        }
        for task in &tasks {
            self.end_task(task, code);
        }
    }

    /// Ends one task, and with the last one its process.
    fn exit_task(self: &Rc<Self>, task: &Rc<Task>, code: ExitCode) {
        self.leave_memory(task);
        task.guest.exit();
        self.end_task(task, code);
    }

    /// What a task leaves in memory that others may share: robust futexes, its cleared id.
    fn leave_memory(self: &Rc<Self>, task: &Rc<Task>) {
        let cx = Cx { kernel: self.clone(), task: task.clone() };
        crate::ipc::futex::robust::release_all(&cx);
        let address = task.clear_child_tid.take();
        if address != 0 && cx.write_u32(address, 0).is_ok() {
            crate::ipc::futex::wait_wake::wake_cleared_tid(&cx, address);
        }
    }

    /// The kernel's side of a task's end. Its real side has ended.
    pub(crate) fn end_task(self: &Rc<Self>, task: &Rc<Task>, code: ExitCode) {
        let process = &task.process;
        task.rest.set(Rest::Gone);
        // A call that it was in ends here; one that is being polled right now is dropped by its poll.
        drop(task.work.take());
        drop(task.files.replace(Rc::new(Files::default())));
        let tid = task.tid.get();
        process.tasks.borrow_mut().retain(|other| !Rc::ptr_eq(other, task));
        self.tasks.borrow_mut().remove(&tid);
        process.cpu_ns.set(process.cpu_ns.get() + task.cpu_ns.get());
        let last = process.tasks.borrow().is_empty();
        let fixed = self.family.borrow().group_exit(process.pid).unwrap_or(code);
        self.record(task, What::Exit { status: fixed.word() as i32 });
        if last {
            process.dying.set(true);
            process.timers.clear(self);
            process.executable.take();
            self.processes.borrow_mut().remove(&process.pid);
            self.fs.process_ended(self, process, task.comm.get());
            self.end_borrowing(process);
            self.disassociate_terminal(process.pid);
        }
        let usage = self.usage_of(task);
        // It was alive until now.
        let _ = self.family_event(|family, effects| family.exit_thread(tid, code, usage, effects));
        if last {
            process.ended.wake();
            self.locks.wake();
            self.process_ended(process.pid, fixed.word() as i32);
        }
    }

    /// A vfork child no longer uses its parent's memory.
    pub(crate) fn end_borrowing(&self, process: &Process) {
        if process.borrowing.replace(false) {
            process.released.wake();
        }
    }
}
