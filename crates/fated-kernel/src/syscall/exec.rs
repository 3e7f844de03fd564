//! execve(2) and execveat(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::{Outcome, SysResult};
use crate::ports::Exec;
use crate::process::task::{AltStack, Task};
use crate::sched::Rest;
use crate::signal::nr;
use crate::syscall::Args;
use alloc::rc::Rc;
use core::cell::RefCell;
use linux_raw_sys::general::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};

pub fn execve(cx: &Cx, a: Args) -> SysResult {
    exec(cx, AT_FDCWD, a[0], a[1], a[2], 0)
}

pub fn execveat(cx: &Cx, a: Args) -> SysResult {
    let flags = a[4] as u32;
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    exec(cx, a[0] as i32, a[1], a[2], a[3], flags)
}

fn exec(cx: &Cx, dirfd: i32, path_addr: u64, argv: u64, envp: u64, flags: u32) -> SysResult {
    let (kernel, task) = (&cx.kernel, &cx.task);
    let crate::syscall::path::Program { name, path, path_addr, borrowed } =
        crate::syscall::path::program(cx, dirfd, path_addr, flags)?;
    let exec = Exec { dirfd, path_addr, path, argv, envp, flags, random: kernel.auxv_random() };

    let others: alloc::vec::Vec<Rc<Task>> =
        cx.process().tasks.borrow().iter().filter(|other| !Rc::ptr_eq(other, task)).cloned().collect();
    let final_step = !others.is_empty() || crate::ipc::futex::robust::holds_any(cx);
    if final_step {
        // Past this point there is no way back: what can fail has to fail now.
        task.guest.check_exec(&exec)?;
        others.iter().for_each(|other| leave(cx, other));
        crate::ipc::futex::robust::release_all(cx);
    }
    if let Err(error) = task.guest.exec(&exec) {
        if !final_step {
            borrowed.into_iter().for_each(|memory| memory.restore(cx));
            return Err(error);
        }
        kernel.kill_group(cx.process(), nr::KILL);
        return Ok(Outcome::Away);
    }

    kernel.stats.program();
    let old = task.tid.get();
    // The caller is alive and not yet at exec.
    let _ = kernel.family_event(|family, effects| family.exec(old, effects));
    let new = cx.process().pid.into();
    if old != new {
        let mut tasks = kernel.tasks.borrow_mut();
        tasks.remove(&old);
        tasks.insert(new, task.clone());
        task.tid.set(new);
    }
    let actions = task.actions.borrow().clone();
    let mut fresh = actions.borrow().clone();
    fresh.reset_handlers();
    task.actions.replace(Rc::new(RefCell::new(fresh)));
    let files = task.files.borrow().clone();
    let files = if Rc::strong_count(&files) > 2 { files.copy() } else { files };
    files.close_on_exec();
    drop(task.files.replace(files));
    kernel.locks.wake();
    task.altstack.set(AltStack::default());
    task.robust_list.set(0);
    task.clear_child_tid.set(0);
    task.restart.set(None);
    task.mm.set(kernel.new_mm());
    task.set_comm_from(&name);
    let process = cx.process();
    process.execed.set(true);
    process.timers.exec(kernel);
    crate::syscall::prctl::exec(process);
    if let Ok(exe) = task.guest.proc_link("exe") {
        *process.exe.borrow_mut() = exe;
    }
    hold_executable(cx);
    kernel.end_borrowing(process);
    Ok(Outcome::Resume)
}

/// Takes note of the program that a process runs from now on.
pub(super) fn hold_executable(cx: &Cx) {
    let process = cx.process();
    // One without a name can't be opened by it.
    let real = cx.task.guest.stat(AT_FDCWD, &process.exe.borrow(), 0);
    process.executable.replace(real.ok().map(|real| cx.kernel.fs.running.begin(&real)));
}

/// Another thread of a process at exec ends. fated-wait ends it by itself.
fn leave(cx: &Cx, other: &Rc<Task>) {
    crate::ipc::futex::robust::release_all(&Cx { kernel: cx.kernel.clone(), task: other.clone() });
    other.rest.set(Rest::Gone);
    drop(other.work.take());
    other.guest.exit();
    drop(other.files.take());
    cx.process().tasks.borrow_mut().retain(|task| !Rc::ptr_eq(task, other));
    cx.kernel.tasks.borrow_mut().remove(&other.tid.get());
    cx.process().cpu_ns.set(cx.process().cpu_ns.get() + other.cpu_ns.get());
}
