//! The long texts of `/proc/PID`: `stat`, `statm`, `status` and `limits` (Linux: `fs/proc/array.c`).

use crate::cx::Cx;
use crate::fs::cpumask;
use crate::id::Pid;
use crate::mm::sizes::{locked, look};
use crate::process::limits::{INFINITY, Resource};
use crate::process::settings::Setting;
use crate::process::task::Task;
use crate::process::usage::{usage_of_children, usage_of_process};
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
use fated_wait::Usage;
use linux_raw_sys::general::RLIMIT_SIGPENDING;

/// What a file speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole process.
    Process,
    /// One thread.
    Thread,
}

pub(super) fn comm(task: &Task) -> Vec<u8> {
    task.comm.get().iter().copied().take_while(|&byte| byte != 0).collect()
}

pub(super) fn comm_text(task: &Task) -> String {
    String::from_utf8_lossy(&comm(task)).into_owned()
}

pub(super) fn limits(task: &Task) -> String {
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

fn state(task: &Task) -> (char, &'static str) {
    match task.rest.get() {
        _ if task.halted.get() => ('T', "stopped"),
        Rest::Gone => ('Z', "zombie"),
        Rest::Asleep { .. } => ('S', "sleeping"),
        _ => ('R', "running"),
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

fn usage(cx: &Cx, task: &Task, part: Part) -> Usage {
    if part == Part::Process { usage_of_process(&task.process) } else { cx.kernel.usage_of(task) }
}

pub(super) fn stat(cx: &Cx, task: &Rc<Task>, part: Part) -> String {
    const TICK: u64 = SECOND / 100;
    let process = &task.process;
    let Relations { parent, group, session, .. } = relations(cx, task);
    let sizes = look(task);
    let (used, children) = (usage(cx, task, part), usage_of_children(cx, process));
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
        "{id} ({}) {} {parent} {group} {session} {tty} {foreground} 4194304 {} {} 0 0 {} 0 {} 0 {} {nice} {} 0 {} {} {} \
         18446744073709551615 {} 0 0 {} {} {ignored} {caught} 0 0 0 17 0 0 0 0 0 0 {} 0\n",
        comm_text(task),
        state(task).0,
        used.minflt,
        children.minflt,
        used.utime_ns / TICK,
        children.utime_ns / TICK,
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

pub(super) fn statm(task: &Task) -> String {
    let sizes = look(task);
    let pages = |bytes: u64| bytes / 4096;
    let data = pages(sizes.data + sizes.stack);
    let (total, resident, file) = (pages(sizes.total), pages(sizes.resident), pages(sizes.resident_file));
    format!("{total} {resident} {file} {} 0 {data} 0\n", pages(sizes.text))
}

pub(super) fn status(cx: &Cx, task: &Rc<Task>, part: Part) -> String {
    let process = &task.process;
    let Relations { parent, tracer, group, session } = relations(cx, task);
    let credentials = process.credentials.borrow().clone();
    let ids = |[real, effective, saved]: [u32; 3]| format!("{real}\t{effective}\t{saved}\t{effective}");
    let groups: String = credentials.groups.iter().map(|group| format!("{group} ")).collect();
    let sizes = look(task);
    let memory = &process.memory;
    // Context switches are the thread's own in either place.
    let used = cx.kernel.usage_of(task);
    let (caught, ignored) = dispositions(task);
    let (letter, word) = state(task);
    let pid = process.pid;
    let id = if part == Part::Process { pid.get() } else { task.tid.get().get() };
    let kib = |bytes: u64| bytes >> 10;
    let affinity = task.attributes.get().affinity(cx.kernel.config.cpus);
    let mask = cpumask::mask(affinity.iter(), cx.kernel.config.cpus.max(1));
    let cpus = cpumask::ranges(affinity.iter());
    let limit = process.limits.soft(RLIMIT_SIGPENDING);
    let queued = cx.kernel.queued_signals(credentials.uid[0]);
    let caps = credentials.caps;
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
        ("VmPeak", memory.peak_total()),
        ("VmSize", sizes.total),
        ("VmLck", locked(task)),
        ("VmPin", 0),
        ("VmHWM", memory.peak_resident()),
        ("VmRSS", sizes.resident),
        ("RssAnon", sizes.resident - sizes.resident_file),
        ("RssFile", sizes.resident_file),
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
    let (threads, blocked) = (process.tasks.borrow().len(), bits(task.mask.get()));
    let (own, shared) = (bits(task.pending.set()), bits(process.pending.set()));
    let _ = write!(
        text,
        "CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t{threads}\nSigQ:\t{queued}/{limit}\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\n\
         SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\nCapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\n\
         CapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{no_new_privs}\nSeccomp:\t0\nSeccomp_filters:\t0\n\
         Speculation_Store_Bypass:\tvulnerable\nCpus_allowed:\t{mask}\nCpus_allowed_list:\t{cpus}\nMems_allowed:\t1\n\
         Mems_allowed_list:\t0\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
        caps.inheritable, caps.permitted, caps.effective, caps.bounding, caps.ambient, used.nvcsw, used.nivcsw,
    );
    text
}
