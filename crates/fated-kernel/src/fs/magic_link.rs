//! Links of `/proc/PID` that lead to an object rather than to a path (proc(5): "magic links"), and where they lead.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::cwd;
use crate::fs::file::OpenFile;
use crate::fs::generated::MagicLink;
use crate::fs::host::nameless::{is_nameless, virtual_name};
use crate::process::task::Task;
use alloc::{format, rc::Rc, vec::Vec};

/// Where a magic link leads.
#[derive(Debug)]
pub enum Destination {
    /// To a path.
    Path(Vec<u8>),
    /// To an object that the kernel knows.
    Open(Rc<OpenFile>),
    /// To the real file behind a descriptor of the caller.
    Descriptor(i32),
}

/// Follows a magic link.
pub fn follow(cx: &Cx, link: &MagicLink) -> Result<Destination, Errno> {
    match link {
        MagicLink::WorkingDirectory(task) => cwd::link_text(cx, task).map(Destination::Path),
        MagicLink::Path(task, name) => cx.kernel.files_of(task).proc_link(name).map(Destination::Path),
        MagicLink::Descriptor(task, fd) => match task.files.borrow().get(*fd) {
            Some(open) if !open.is_real() => Ok(Destination::Open(open)),
            _ if same_files(cx, task) => Ok(Destination::Descriptor(*fd)),
            _ => cx.kernel.files_of(task).proc_link(&format!("fd/{fd}")).map(Destination::Path),
        },
    }
}

/// readlink(2) of a magic link.
pub fn text(cx: &Cx, link: &MagicLink) -> Result<Vec<u8>, Errno> {
    match link {
        MagicLink::WorkingDirectory(task) => cwd::link_text(cx, task),
        MagicLink::Path(task, name) => cx.kernel.files_of(task).proc_link(name),
        MagicLink::Descriptor(task, fd) => match task.files.borrow().get(*fd) {
            Some(open) if !open.is_real() => Ok(open.file.name()),
            _ => real_name(cx, task, *fd),
        },
    }
}

/// The name of a real file. One that never had a name (`O_TMPFILE`) has a name made of its inode number, which is virtualized.
fn real_name(cx: &Cx, task: &Task, fd: i32) -> Result<Vec<u8>, Errno> {
    let name = cx.kernel.files_of(task).proc_link(&format!("fd/{fd}"))?;
    if !is_nameless(&name) {
        return Ok(name);
    }
    let real = task.guest.stat(fd, b"", 0)?;
    Ok(virtual_name(name, real.ino, cx.kernel.fs.number(real.dev, real.ino)))
}

fn same_files(cx: &Cx, task: &Rc<Task>) -> bool {
    Rc::ptr_eq(&*cx.task.files.borrow(), &*task.files.borrow())
}
