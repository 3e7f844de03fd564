//! The working directory of a task: where relative paths begin, and getcwd(2). [`chdir`](super::chdir) changes it.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::filesystems;
use crate::fs::fs_struct::WorkingDirectory;
use crate::fs::host::has_name;
use crate::fs::inode::FileStat;
use crate::ports::{AT_FDCWD, NOFOLLOW};
use crate::process::task::Task;
use alloc::{rc::Rc, vec::Vec};

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
            let path: Rc<[u8]> = cx.kernel.files_of(task).proc_link("cwd")?.into();
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
pub(super) fn is_there(cx: &Cx, path: &[u8]) -> bool {
    matches!(filesystems::lookup(cx, path), Some(Ok(_)))
}

/// Whether the caller stands in the directory `path`, which looks like the path of one that has been removed.
fn stands_in(cx: &Cx, path: &[u8]) -> bool {
    let identity = |stat: Result<FileStat, Errno>| stat.ok().map(|stat| (stat.dev, stat.ino));
    let there = identity(cx.files().stat(AT_FDCWD, path, NOFOLLOW));
    there.is_some() && there == identity(cx.files().stat(AT_FDCWD, b".", 0))
}

/// The path that getcwd(2) returns; `None` if only Linux can say.
pub fn path(cx: &Cx) -> Result<Option<Rc<[u8]>>, Errno> {
    match of(cx, &cx.task) {
        Ok(Cwd::Generated(path)) if is_there(cx, &path) => Ok(Some(path)),
        Ok(Cwd::Generated(_)) => Err(Errno::ENOENT),
        Ok(Cwd::Real(path)) if has_name(&path) || stands_in(cx, &path) => Ok(Some(path)),
        Ok(Cwd::Real(_)) | Err(_) => Ok(None),
    }
}
