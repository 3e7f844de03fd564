//! exec: the program of a process is replaced (Linux: `fs/exec.c`).
//!
//! The kernel makes a [`plan`]; what can fail has failed before the process loses its other threads. The engine then replaces the real
//! program, and the kernel resets what belonged to the old one: handlers of signals, and
//! descriptors with the close-on-exec flag.

pub mod elf;
pub mod plan;
pub mod planner;
mod program;
pub mod script;
mod stand_in;
pub mod strings;

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::flock;
use crate::fs::inode::FileStat;
use crate::fs::locks::FileId;
use crate::fs::own_tmp::Tree;
use crate::ipc::futex::robust;
use crate::outcome::{Outcome, SysResult};
use crate::process::exec::plan::{Exec, ExecError, Plan, Request};
use crate::process::exec::planner::{Refusal, Rules, Target};
use crate::process::exec::strings::Strings;
use crate::process::task::AltStack;
use crate::signal::nr;
use alloc::{rc::Rc, vec::Vec};
use core::cell::RefCell;
use linux_raw_sys::general::{AT_FDCWD, RLIMIT_STACK};
use program::Program;
use stand_in::StandIn;

/// Starts another program in the calling process.
pub(crate) fn exec(cx: &Cx, request: Request) -> SysResult {
    let Program { name, path, path_addr, called, borrowed } =
        program::program(cx, request.dirfd, request.path, request.flags)?;
    let mut request = Request { path: path_addr, ..request };
    // Drawn whatever comes of it, so that what is drawn later doesn't depend on that.
    let random = cx.kernel.auxv_random();
    let mut stand_in = None;
    let result = plan(cx, &request, &path, called.clone()).and_then(|plan| {
        let real = plan.interpreter_path.as_ref().or(called.is_some().then_some(&path));
        if let Some(real) = real.filter(|_| cx.task.guest.has_linux_exec()) {
            stand_in = Some(StandIn::new(cx, &mut request, &plan, real).map_err(ExecError::Refused)?);
        }
        let size = plan.size();
        carry_out(cx, Exec { plan, request, random }).map(|given_up| (size, given_up))
    });
    match result {
        Ok((size, given_up)) => {
            stand_in.into_iter().for_each(|it| it.started(cx));
            begin_program(cx, &name, size, given_up);
            Ok(Outcome::Resume)
        }
        Err(ExecError::Refused(error)) => {
            stand_in.into_iter().for_each(|it| it.refused(cx));
            borrowed.into_iter().for_each(|memory| memory.restore(cx));
            Err(error)
        }
        Err(ExecError::Lost) => {
            kill(cx);
            Ok(Outcome::Away)
        }
    }
}

fn plan(cx: &Cx, request: &Request, path: &[u8], name: Option<Vec<u8>>) -> Result<Plan, ExecError> {
    let guest = &cx.task.guest;
    let target = Target { dirfd: request.dirfd, path: path.to_vec(), flags: request.flags, name };
    let strings = |name: &[u8]| {
        let stack = cx.process().limits.soft(RLIMIT_STACK);
        Strings::read(&**guest, request.argv, request.envp, stack, name)
    };
    planner::make(&**guest, cx, &target, strings).map_err(|refusal| {
        tell(cx, refusal, target.name.as_ref().unwrap_or(&target.path));
        ExecError::Refused(refusal.errno())
    })
}

impl Rules for Cx {
    fn locate(&self, path: &[u8]) -> Result<Target, Errno> {
        let target = crate::fs::namei::lookup(self, AT_FDCWD, path, true)?;
        target.real(Errno::EACCES)?;
        Ok(match target.tree {
            _ if !target.rewritten => Target::at(path),
            Tree::Host => Target::at(&target.path),
            Tree::Own(_) => Target { name: Some(path.to_vec()), ..Target::at(&self.kernel.mounts.real(&target.path)) },
        })
    }

    fn is_written(&self, file: &FileStat) -> bool {
        self.kernel.fs.written.has(file)
    }

