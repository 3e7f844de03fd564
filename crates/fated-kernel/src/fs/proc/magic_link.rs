//! The links of `/proc/PID` that lead to an object rather than to a path (proc(5): "magic links").

use super::{effective, pid};
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::cwd;
use crate::fs::file::OpenFile;
use crate::fs::host::is_real;
use crate::process::task::Task;
use alloc::{format, rc::Rc, vec::Vec};

/// A magic link.
#[derive(Clone, Debug)]
pub enum MagicLink {
    /// `/proc/PID/fd/N`.
    Descriptor(Rc<Task>, i32),
    /// `cwd` of a task.
    WorkingDirectory(Rc<Task>),
    /// `exe` or `root` of a task.
    Path(Rc<Task>, &'static str),
}

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

impl MagicLink {
    /// Follows it.
    pub fn follow(&self, cx: &Cx) -> Result<Destination, Errno> {
        match self {
            MagicLink::WorkingDirectory(task) => cwd::link_text(cx, task).map(Destination::Path),
            MagicLink::Path(task, name) => task.guest.proc_link(name).map(Destination::Path),
            MagicLink::Descriptor(task, fd) => match task.files.borrow().get(*fd) {
                Some(open) if !is_real(&open) => Ok(Destination::Open(open)),
                _ if same_files(cx, task) => Ok(Destination::Descriptor(*fd)),
                _ => task.guest.proc_link(&format!("fd/{fd}")).map(Destination::Path),
            },
        }
    }

    /// readlink(2).
    pub fn text(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        match self {
            MagicLink::WorkingDirectory(task) => cwd::link_text(cx, task),
            MagicLink::Path(task, name) => task.guest.proc_link(name),
            MagicLink::Descriptor(task, fd) => match task.files.borrow().get(*fd) {
                Some(open) if !is_real(&open) => Ok(open.file.name()),
                _ => task.guest.proc_link(&format!("fd/{fd}")),
            },
        }
    }

    /// Its permissions. Those of a descriptor tell how it is open.
    pub(in crate::fs) fn mode(&self) -> u32 {
        let MagicLink::Descriptor(task, fd) = self else { return 0o777 };
        match task.files.borrow().get(*fd) {
            Some(open) => (u32::from(open.readable()) * 0o500) | (u32::from(open.writable()) * 0o300),
            None => pid::real_flags(task, *fd).map_or(0o700, |flags| [0o500, 0o300, 0o700, 0o700][flags as usize & 3]),
        }
    }

    /// `st_size`, which Linux makes up.
    pub(in crate::fs) fn size(&self) -> u64 {
        if let MagicLink::Descriptor(..) = self { 64 } else { 0 }
    }

    pub(in crate::fs) fn owner(&self) -> (u32, u32) {
        let (MagicLink::Descriptor(task, _) | MagicLink::Path(task, _) | MagicLink::WorkingDirectory(task)) = self;
        effective(&task.process)
    }
}

fn same_files(cx: &Cx, task: &Rc<Task>) -> bool {
    Rc::ptr_eq(&*cx.task.files.borrow(), &*task.files.borrow())
}
