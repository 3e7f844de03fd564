//! The files that the kernel makes itself: `/proc`, `/sys` and `/dev`. Their contents come from the kernel's own state and
//! from fixed tables, so they are the same on every machine.
//!
//! `/dev/shm` is real.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs;
use crate::fs::devtmpfs::Device;
use crate::fs::dirent::{Entry, Listing};
use crate::fs::file::OpenFile;
use crate::fs::inode::FileStat;
use crate::fs::inode::{BLOCK_SIZE, device_number, kind};
use crate::fs::proc::{pid, system, zombie};
use crate::id::{Pid, Tid};
use crate::process::task::{Process, Task};
use alloc::{format, rc::Rc, string::String, vec::Vec};

/// `st_dev` of everything in `/proc`.
pub const PROC_DEV: u64 = device_number(0, 20);
/// The same of `/sys`.
pub const SYS_DEV: u64 = device_number(0, 21);

/// A generated file.
#[derive(Clone, Debug)]
pub enum Node {
    /// A directory.
    Directory(Dir),
    /// A file whose contents are made when it is read.
    File(Source),
    /// A link to a path.
    Link(Vec<u8>),
    /// A link that leads to an object rather than to a path.
    Jump(Jump),
    /// A device.
    Device(Device),
}

/// A generated directory.
#[derive(Clone, Debug)]
pub enum Dir {
    /// Of the tables in `system` and, in `/proc`, of processes.
    Table(Vec<u8>),
    /// `/dev`.
    Dev,
    /// `/proc/PID`, or below its `task`.
    Task(Rc<Task>, Part),
    /// `fd` and `fdinfo` of a task.
    Descriptors(Rc<Task>, bool),
    /// `/proc/PID/task`.
    Threads(Rc<Process>),
    /// `/proc/PID` of what runs no program.
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

/// Where the contents of a generated file come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A row of the system's table.
    System(&'static system::Row),
    /// A row of the table of processes, for a task.
    Task(&'static pid::Row, Rc<Task>, Part),
    /// A row for what runs no program.
    Ended(&'static zombie::Row, Pid),
    /// `/proc/PID/fdinfo/N`.
    Descriptor(Rc<Task>, i32),
}

/// A link that leads to an object.
#[derive(Clone, Debug)]
pub enum Jump {
    /// `/proc/PID/fd/N`.
    Descriptor(Rc<Task>, i32),
    /// `cwd`, `exe` and `root` of a task.
    Path(Rc<Task>, &'static str),
}

/// Where such a link lands.
#[derive(Debug)]
pub enum Landing {
    /// At a real path.
    Path(Vec<u8>),
    /// At an object that the kernel knows.
    Open(Rc<OpenFile>),
    /// At a real file behind a descriptor of the caller.
    Descriptor(i32),
}

/// Whether a path without links belongs to the generated ones.
#[must_use]
pub fn is_made(path: &[u8]) -> bool {
    let below = |root: &[u8]| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
    below(b"/proc") || below(b"/sys") || below(b"/dev") && !below(b"/dev/shm")
}

/// What stands at a generated path without links.
pub fn find(cx: &Cx, path: &[u8]) -> Result<Node, Errno> {
    if let Some(name) = path.strip_prefix(b"/dev") {
        return find_device(name.strip_prefix(b"/").unwrap_or(name));
    }
    match path.strip_prefix(b"/proc/") {
        Some(b"self") => return Ok(Node::Link(format!("{}", cx.process().pid).into_bytes())),
        Some(b"thread-self") => {
            let text = format!("{}/task/{}", cx.process().pid, cx.task.tid.get());
            return Ok(Node::Link(text.into_bytes()));
        }
        Some(rest) if rest.first().is_some_and(u8::is_ascii_digit) => return pid::find(cx, rest),
        _ => {}
    }
    system::find(path)
}

fn find_device(name: &[u8]) -> Result<Node, Errno> {
    Ok(match name {
        b"" => Node::Directory(Dir::Dev),
        b"fd" => Node::Link(b"/proc/self/fd".to_vec()),
        b"stdin" => Node::Link(b"/proc/self/fd/0".to_vec()),
        b"stdout" => Node::Link(b"/proc/self/fd/1".to_vec()),
        b"stderr" => Node::Link(b"/proc/self/fd/2".to_vec()),
        name => devtmpfs::named(name).map(Node::Device).ok_or(Errno::ENOENT)?,
    })
}

impl Jump {
    /// Where it leads.
    pub fn land(&self, cx: &Cx) -> Result<Landing, Errno> {
        match self {
            Jump::Path(task, name) => task.guest.proc_link(name).map(Landing::Path),
            Jump::Descriptor(task, fd) => match task.files.borrow().get(*fd) {
                Some(open) if !crate::fs::host::is_real(&open) => Ok(Landing::Open(open)),
                _ if same_files(cx, task) => Ok(Landing::Descriptor(*fd)),
                _ => task.guest.proc_link(&format!("fd/{fd}")).map(Landing::Path),
            },
        }
    }

    /// What readlink(2) says.
    pub fn text(&self) -> Result<Vec<u8>, Errno> {
        match self {
            Jump::Path(task, name) => task.guest.proc_link(name),
            Jump::Descriptor(task, fd) => match task.files.borrow().get(*fd) {
                Some(open) if !crate::fs::host::is_real(&open) => Ok(open.file.name()),
                _ => task.guest.proc_link(&format!("fd/{fd}")),
            },
        }
    }
}

fn same_files(cx: &Cx, task: &Rc<Task>) -> bool {
    Rc::ptr_eq(&*cx.task.files.borrow(), &*task.files.borrow())
}

impl Node {
    /// lstat(2).
    pub fn stat(&self, cx: &Cx, path: &[u8]) -> FileStat {
        let kernel = &cx.kernel;
        let dev = match path {
            [b'/', b'd', ..] => devtmpfs::DEV,
            [b'/', b's', ..] => SYS_DEV,
            _ => PROC_DEV,
        };
        let sys = dev == SYS_DEV;
        let (mode, nlink, size) = match self {
            Node::Device(device) => return device.stat(kernel),
            Node::Directory(dir) => (kind::DIRECTORY | dir.mode(), 2, 0),
            Node::File(source) => (kind::REGULAR | source.mode(), 1, if sys { 4096 } else { 0 }),
            Node::Link(to) => (kind::LINK | 0o777, 1, if dev == devtmpfs::DEV { to.len() as u64 } else { 0 }),
            Node::Jump(Jump::Path(..)) => (kind::LINK | 0o777, 1, 0),
            Node::Jump(Jump::Descriptor(task, fd)) => (kind::LINK | descriptor_mode(task, *fd), 1, 64),
        };
        let (uid, gid) = self.owner();
        let made = kernel.timers.of_uptime(0) as i64;
        FileStat {
            mode,
            nlink,
            uid,
            gid,
            dev,
            ino: number_of(path),
            size,
            blksize: if sys { BLOCK_SIZE } else { 1024 },
            atime_ns: made,
            mtime_ns: made,
            ctime_ns: made,
            btime_ns: None,
            ..FileStat::default()
        }
    }

    fn owner(&self) -> (u32, u32) {
        let task = match self {
            Node::Directory(Dir::Task(task, _) | Dir::Descriptors(task, _) | Dir::Net(task)) => task,
            Node::File(Source::Task(_, task, _) | Source::Descriptor(task, _)) => task,
            Node::Jump(Jump::Descriptor(task, _) | Jump::Path(task, _)) => task,
            Node::Directory(Dir::Threads(process)) => return effective(process),
            _ => return (0, 0),
        };
        effective(&task.process)
    }

    /// The kind for a directory's entry (`DT_*`).
    fn entry_kind(&self) -> u8 {
        match self {
            Node::Directory(_) => entry::DIRECTORY,
            Node::File(_) => entry::REGULAR,
            Node::Link(_) | Node::Jump(_) => entry::LINK,
            Node::Device(_) => entry::CHARACTER,
        }
    }
}

/// `DT_*` (readdir(3)).
pub mod entry {
    #![expect(missing_docs, reason = "the names are Linux's own")]
    pub const CHARACTER: u8 = 2;
    pub const DIRECTORY: u8 = 4;
    pub const REGULAR: u8 = 8;
    pub const LINK: u8 = 10;
}

fn effective(process: &Process) -> (u32, u32) {
    let credentials = process.credentials.borrow();
    (credentials.uid[1], credentials.gid[1])
}

/// A link's mode tells how the descriptor is open.
fn descriptor_mode(task: &Task, fd: i32) -> u32 {
    match task.files.borrow().get(fd) {
        Some(open) => (u32::from(open.readable()) * 0o500) | (u32::from(open.writable()) * 0o300),
        None => pid::real_flags(task, fd).map_or(0o700, |flags| [0o500, 0o300, 0o700, 0o700][flags as usize & 3]),
    }
}

/// The inode number of a generated path: nothing but the path decides it (FNV-1a).
#[must_use]
pub fn number_of(path: &[u8]) -> u64 {
    let mut hash: u32 = 0x811c_9dc5;
    for &byte in path {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    0x1_0000_0000 + u64::from(hash)
}

impl Dir {
    fn mode(&self) -> u32 {
        if let Dir::Descriptors(..) = self { 0o500 } else { 0o555 }
    }

    /// What is in it, `.` and `..` included.
    pub fn entries(&self, cx: &Cx, path: &[u8]) -> Listing {
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let parent = path.get(..end.max(1)).unwrap_or(path);
        let mut listing = Listing::default();
        let mut push = |name: &[u8], ino, kind| listing.push(Entry { name, ino, kind });
        push(b".", number_of(path), entry::DIRECTORY);
        push(b"..", number_of(parent), entry::DIRECTORY);
        for name in self.names(cx) {
            let whole = [path, b"/", name.as_bytes()].concat();
            if let Ok(node) = find(cx, &whole) {
                let ino = node.stat(cx, &whole).ino;
                push(name.as_bytes(), ino, node.entry_kind());
            } else if whole == b"/dev/shm" {
                push(b"shm", number_of(&whole), entry::DIRECTORY);
            }
        }
        listing
    }

    fn names(&self, cx: &Cx) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|&name| String::from(name)).collect::<Vec<_>>();
        match self {
            Dir::Table(path) => {
                let mut names = system::names(path);
                if path == b"/proc" {
                    names.extend(owned(&["self", "thread-self"]));
                    names.sort_unstable();
                    names.splice(..0, pid::pids(&cx.kernel).iter().map(|pid| format!("{pid}")));
                }
                names
            }
            Dir::Dev => {
                let mut names = owned(&["fd", "shm", "stderr", "stdin", "stdout"]);
                names.extend(devtmpfs::names().map(String::from));
                names.sort_unstable();
                names
            }
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

impl Source {
    fn mode(&self) -> u32 {
        match self {
            Source::System(row) => row.mode,
            Source::Task(row, ..) => row.mode,
            Source::Ended(..) => 0o444,
            Source::Descriptor(..) => 0o400,
        }
    }

    /// The contents now.
    pub fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        match self {
            Source::System(row) => Ok((row.make)(cx).into_bytes()),
            Source::Task(row, task, part) if !task.is_gone() => (row.make)(cx, task, *part),
            Source::Task(..) => Err(Errno::ESRCH),
            Source::Ended(row, pid) => Ok((row.make)(cx, *pid).into_bytes()),
            Source::Descriptor(task, fd) => pid::descriptor_info(cx, task, *fd),
        }
    }

    /// Writes `text`, where Linux lets one.
    pub fn write(&self, cx: &Cx, text: &[u8]) -> Result<(), Errno> {
        match self {
            Source::Task(row, task, _) => pid::write(cx, row, task, text),
            // A setting of the whole machine: only what stands there already can be set.
            Source::System(row) if row.mode & 0o200 != 0 => {
                let same = (row.make)(cx).as_bytes().trim_ascii() == text.trim_ascii();
                if same { Ok(()) } else { Err(Errno::EPERM) }
            }
            _ => Err(Errno::EIO),
        }
    }
}