    fn is_closed_on_exec(&self, fd: i32) -> bool {
        self.task.files.borrow().slot(fd).cloexec()
    }
}

/// Tells the user once for each program of an exec that failed because of what fated can't do.
fn tell(cx: &Cx, refusal: Refusal, path: &[u8]) {
    if let Some(line) = refusal.notice(path) {
        cx.kernel.notice_once(line);
    }
}

/// Leaves the old program and starts the new one. Returns the files whose locks go with the descriptors that it closes.
fn carry_out(cx: &Cx, exec: Exec) -> Result<Vec<FileId>, ExecError> {
    let (kernel, task) = (&cx.kernel, &cx.task);
    let alone = cx.process().tasks.borrow().len() == 1;
    // From here on there is no way back.
    let leaves = !alone || robust::holds_any(cx) || cx.process().borrowing.get() && task.clear_child_tid.get() != 0;
    if leaves {
        kernel.end_siblings(task);
        kernel.release_memory(task);
    }
    if !exec.plan.can_be_loaded() {
        return Err(ExecError::Lost);
    }
    let given_up = {
        let files = task.files.borrow();
        flock::given_up_by(cx, &files, files.closed_by_exec().into_iter())
    };
    if !cx.process().borrowing.get() {
        task.see_peak();
    }
    match task.guest.exec(exec) {
        Ok(()) => Ok(given_up),
        Err(ExecError::Refused(_)) if leaves => Err(ExecError::Lost),
        Err(error) => Err(error),
    }
}

/// Kills a process whose exec has failed behind the point of no return (Linux: `bprm_execve`).
fn kill(cx: &Cx) {
    let task = &cx.task;
    // They stood in memory that is gone.
    task.robust_list.set(0);
    task.clear_child_tid.set(0);
    let old = task.tid.get();
    // The caller is alive and not yet at exec; its other threads end with that.
    let _ = cx.kernel.family_event(|family, effects| family.exec(old, effects));
    cx.kernel.kill_group(cx.process(), nr::SEGV);
}

/// What an exec changes in a process whose new program has been loaded (Linux: `begin_new_exec`).
fn begin_program(cx: &Cx, name: &[u8], size: u64, given_up: Vec<FileId>) {
    let (kernel, task, process) = (&cx.kernel, &cx.task, cx.process());
    kernel.stats.program();
    let old = task.tid.get();
    // The caller is alive and not yet at exec.
    let _ = kernel.family_event(|family, effects| family.exec(old, effects));
    let actions = task.actions.borrow().clone();
    let mut fresh = actions.borrow().clone();
    fresh.reset_handlers();
    task.actions.replace(Rc::new(RefCell::new(fresh)));
    let files = task.files.borrow().clone();
    let files = if Rc::strong_count(&files) > 2 { files.copy() } else { files };
    files.close_on_exec();
    flock::give_up(cx, &files, given_up);
    drop(task.files.replace(files));
    kernel.locks.wake();
    task.altstack.set(AltStack::default());
    task.robust_list.set(0);
    task.clear_child_tid.set(0);
    task.restart.set(None);
    task.mm.set(kernel.new_mm());
    task.set_comm_from(name);
    process.execed.set(true);
    process.memory.exec(size);
    process.timers.exec(kernel);
    process.settings.exec();
    let mut credentials = process.credentials.borrow_mut();
    let uid = credentials.uid;
    credentials.caps.exec(&uid);
    drop(credentials);
    if let Ok(exe) = cx.files().proc_link("exe") {
        *process.exe.borrow_mut() = exe;
    }
    hold_executable(cx);
    kernel.end_borrowing(process);
}

/// Takes note of the program that a process runs from now on.
pub(super) fn hold_executable(cx: &Cx) {
    let process = cx.process();
    // One without a name can't be opened by it.
    let real = cx.files().stat(AT_FDCWD, &process.exe.borrow(), 0);
    process.executable.replace(real.ok().map(|real| cx.kernel.fs.running.begin(&real)));
}
