//! The end of tasks and processes: exit(2), exit_group(2), death by a signal, and the other threads of a process at exec (Linux:
//! `kernel/exit.c`).
//!
//! A task ends in three steps, in this order: it leaves its address space (`Kernel::release_memory`), its real task ends, and the kernel
//! forgets it (`Kernel::end_task`, or `Kernel::detach` where the family ends it by itself).

use crate::cx::Cx;
use crate::fs::file::Files;
use crate::host::Kernel;
use crate::ipc::futex::{robust, wait_wake};
use crate::process::family::{ExitCode, Signal};
use crate::process::settings::Setting;
use crate::process::task::Task;
use crate::process::thread_group::Process;
use crate::record::What;
use crate::sched::Rest;
use crate::signal::{Disposition, default_action};
use alloc::rc::Rc;
use linux_raw_sys::general::RLIMIT_CORE;

/// Whether Linux would write a core of the process, which its status then says. None is written: that is the real world's.
fn dumps_core(process: &Process) -> bool {
    /// The smallest core (`ELF_EXEC_PAGESIZE`).
    const SMALLEST: u64 = 4096;
    process.limits.soft(RLIMIT_CORE) >= SMALLEST && process.settings.get(Setting::Dumpable) == 1
}

impl Kernel {
    /// Kills a process by `signal`.
    pub(crate) fn kill_group(self: &Rc<Self>, process: &Rc<Process>, signal: i32) {
        let core = default_action(signal) == Disposition::Core && dumps_core(process);
        let signal = Signal::new(signal as u32).unwrap_or(Signal::SIGKILL);
        self.exit_group(process, ExitCode::killed(signal, core));
    }

    /// Ends a process with all its tasks.
    pub(crate) fn exit_group(self: &Rc<Self>, process: &Rc<Process>, code: ExitCode) {
        if process.dying.replace(true) {
            return;
        }
        // The process lives as long as it has a task.
        let _ = self.family_event(|family, effects| family.set_group_exit(process.pid, code, effects));
        let tasks = process.tasks.borrow().clone();
        if let Some(task) = tasks.first() {
            self.see_last_peak(task);
        }
        for task in &tasks {
            self.release_memory(task);
        }
        if let Some(task) = tasks.first() {
            task.guest.exit_group();
        }
        for task in &tasks {
            self.end_task(task, code);
        }
    }

    /// Ends one task, and with the last one its process.
    pub(crate) fn exit_task(self: &Rc<Self>, task: &Rc<Task>, code: ExitCode) {
        if task.process.tasks.borrow().len() == 1 {
            self.see_last_peak(task);
        }
        self.release_memory(task);
        task.guest.exit();
        self.end_task(task, code);
    }

    /// The memory of a process is about to go. That of a vfork child is its parent's, and once the run ends nobody asks.
    fn see_last_peak(&self, task: &Task) {
        if !task.process.borrowing.get() && !self.run.ending.get() {
            task.see_peak();
        }
    }

    /// Takes the other tasks of a process away before one of them execs. The family ends them when it hears of the exec.
    pub(crate) fn end_siblings(self: &Rc<Self>, survivor: &Rc<Task>) {
        let tasks = survivor.process.tasks.borrow().clone();
        for task in tasks.iter().filter(|task| !Rc::ptr_eq(task, survivor)) {
            self.release_memory(task);
            task.guest.exit();
            self.detach(task);
            // It is alive for the family until the exec.
            let _ = self.family.borrow_mut().set_usage(task.tid.get(), self.usage_of(task));
        }
    }

    /// A task leaves an address space that others may share: its robust futexes are given up, and its id is cleared (Linux:
    /// `mm_release`).
    pub(crate) fn release_memory(self: &Rc<Self>, task: &Rc<Task>) {
        let cx = Cx { kernel: self.clone(), task: task.clone() };
        robust::release_all(&cx);
        let address = task.clear_child_tid.take();
        if address != 0 && cx.write_u32(address, 0).is_ok() {
            wait_wake::wake_cleared_tid(&cx, address);
        }
    }

    /// A task is no longer one of the kernel's: it has neither a call nor descriptors, and nothing finds it.
    fn detach(&self, task: &Rc<Task>) {
        let process = &task.process;
        task.rest.set(Rest::Gone);
        // The call that it was in ends here. One that is being polled right now is dropped by its poll.
        drop(task.work.take());
        drop(task.files.replace(Rc::new(Files::default())));
        process.tasks.borrow_mut().retain(|other| !Rc::ptr_eq(other, task));
        self.tasks.borrow_mut().remove(&task.tid.get());
        let mut ended = process.ended_usage.get();
        ended.add(&self.usage_of(task));
        process.ended_usage.set(ended);
    }

    /// The end of a task whose real task has ended; with the last one, the end of its process.
    fn end_task(self: &Rc<Self>, task: &Rc<Task>, code: ExitCode) {
        let (process, tid) = (&task.process, task.tid.get());
        self.detach(task);
        let last = process.tasks.borrow().is_empty();
        let fixed = self.family.borrow().group_exit(process.pid).unwrap_or(code);
        self.record(task, What::Exit { status: fixed.word() as i32 });
        if last {
            process.dying.set(true);
            process.timers.clear(self);
            process.executable.take();
            self.processes.borrow_mut().remove(&process.pid);
            self.zombies.enter(&self.family.borrow(), process.pid, task.comm.get());
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

    /// A vfork child no longer uses the memory of its parent.
    pub(crate) fn end_borrowing(&self, process: &Process) {
        if process.borrowing.replace(false) {
            process.released.wake();
        }
    }
}
