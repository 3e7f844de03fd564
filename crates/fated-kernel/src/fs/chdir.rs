//! chdir(2) and fchdir(2).

use crate::arch::Call;
use crate::cx::{Cx, PATH_MAX};
use crate::errno::Errno;
use crate::fs::cwd::is_there;
use crate::fs::directory::Directory;
use crate::fs::fs_struct::WorkingDirectory;
use crate::fs::generated::Inode;
use crate::fs::host::borrowed::Borrowed;
use crate::fs::host::carry_out::{PathArg, carry_out};
use crate::fs::host::has_name;
use crate::fs::namei::{Found, lookup};
use alloc::rc::Rc;
use linux_raw_sys::general::__NR_chdir;

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
        Found::Open(open) if open.downcast::<Directory>().is_some() && !open.is_real() => {
            enter_generated(cx, &target.path)
        }
        _ => Err(Errno::ENOTDIR),
    }
}

/// fchdir(2): `call` has the descriptor.
pub fn change_to_descriptor(cx: &Cx, call: Call) -> Result<u64, Errno> {
    match cx.raw_file(call.args[0] as i32) {
        Some(open) if !open.is_real() => {
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
