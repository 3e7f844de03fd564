//! The working directory: getcwd(2), chdir(2), fchdir(2), and where relative paths begin.

use crate::arch::Call;
use crate::cx::{Cx, PATH_MAX};
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::fs_struct::WorkingDirectory;
use crate::fs::generated::{self, Inode};
use crate::fs::host::carry_out::{Borrowed, PathArg, carry_out};
use crate::fs::host::is_real;
use crate::fs::namei::{Found, has_name, lookup};
use crate::process::task::Task;
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general::__NR_chdir;

/// Where a task stands.
#[derive(Debug)]
pub enum Cwd {
    /// In a real directory. Its path is what Linux says of it: one that has been removed has no name (`has_name`).
    Real(Rc<[u8]>),
    /// In a generated directory.
    Generated(Rc<[u8]>),
}

/// The working directory of `task`. A real one without a path is what Linux says of it: `ENAMETOOLONG`.
pub fn of(cx: &Cx, task: &Task) -> Result<Cwd, Errno> {
    let now = cx.kernel.fs.dcache.generation();
    let fs = task.fs.borrow();
    match fs.cwd() {
        WorkingDirectory::Generated(path) => Ok(Cwd::Generated(path)),
        WorkingDirectory::Real { path: Some(path), generation } if generation == now => Ok(Cwd::Real(path)),
        WorkingDirectory::Real { .. } => {
            let path: Rc<[u8]> = task.guest.proc_link("cwd")?.into();
            fs.set_cwd(WorkingDirectory::Real { path: Some(path.clone()), generation: now });
            Ok(Cwd::Real(path))
        }
    }
}

/// What `/proc/PID/cwd` of `task` links to.
pub fn link_text(cx: &Cx, task: &Task) -> Result<Vec<u8>, Errno> {
    match of(cx, task)? {
        Cwd::Real(path) => Ok(path.to_vec()),
        Cwd::Generated(path) if is_there(cx, &path) => Ok(path.to_vec()),
        Cwd::Generated(path) => Ok([&*path, b" (deleted)"].concat()),
    }
}

/// Whether a generated directory is still there: one of a process goes with it.
fn is_there(cx: &Cx, path: &[u8]) -> bool {
    matches!(generated::lookup(cx, path), Some(Ok(_)))
}

/// The path that getcwd(2) returns; `None` if only Linux can say.
pub fn path(cx: &Cx) -> Result<Option<Rc<[u8]>>, Errno> {
    match of(cx, &cx.task) {
        Ok(Cwd::Generated(path)) if is_there(cx, &path) => Ok(Some(path)),
        Ok(Cwd::Generated(_)) => Err(Errno::ENOENT),
        Ok(Cwd::Real(path)) if has_name(&path) => Ok(Some(path)),
        Ok(Cwd::Real(_)) | Err(_) => Ok(None),
    }
}

/// chdir(2): `call` has its path where `arg` says.
pub fn change(cx: &Cx, call: Call, arg: PathArg) -> Result<u64, Errno> {
    let target = lookup(cx, arg.dirfd(&call.args), &arg.read(cx, &call.args)?, true)?;
    match &target.found {
        Found::Real(_) => {
            let value = carry_out(cx, call, &[(arg, &target)])?;
            // Behind a magic link stands a file that may have another path.
            let known = !target.over_magic_link && has_name(&target.path) && target.path.len() < PATH_MAX;
            enter_real(cx, known.then(|| target.path.as_slice().into()));
            Ok(value)
        }
        Found::Generated(Inode::Directory(_)) => enter_generated(cx, &target.path),
        Found::Open(open) if open.downcast::<Directory>().is_some_and(|directory| !directory.is_real()) => {
            enter_generated(cx, &target.path)
        }
        _ => Err(Errno::ENOTDIR),
    }
}

/// fchdir(2): `call` has the descriptor.
pub fn change_to_descriptor(cx: &Cx, call: Call) -> Result<u64, Errno> {
    match cx.file(call.args[0] as i32) {
        Some(open) if !is_real(&open) => {
            let directory = open.downcast::<Directory>().ok_or(Errno::ENOTDIR)?;
            enter_generated(cx, directory.path())
        }
        open => {
            let value = cx.native(call.number, call.args)?;
            let directory = open.as_ref().and_then(|open| open.downcast::<Directory>()?.known_path(cx));
            enter_real(cx, directory.filter(|path| path.len() < PATH_MAX).map(Rc::from));
            Ok(value)
        }
    }
}

fn enter_real(cx: &Cx, path: Option<Rc<[u8]>>) {
    let generation = cx.kernel.fs.dcache.generation();
    cx.task.fs.borrow().set_cwd(WorkingDirectory::Real { path, generation });
}

/// The real process leaves the directory that it is in, as it would have if it could stand in the other one.
fn enter_generated(cx: &Cx, path: &[u8]) -> Result<u64, Errno> {
    if !is_there(cx, path) {
        return Err(Errno::ENOENT);
    }
    let memory = Borrowed::new(cx, b"/")?;
    let result = cx.native(__NR_chdir.into(), [memory.addr, 0, 0, 0, 0, 0]);
    memory.restore(cx);
    let value = result?;
    cx.task.fs.borrow().set_cwd(WorkingDirectory::Generated(path.into()));
    Ok(value)
}
