//! proc(5): processes, and what proc says of the whole machine.
//!
//! The kernel's own state is the source of nearly all of it. Of the real `/proc` only memory maps, command line and environment are
//! read, which are part of a run.

mod magic_link;
pub mod maps;
pub mod pid;
pub mod system;
pub mod zombie;

pub use magic_link::{Destination, MagicLink};

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::{self, Inode, Source};
use crate::fs::static_tree::{self, Found, Row};
use crate::id::{Pid, Tid};
use crate::process::task::{Process, Task};
use alloc::{format, rc::Rc, string::String, vec::Vec};

/// A directory of proc.
#[derive(Clone, Debug)]
pub enum Dir {
    /// A directory of [`system::TREE`], by its path. The root has the processes as well.
    System(&'static str),
    /// `/proc/PID`, or one below its `task`.
    Task(Rc<Task>, Part),
    /// `fd` or, if the flag is set, `fdinfo` of a task.
    Descriptors(Rc<Task>, bool),
    /// `/proc/PID/task`.
    Threads(Rc<Process>),
    /// `/proc/PID` of a process that runs no program.
    Ended(Pid),
    /// `/proc/PID/net`.
    Net(Rc<Task>),
}

/// What of a process a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Process,
    /// One thread.
    Thread,
}

/// A file of proc.
#[derive(Clone, Debug)]
pub enum File {
    /// A file of [`system::TREE`].
    System(&'static Row),
    /// A file of a task.
    Task(&'static pid::Row, Rc<Task>, Part),
    /// A file of a process that runs no program.
    Ended(&'static zombie::Row, Pid),
    /// `/proc/PID/fdinfo/N`.
    Descriptor(Rc<Task>, i32),
}

/// What stands at `path` below the root.
pub fn lookup(cx: &Cx, path: &[u8]) -> Result<Inode, Errno> {
    let link = |text: String| Ok(Inode::Link(text.into_bytes()));
    match path {
        b"self" => return link(format!("{}", cx.process().pid)),
        b"thread-self" => return link(format!("{}/task/{}", cx.process().pid, cx.task.tid.get())),
        [b'0'..=b'9', ..] => return pid::lookup(cx, path),
        _ => {}
    }
    Ok(match system::TREE.lookup(path)? {
        Found::File(row) => Inode::File(Source::Proc(File::System(row))),
        Found::Directory(path) => Inode::Directory(generated::Dir::Proc(Dir::System(path))),
        Found::Link(to) => Inode::Link(to.as_bytes().to_vec()),
    })
}

fn effective(process: &Process) -> (u32, u32) {
    let credentials = process.credentials.borrow();
    (credentials.uid[1], credentials.gid[1])
}

impl Dir {
    pub(super) fn mode(&self) -> u32 {
        if let Dir::Descriptors(..) = self { 0o500 } else { 0o555 }
    }

    pub(super) fn owner(&self) -> (u32, u32) {
        match self {
            Dir::Task(task, _) | Dir::Descriptors(task, _) | Dir::Net(task) => effective(&task.process),
            Dir::Threads(process) => effective(process),
            Dir::System(_) | Dir::Ended(_) => (0, 0),
        }
    }

    pub(super) fn names(&self, cx: &Cx) -> Vec<String> {
        match self {
            Dir::System("") => {
                let mut names = system::TREE.names("");
                names.extend(["self", "thread-self"].map(String::from));
                names.sort_unstable();
                names.splice(..0, pid::pids(&cx.kernel).iter().map(|pid| format!("{pid}")));
                names
            }
            Dir::System(path) => system::TREE.names(path),
            Dir::Task(_, part) => pid::names(*part),
            Dir::Descriptors(task, _) => pid::descriptors(task).iter().map(|fd| format!("{fd}")).collect(),
            Dir::Threads(process) => {
                let mut tids: Vec<Tid> = process.tasks.borrow().iter().map(|task| task.tid.get()).collect();
                tids.sort_unstable();
                tids.iter().map(|tid| format!("{tid}")).collect()
            }
            Dir::Net(_) => pid::net_names(),
            Dir::Ended(_) => zombie::names(),
        }
    }
}

impl File {
    pub(super) fn mode(&self) -> u32 {
        match self {
            File::System(row) => row.mode,
            File::Task(row, ..) => row.mode,
            File::Ended(..) => 0o444,
            File::Descriptor(..) => 0o400,
        }
    }

    pub(super) fn owner(&self) -> (u32, u32) {
        match self {
            File::Task(_, task, _) | File::Descriptor(task, _) => effective(&task.process),
            File::System(_) | File::Ended(..) => (0, 0),
        }
    }

    pub(super) fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        match self {
            File::System(row) => Ok((row.make)(cx).into_bytes()),
            File::Task(row, task, part) if !task.is_gone() => (row.make)(cx, task, *part),
            File::Task(..) => Err(Errno::ESRCH),
            File::Ended(row, pid) => Ok((row.make)(cx, *pid).into_bytes()),
            File::Descriptor(task, fd) => pid::descriptor_info(cx, task, *fd),
        }
    }

    pub(super) fn write(&self, cx: &Cx, text: &[u8]) -> Result<(), Errno> {
        match self {
            File::Task(row, task, _) => pid::write(cx, row, task, text),
            File::System(row) => static_tree::write(cx, row, text),
            File::Ended(..) | File::Descriptor(..) => Err(Errno::EIO),
        }
    }
}
