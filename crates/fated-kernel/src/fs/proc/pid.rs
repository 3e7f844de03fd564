//! `/proc/PID`: the files and directories of a process or of one thread of it (proc(5)). Ids, times and relations are the kernel's own.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::{Dir, Inode, MagicLink, Source, owner_of};
use crate::fs::proc::array::{Part, comm, comm_text, limits, stat, statm, status};
use crate::fs::proc::{fd, maps, zombie};
use crate::host::Kernel;
use crate::id::{Pid, Tid};
use crate::process::settings::Setting;
use crate::process::task::{Process, Task};
use alloc::{
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};

/// A file of a process.
struct Row {
    name: &'static str,
    /// Its permissions.
    mode: u32,
    /// Makes its contents.
    make: Make,
    /// Whether only the process as a whole has it.
    whole: bool,
}

/// Makes the contents of a file of a process.
type Make = fn(&Cx, &Rc<Task>, Part) -> Result<Vec<u8>, Errno>;

impl core::fmt::Debug for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! rows {
    ($($name:literal $mode:literal $make:expr $(, $whole:literal)?;)*) => {
        &[$(Row { name: $name, mode: $mode, make: $make, whole: false $(|| $whole)? }),*]
    };
}

fn text(text: impl Into<String>) -> Result<Vec<u8>, Errno> {
    Ok(text.into().into_bytes())
}

const ROWS: &[Row] = rows! {
    "auxv" 0o400 |_, task, _| task.guest.proc_file("auxv");
    "autogroup" 0o644 |_, _, _| text("/autogroup-1 nice 0\n"), true;
    "cgroup" 0o444 |_, _, _| text("0::/\n");
    "children" 0o444 |cx, task, _| text(children(cx, task));
    "cmdline" 0o444 |_, task, _| task.guest.proc_file("cmdline");
    "comm" 0o644 |_, task, _| Ok([comm(task).as_slice(), b"\n"].concat());
    "coredump_filter" 0o644 |_, _, _| text("00000033\n"), true;
    "cpuset" 0o444 |_, _, _| text("/\n");
    "environ" 0o400 |_, task, _| task.guest.proc_file("environ");
    "gid_map" 0o644 |_, _, _| text(ID_MAP);
    "io" 0o400 |_, _, _| text("rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
    "limits" 0o444 |_, task, _| text(limits(task));
    "loginuid" 0o644 |_, _, _| text("4294967295");
    "maps" 0o444 |cx, task, _| maps::maps(cx, task);
    "mountinfo" 0o444 |cx, _, _| text(cx.kernel.mounts.info());
    "mounts" 0o444 |cx, _, _| text(cx.kernel.mounts.table());
    "net/dev" 0o444 |_, _, _| text(NET_DEV);
    "net/if_inet6" 0o444 |_, _, _| text("00000000000000000000000000000001 01 80 10 80       lo\n");
    "net/route" 0o444 |_, _, _| text("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n");
    "net/tcp" 0o444 |_, _, _| text(NET_TCP);
    "net/tcp6" 0o444 |_, _, _| text(NET_TCP);
    "net/udp" 0o444 |_, _, _| text(NET_TCP);
    "net/udp6" 0o444 |_, _, _| text(NET_TCP);
    "net/unix" 0o444 |_, _, _| text("Num       RefCount Protocol Flags    Type St Inode Path\n");
    "oom_adj" 0o644 |_, task, _| text(format!("{}\n", oom_score_adj(task) * 17 / 1000));
    "oom_score" 0o444 |_, _, _| text("666\n");
    "oom_score_adj" 0o644 |_, task, _| text(format!("{}\n", oom_score_adj(task)));
    "personality" 0o400 |_, task, _| text(format!("{:08x}\n", task.process.settings.get(Setting::Personality)));
    "projid_map" 0o644 |_, _, _| text(ID_MAP);
    "sched" 0o644 |_, task, _| text(format!("{} ({}, #threads: {})\n", comm_text(task), task.tid.get(), task.process.tasks.borrow().len()));
    "schedstat" 0o444 |_, task, _| text(format!("{} 0 1\n", task.cpu_ns.get()));
    "sessionid" 0o444 |_, _, _| text("4294967295");
    "setgroups" 0o644 |_, _, _| text("allow\n");
    "smaps" 0o444 |cx, task, _| maps::smaps(cx, task, false);
    "smaps_rollup" 0o444 |cx, task, _| maps::smaps(cx, task, true);
    "stat" 0o444 |cx, task, part| text(stat(cx, task, part));
    "statm" 0o444 |_, task, _| text(statm(task));
    "status" 0o444 |cx, task, part| text(status(cx, task, part));
    "syscall" 0o400 |_, _, _| text("running\n");
    "timerslack_ns" 0o666 |_, task, _| text(format!("{}\n", task.timer_slack.get().now)), true;
    "uid_map" 0o644 |_, _, _| text(ID_MAP);
    "wchan" 0o444 |_, _, _| text("0");
};

const ID_MAP: &str = "         0          0 4294967295\n";
const NET_DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n";
const NET_TCP: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

/// The processes that `/proc` lists, in order.
#[must_use]
pub fn pids(kernel: &Kernel) -> Vec<Pid> {
    kernel.family.borrow().processes().collect()
}

/// A directory of a process.
#[derive(Debug)]
enum Directory {
    /// `/proc/PID`, or one below its `task`.
    Task(Rc<Task>, Part),
    /// `/proc/PID/task`.
    Threads(Rc<Process>),
    /// `/proc/PID/net`.
    Net(Rc<Task>),
}

impl Dir for Directory {
    fn owner(&self) -> (u32, u32) {
        match self {
            Directory::Task(task, _) | Directory::Net(task) => owner_of(&task.process),
            Directory::Threads(process) => owner_of(process),
        }
    }

    fn names(&self, _cx: &Cx) -> Vec<String> {
        match self {
            Directory::Task(_, part) => names(*part),
            Directory::Threads(process) => {
                let mut tids: Vec<Tid> = process.tasks.borrow().iter().map(|task| task.tid.get()).collect();
                tids.sort_unstable();
                tids.iter().map(|tid| format!("{tid}")).collect()
            }
            Directory::Net(_) => net_names(),
        }
    }
}

/// A file of a task.
#[derive(Debug)]
struct TaskFile(&'static Row, Rc<Task>, Part);

impl Source for TaskFile {
    fn mode(&self) -> u32 {
        self.0.mode
    }

    fn owner(&self) -> (u32, u32) {
        owner_of(&self.1.process)
    }

    fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        let TaskFile(row, task, part) = self;
        if task.is_gone() { Err(Errno::ESRCH) } else { (row.make)(cx, task, *part) }
    }

    fn write(&self, _cx: &Cx, text: &[u8]) -> Result<(), Errno> {
        write(self.0, &self.1, text)
    }
}

fn directory(dir: Directory) -> Inode {
    Inode::Directory(Rc::new(dir))
}

/// Splits the first component off a path.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = path.splitn(2, |&byte| byte == b'/');
    (parts.next().unwrap_or_default(), parts.next())
}

