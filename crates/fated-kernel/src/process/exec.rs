//! exec: the program of a process is replaced (Linux: `fs/exec.c`).

use crate::cx::Cx;
use crate::fs::flock;
use crate::fs::locks::FileId;
use crate::ipc::futex::robust;
use crate::outcome::{Outcome, SysResult};
use crate::ports::Exec;
use crate::process::program::{Program, program};
use crate::process::task::AltStack;
use crate::signal::nr;
use alloc::{rc::Rc, vec::Vec};
use core::cell::RefCell;
use linux_raw_sys::general::AT_FDCWD;

/// What is to be started: the arguments of execveat(2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) dirfd: i32,
    /// The address of the path.
    pub(crate) path: u64,
    /// The address of the vector of arguments.
    pub(crate) argv: u64,
    /// The address of the vector of environment strings.
    pub(crate) envp: u64,
    /// `AT_EMPTY_PATH` and `AT_SYMLINK_NOFOLLOW`.
    pub(crate) flags: u32,
}

/// Starts another program in the calling process.
pub(crate) fn exec(cx: &Cx, request: Request) -> SysResult {
    let Request { dirfd, path: path_addr, argv, envp, flags } = request;
    let (kernel, task) = (&cx.kernel, &cx.task);
    let Program { name, path, path_addr, borrowed } = program(cx, dirfd, path_addr, flags)?;
    let exec = Exec { dirfd, path_addr, path, argv, envp, flags, random: kernel.auxv_random() };

    let alone = cx.process().tasks.borrow().len() == 1;
    let final_step = !alone || robust::holds_any(cx);
    if final_step {
        // From here on there is no way back: what can fail has to fail now.
        task.guest.check_exec(&exec)?;
        kernel.end_siblings(task);
        robust::release_all(cx);
    }
    let given_up = {
        let files = task.files.borrow();
        flock::given_up_by(cx, &files, files.closed_by_exec().into_iter())
    };
    if let Err(error) = task.guest.exec(&exec) {
        if !final_step {
            borrowed.into_iter().for_each(|memory| memory.restore(cx));
            return Err(error);
        }
        kernel.kill_group(cx.process(), nr::KILL);
        return Ok(Outcome::Away);
    }
    begin_program(cx, &name, given_up);
    Ok(Outcome::Resume)
}

/// What an exec changes in a process whose new program has been loaded (Linux: `begin_new_exec`).
fn begin_program(cx: &Cx, name: &[u8], given_up: Vec<FileId>) {
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
    process.timers.exec(kernel);
    process.settings.exec();
    if let Ok(exe) = task.guest.proc_link("exe") {
        *process.exe.borrow_mut() = exe;
    }
    hold_executable(cx);
    kernel.end_borrowing(process);
}

/// Takes note of the program that a process runs from now on.
pub(super) fn hold_executable(cx: &Cx) {
    let process = cx.process();
    // One without a name can't be opened by it.
    let real = cx.task.guest.stat(AT_FDCWD, &process.exe.borrow(), 0);
    process.executable.replace(real.ok().map(|real| cx.kernel.fs.running.begin(&real)));
}
