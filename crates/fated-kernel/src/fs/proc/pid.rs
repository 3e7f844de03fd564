//! `/proc/PID`: what one process, or one thread of it, is and has (proc(5)). Ids, times and relations are the kernel's own.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::cpumask;
use crate::fs::descriptors::{settle, slot_of};
use crate::fs::generated::{self, Inode, Source};
use crate::fs::proc::{Dir, File, MagicLink, Part, maps, zombie};
use crate::host::Kernel;
use crate::id::{Pid, Tid};
use crate::process::limits::{INFINITY, Resource};
use crate::process::settings::Setting;
use crate::process::task::Task;
use crate::sched::Rest;
use crate::signal::SigSet;
use crate::time::timers::SECOND;
use alloc::{
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write as _;
use linux_raw_sys::general::RLIMIT_SIGPENDING;

/// A file of a process.
pub struct Row {
    name: &'static str,
    /// Its permissions.
    pub mode: u32,
    /// Makes its contents.
    pub make: Make,
    /// Whether only the process as a whole has it.
    whole: bool,
}

/// Makes the contents of a file of a process.
pub type Make = fn(&Cx, &Rc<Task>, Part) -> Result<Vec<u8>, Errno>;

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
    "statm" 0o444 |cx, task, _| text(statm(cx, task));
    "status" 0o444 |cx, task, part| text(status(cx, task, part));
    "syscall" 0o400 |_, _, _| text("running\n");
    "timerslack_ns" 0o666 |_, _, _| text("50000\n"), true;
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

fn directory(dir: Dir) -> Inode {
    Inode::Directory(generated::Dir::Proc(dir))
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
        None => Ok(directory(Dir::Task(task, Part::Process))),
        Some(b"task") => Ok(directory(Dir::Threads(task.process.clone()))),
        Some(inside) => match inside.strip_prefix(b"task/") {
            None => lookup_inside(&task, Part::Process, inside),
            Some(thread) => {
                let (thread, inside) = split(thread);
                let thread = number(thread).and_then(Tid::new).ok_or(Errno::ENOENT)?;
                let thread = cx.kernel.task(thread).filter(|it| Rc::ptr_eq(&it.process, &task.process));
                let thread = thread.ok_or(Errno::ENOENT)?;
                match inside {
                    None => Ok(directory(Dir::Task(thread, Part::Thread))),
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
        b"fd" => return Ok(directory(Dir::Descriptors(task.clone(), false))),
        b"fdinfo" => return Ok(directory(Dir::Descriptors(task.clone(), true))),
        b"cwd" => return Ok(Inode::MagicLink(MagicLink::WorkingDirectory(task.clone()))),
        b"exe" => return link("exe"),
        b"root" => return link("root"),
        b"net" => return Ok(directory(Dir::Net(task.clone()))),
        _ => {}
    }
    let descriptor = |name: &[u8]| {
        let fd = number(name).and_then(|fd| i32::try_from(fd).ok()).ok_or(Errno::ENOENT)?;
        if is_open(task, fd) { Ok(fd) } else { Err(Errno::ENOENT) }
    };
    let file = |file| Inode::File(Source::Proc(file));
    if let Some(name) = name.strip_prefix(b"fd/") {
        return descriptor(name).map(|fd| Inode::MagicLink(MagicLink::Descriptor(task.clone(), fd)));
    }
    if let Some(name) = name.strip_prefix(b"fdinfo/") {
        return descriptor(name).map(|fd| file(File::Descriptor(task.clone(), fd)));
    }
    let row = ROWS.iter().find(|row| row.name.as_bytes() == name && (part == Part::Process || !row.whole));
    row.map(|row| file(File::Task(row, task.clone(), part))).ok_or(Errno::ENOENT)
}

/// The names in `/proc/PID`.
#[must_use]
pub fn names(part: Part) -> Vec<String> {
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
#[must_use]
pub fn net_names() -> Vec<String> {
    ROWS.iter().filter_map(|row| row.name.strip_prefix("net/")).map(ToString::to_string).collect()
}

fn is_open(task: &Task, fd: i32) -> bool {
    !slot_of(task, fd).is_free()
}

/// The open descriptors of a task, in order.
#[must_use]
pub fn descriptors(task: &Task) -> Vec<i32> {
    settle(task);
    task.files.borrow().numbers()
}

/// `/proc/PID/fdinfo/N`.
pub fn descriptor_info(cx: &Cx, task: &Task, fd: i32) -> Result<Vec<u8>, Errno> {
    let known = task.files.borrow().get(fd);
    match known {
        Some(open) if !crate::fs::host::is_real(&open) => {
            let ino = open.file.stat(cx).map_or(0, |stat| stat.ino);
            text(format!("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t1\nino:\t{ino}\n", open.position.get(), open.flags.get()))
        }
        _ => {
            let real = task.guest.stat(fd, b"", 0)?;
            let ino = cx.kernel.fs.virtualized(&cx.kernel, &real).ino;
            let info = task.guest.proc_file(&format!("fdinfo/{fd}"))?;
            let mut shown = String::new();
            for line in String::from_utf8_lossy(&info).lines() {
                let _ = match line.split_once(':') {
                    Some(("pos" | "flags", _)) => writeln!(shown, "{line}"),
                    Some(("mnt_id", _)) => writeln!(shown, "mnt_id:\t1"),
                    Some(("ino", _)) => writeln!(shown, "ino:\t{ino}"),
                    _ => Ok(()),
                };
            }
            text(shown)
        }
    }
}

/// The flags of a descriptor that only Linux knows.
#[must_use]
pub fn real_flags(task: &Task, fd: i32) -> Option<u32> {
    let info = task.guest.proc_file(&format!("fdinfo/{fd}")).ok()?;
    let text = String::from_utf8_lossy(&info).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(value.trim(), 8).ok()
}

fn comm(task: &Task) -> Vec<u8> {
    task.comm.get().iter().copied().take_while(|&byte| byte != 0).collect()
}

fn comm_text(task: &Task) -> String {
    String::from_utf8_lossy(&comm(task)).into_owned()
}

fn children(cx: &Cx, task: &Task) -> String {
    let family = cx.kernel.family.borrow();
    family.children(task.tid.get()).map(|pid| format!("{pid} ")).collect()
}

fn oom_score_adj(task: &Task) -> i64 {
    task.process.settings.get(Setting::OomScoreAdj) as i64
}

/// Writes to a file of a process.
pub fn write(_cx: &Cx, row: &Row, task: &Rc<Task>, bytes: &[u8]) -> Result<(), Errno> {
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
        // Of no effect here.
        "timerslack_ns" | "coredump_filter" | "autogroup" | "sched" | "loginuid" => return Ok(()),
        _ => return Err(Errno::EPERM),
    };
    task.process.settings.set(Setting::OomScoreAdj, value as u64);
    Ok(())
}

fn limits(task: &Task) -> String {
    let show = |value: u64| if value == INFINITY { "unlimited".to_string() } else { value.to_string() };
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (Resource { name, unit, .. }, limit) in task.process.limits.rows() {
        let _ = writeln!(text, "{name:<25} {:<20} {:<20} {unit:<10}", show(limit.soft), show(limit.hard));
    }
    text
}

/// How others stand to a process.
struct Relations {
    parent: u32,
    group: u32,
    session: u32,
    tracer: u32,
}

fn relations(cx: &Cx, task: &Task) -> Relations {
    let family = cx.kernel.family.borrow();
    let tid = task.tid.get();
    Relations {
        parent: family.parent(tid).map_or(0, Pid::get),
        group: family.pgid(tid).map_or(0, |group| group.get()),
        session: family.sid(tid).map_or(0, |session| session.get()),
        tracer: family.trace(tid).map_or(0, |trace| trace.tracer.get()),
    }
}

fn state(cx: &Cx, task: &Rc<Task>) -> (char, &'static str) {
    match task.rest.get() {
        _ if task.halted.get() => ('T', "stopped"),
        Rest::Gone => ('Z', "zombie"),
        Rest::Asleep { .. } => ('S', "sleeping"),
        _ if Rc::ptr_eq(task, &cx.task) => ('R', "running"),
        // One runs at a time; the others that could are asleep to one who looks.
        _ => ('S', "sleeping"),
    }
}

/// Caught and ignored signals.
fn dispositions(task: &Task) -> (u64, u64) {
    let actions = task.actions.borrow().clone();
    let actions = actions.borrow();
    let (mut caught, mut ignored) = (0, 0);
    for signal in 1..=64 {
        let bit = 1 << (signal - 1);
        match actions.get(signal).handler {
            0 => {}
            1 => ignored |= bit,
            _ => caught |= bit,
        }
    }
    (caught, ignored)
}

fn bits(set: SigSet) -> u64 {
    set.0
}

fn cpu_ns(task: &Task, part: Part) -> u64 {
    if part == Part::Process { task.process.total_cpu_ns() } else { task.cpu_ns.get() }
}

fn stat(cx: &Cx, task: &Rc<Task>, part: Part) -> String {
    const TICK: u64 = SECOND / 100;
    let process = &task.process;
    let Relations { parent, group, session, .. } = relations(cx, task);
    let sizes = maps::sizes(cx, task);
    let (caught, ignored) = dispositions(task);
    let booted = cx.kernel.timers.of_uptime(0);
    let nice = process.nice.get();
    let id = if part == Part::Process { process.pid.get() } else { task.tid.get().get() };
    // Where code, data, stack, arguments and environment lie: Linux knows it, and it is the same in every run.
    let real = task.guest.proc_file("stat").unwrap_or_default();
    let real = String::from_utf8_lossy(&real).into_owned();
    let fields: Vec<_> = real.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
    let addresses = |numbers: core::ops::RangeInclusive<usize>| {
        // The third field is the first one behind the name.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or("0");
        numbers.map(field).collect::<Vec<_>>().join(" ")
    };
    let terminal = cx.kernel.terminal.session().is_some_and(|controlled| controlled.get() == session);
    let tty = if terminal { TTY } else { 0 };
    let foreground = cx.kernel.terminal.foreground().filter(|_| terminal).map_or(-1, |it| i64::from(it.get()));
    let pending = if part == Part::Process { process.pending.set() } else { task.pending.set() };
    format!(
        "{id} ({}) {} {parent} {group} {session} {tty} {foreground} 4194304 0 0 0 0 {} 0 0 0 {} {nice} {} 0 {} {} {} \
         18446744073709551615 {} 0 0 {} {} {ignored} {caught} 0 0 0 17 0 0 0 0 0 0 {} 0\n",
        comm_text(task),
        state(cx, task).0,
        cpu_ns(task, part) / TICK,
        20 + nice,
        process.tasks.borrow().len(),
        process.started_ns.saturating_sub(booted) / TICK,
        sizes.total,
        sizes.resident / 4096,
        addresses(26..=28),
        bits(pending),
        bits(task.mask.get()),
        addresses(45..=51),
    )
}

/// `tty_nr` of a session with a terminal: `/dev/tty`'s own number.
const TTY: u64 = crate::fs::inode::device_number(5, 0);

fn statm(cx: &Cx, task: &Task) -> String {
    let sizes = maps::sizes(cx, task);
    let pages = |bytes: u64| bytes / 4096;
    let data = pages(sizes.data + sizes.stack);
    format!("{} {} 0 {} 0 {data} 0\n", pages(sizes.total), pages(sizes.resident), pages(sizes.text))
}

fn status(cx: &Cx, task: &Rc<Task>, part: Part) -> String {
    let process = &task.process;
    let Relations { parent, tracer, group, session } = relations(cx, task);
    let credentials = process.credentials.borrow().clone();
    let ids = |[real, effective, saved]: [u32; 3]| format!("{real}\t{effective}\t{saved}\t{effective}");
    let groups: String = credentials.groups.iter().map(|group| format!("{group} ")).collect();
    let sizes = maps::sizes(cx, task);
    let (caught, ignored) = dispositions(task);
    let (letter, word) = state(cx, task);
    let pid = process.pid;
    let id = if part == Part::Process { pid.get() } else { task.tid.get().get() };
    let kib = |bytes: u64| bytes >> 10;
    let affinity = task.attributes.get().affinity(cx.kernel.config.cpus);
    let mask = cpumask::mask(affinity.iter(), cx.kernel.config.cpus.max(1));
    let cpus = cpumask::ranges(affinity.iter());
    let limit = process.limits.soft(RLIMIT_SIGPENDING);
    let queued = 0;
    let no_new_privs = process.settings.get(Setting::NoNewPrivs);
    let mut text = format!(
        "Name:\t{}\nUmask:\t{:04o}\nState:\t{letter} ({word})\nTgid:\t{pid}\nNgid:\t0\nPid:\t{id}\nPPid:\t{parent}\nTracerPid:\t{tracer}\n\
         Uid:\t{}\nGid:\t{}\nFDSize:\t64\nGroups:\t{groups}\nNStgid:\t{pid}\nNSpid:\t{id}\nNSpgid:\t{group}\nNSsid:\t{session}\nKthread:\t0\n",
        comm_text(task),
        task.fs.borrow().umask(),
        ids(credentials.uid),
        ids(credentials.gid),
    );
    for (name, bytes) in [
        ("VmPeak", sizes.total),
        ("VmSize", sizes.total),
        ("VmLck", 0),
        ("VmPin", 0),
        ("VmHWM", sizes.resident),
        ("VmRSS", sizes.resident),
        ("RssAnon", sizes.resident),
        ("RssFile", 0),
        ("RssShmem", 0),
        ("VmData", sizes.data),
        ("VmStk", sizes.stack),
        ("VmExe", sizes.text),
        ("VmLib", 0),
        ("VmPTE", 4096),
        ("VmSwap", 0),
    ] {
        let _ = writeln!(text, "{name}:\t{:>8} kB", kib(bytes));
    }
    const CAPABILITIES: u64 = 0;
    let (threads, blocked) = (process.tasks.borrow().len(), bits(task.mask.get()));
    let (own, shared) = (bits(task.pending.set()), bits(process.pending.set()));
    let _ = write!(
        text,
        "CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t{threads}\nSigQ:\t{queued}/{limit}\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\n\
         SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\nCapInh:\t{CAPABILITIES:016x}\nCapPrm:\t{CAPABILITIES:016x}\nCapEff:\t{CAPABILITIES:016x}\n\
         CapBnd:\t{CAPABILITIES:016x}\nCapAmb:\t{CAPABILITIES:016x}\nNoNewPrivs:\t{no_new_privs}\nSeccomp:\t0\nSeccomp_filters:\t0\n\
         Speculation_Store_Bypass:\tvulnerable\nCpus_allowed:\t{mask}\nCpus_allowed_list:\t{cpus}\nMems_allowed:\t1\n\
         Mems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
    );
    text
}