/// What stands at `path` below the root, which begins with a digit.
pub fn lookup(cx: &Cx, path: &[u8]) -> Result<Inode, Errno> {
    let (name, inside) = split(path);
    let Some(task) = task_of(cx, name) else {
        return zombie::lookup(cx, number(name).and_then(Pid::new).ok_or(Errno::ENOENT)?, inside);
    };
    match inside {
        None => Ok(directory(Directory::Task(task, Part::Process))),
        Some(b"task") => Ok(directory(Directory::Threads(task.process.clone()))),
        Some(inside) => match inside.strip_prefix(b"task/") {
            None => lookup_inside(&task, Part::Process, inside),
            Some(thread) => {
                let (thread, inside) = split(thread);
                let thread = number(thread).and_then(Tid::new).ok_or(Errno::ENOENT)?;
                let thread = cx.kernel.task(thread).filter(|it| Rc::ptr_eq(&it.process, &task.process));
                let thread = thread.ok_or(Errno::ENOENT)?;
                match inside {
                    None => Ok(directory(Directory::Task(thread, Part::Thread))),
                    Some(inside) => lookup_inside(&thread, Part::Thread, inside),
                }
            }
        },
    }
}

/// The task of that number; of a process whose leader has ended, another one.
fn task_of(cx: &Cx, name: &[u8]) -> Option<Rc<Task>> {
    let number = number(name)?;
    cx.kernel.task(Tid::new(number)?).or_else(|| cx.kernel.process(Pid::new(number)?)?.first_task())
}

