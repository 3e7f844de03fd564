//! `/proc/PID` of processes that run no program: those that have ended and wait to be reaped, and process 1, which is the kernel
//! itself.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::{Dir, Inode, Source};
use crate::id::{Pid, Tid};
use alloc::{
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use fated_wait::TaskState;

/// A file of such a process.
struct Row {
    name: &'static str,
    /// Makes its contents.
    make: fn(&Cx, Pid) -> String,
}

impl core::fmt::Debug for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

const ROWS: &[Row] = &[
    Row { name: "cgroup", make: |_, _| "0::/\n".into() },
    Row { name: "cmdline", make: |_, pid| if is_init(pid) { "init\0".into() } else { String::new() } },
    Row { name: "comm", make: |cx, pid| format!("{}\n", comm(cx, pid)) },
    Row { name: "stat", make: stat },
    Row { name: "statm", make: |_, _| "0 0 0 0 0 0 0\n".into() },
    Row { name: "status", make: status },
];

fn is_init(pid: Pid) -> bool {
    pid.get() == 1
}

fn comm(cx: &Cx, pid: Pid) -> String {
    if is_init(pid) {
        return "init".into();
    }
    let name = cx.kernel.zombies.name(pid).unwrap_or_default();
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(name.get(..len).unwrap_or_default()).into_owned()
}

/// What stands at `/proc/PID`, or at `REST` in it.
pub fn lookup(cx: &Cx, pid: Pid, rest: Option<&[u8]>) -> Result<Inode, Errno> {
    if !cx.kernel.family.borrow().exists(pid.into()) {
        return Err(Errno::ENOENT);
    }
    let Some(name) = rest else { return Ok(Inode::Directory(Rc::new(ZombieDir))) };
    let row = ROWS.iter().find(|row| row.name.as_bytes() == name);
    row.map(|row| Inode::File(Rc::new(ZombieFile(row, pid)))).ok_or(Errno::ENOENT)
}

/// `/proc/PID`.
#[derive(Debug)]
struct ZombieDir;

impl Dir for ZombieDir {
    fn names(&self, _cx: &Cx) -> Vec<String> {
        ROWS.iter().map(|row| row.name.to_string()).collect()
    }
}

/// A file in it.
#[derive(Debug)]
struct ZombieFile(&'static Row, Pid);

impl Source for ZombieFile {
    fn mode(&self) -> u32 {
        0o444
    }

    fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        Ok((self.0.make)(cx, self.1).into_bytes())
    }
}

fn state(cx: &Cx, tid: Tid) -> (char, &'static str) {
    match cx.kernel.family.borrow().state(tid) {
        Some(TaskState::Zombie) => ('Z', "zombie"),
        _ => ('S', "sleeping"),
    }
}

/// Parent, group, session.
fn relations(cx: &Cx, pid: Pid) -> [u32; 3] {
    let family = cx.kernel.family.borrow();
    let tid = pid.into();
    [
        family.parent(tid).map_or(0, Pid::get),
        family.pgid(tid).map_or(0, |group| group.get()),
        family.sid(tid).map_or(0, |session| session.get()),
    ]
}

fn stat(cx: &Cx, pid: Pid) -> String {
    let [parent, group, session] = relations(cx, pid);
    let state = state(cx, pid.into()).0;
    format!(
        "{pid} ({}) {state} {parent} {group} {session} 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 18446744073709551615 \
         0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        comm(cx, pid)
    )
}

fn status(cx: &Cx, pid: Pid) -> String {
    let [parent, group, session] = relations(cx, pid);
    let (letter, word) = state(cx, pid.into());
    format!(
        "Name:\t{}\nState:\t{letter} ({word})\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{parent}\nTracerPid:\t0\n\
         Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t0\nGroups:\t\nNStgid:\t{pid}\nNSpid:\t{pid}\nNSpgid:\t{group}\n\
         NSsid:\t{session}\nThreads:\t1\n",
        comm(cx, pid)
    )
}