/// A number as Linux writes it: without leading zeros.
fn number(name: &[u8]) -> Option<u32> {
    let plain = name.iter().all(u8::is_ascii_digit) && (name.len() == 1 || name.first() != Some(&b'0'));
    core::str::from_utf8(name).ok().filter(|_| plain)?.parse().ok()
}

fn lookup_inside(task: &Rc<Task>, part: Part, name: &[u8]) -> Result<Inode, Errno> {
    let link = |name| Ok(Inode::MagicLink(MagicLink::Path(task.clone(), name)));
    match name {
        b"fd" | b"fdinfo" => return Ok(fd::directory(task)),
        b"cwd" => return Ok(Inode::MagicLink(MagicLink::WorkingDirectory(task.clone()))),
        b"exe" => return link("exe"),
        b"root" => return link("root"),
        b"net" => return Ok(directory(Directory::Net(task.clone()))),
        _ => {}
    }
    let descriptor = |name: &[u8]| {
        let fd = number(name).and_then(|fd| i32::try_from(fd).ok()).ok_or(Errno::ENOENT)?;
        if fd::is_open(task, fd) { Ok(fd) } else { Err(Errno::ENOENT) }
    };
    if let Some(name) = name.strip_prefix(b"fd/") {
        return descriptor(name).map(|fd| Inode::MagicLink(MagicLink::Descriptor(task.clone(), fd)));
    }
    if let Some(name) = name.strip_prefix(b"fdinfo/") {
        return descriptor(name).map(|fd| fd::info_file(task, fd));
    }
    let row = ROWS.iter().find(|row| row.name.as_bytes() == name && (part == Part::Process || !row.whole));
    row.map(|row| Inode::File(Rc::new(TaskFile(row, task.clone(), part)))).ok_or(Errno::ENOENT)
}

/// The names in `/proc/PID`.
fn names(part: Part) -> Vec<String> {
    let rows = ROWS.iter().filter(|row| part == Part::Process || !row.whole).map(|row| row.name);
    let task = (part == Part::Process).then_some("task");
    let mut names: Vec<_> = rows
        .filter(|name| !name.contains('/'))
        .chain(["cwd", "exe", "fd", "fdinfo", "net", "root"])
        .chain(task)
        .map(ToString::to_string)
        .collect();
    names.sort_unstable();
    names
}

/// The names in `/proc/PID/net`.
fn net_names() -> Vec<String> {
    ROWS.iter().filter_map(|row| row.name.strip_prefix("net/")).map(ToString::to_string).collect()
}

fn children(cx: &Cx, task: &Task) -> String {
    let family = cx.kernel.family.borrow();
    family.children(task.tid.get()).map(|pid| format!("{pid} ")).collect()
}

fn oom_score_adj(task: &Task) -> i64 {
    task.process.settings.get(Setting::OomScoreAdj) as i64
}

/// Writes to a file of a process.
fn write(row: &Row, task: &Rc<Task>, bytes: &[u8]) -> Result<(), Errno> {
    let given = core::str::from_utf8(bytes.trim_ascii()).map_err(|_| Errno::EINVAL)?;
    let number = |low: i64, high: i64| {
        let value = given.parse::<i64>().map_err(|_| Errno::EINVAL)?;
        if (low..=high).contains(&value) { Ok(value) } else { Err(Errno::EINVAL) }
    };
    let value = match row.name {
        "comm" => {
            let mut name = [0; 16];
            let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            name.iter_mut().take(15).zip(line).for_each(|(to, from)| *to = *from);
            task.comm.set(name);
            return Ok(());
        }
        "oom_score_adj" => number(-1000, 1000)?,
        "oom_adj" => number(-17, 15)? * 1000 / 17,
        "timerslack_ns" => {
            let slack = given.parse::<u64>().map_err(|_| Errno::EINVAL)?;
            task.timer_slack.set(task.timer_slack.get().with(slack));
            return Ok(());
        }
        // Of no effect here.
        "coredump_filter" | "autogroup" | "sched" | "loginuid" => return Ok(()),
        _ => return Err(Errno::EPERM),
    };
    task.process.settings.set(Setting::OomScoreAdj, value as u64);
    Ok(())
}
