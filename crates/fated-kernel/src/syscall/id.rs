//! Calls on ids of processes, process groups, sessions, users and groups, and on capabilities.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::host::borrowed::Borrowed;
use crate::id::{Pgid, Pid, Tid};
use crate::process::capabilities::cap;
use crate::process::credentials::{Act, Credentials, IdKind};
use crate::process::session;
use crate::syscall::Args;
use alloc::vec::Vec;
use linux_raw_sys::general as c;
use linux_raw_sys::prctl::PR_SET_DUMPABLE;

pub fn getpid(cx: &Cx) -> Result<u64, Errno> {
    Ok(cx.process().pid.get().into())
}

pub fn gettid(cx: &Cx) -> Result<u64, Errno> {
    Ok(cx.task.tid.get().get().into())
}

pub fn getppid(cx: &Cx) -> Result<u64, Errno> {
    let parent = cx.kernel.family.borrow().parent(cx.task.tid.get());
    Ok(parent.map_or(0, Pid::get).into())
}

/// The thread that a pid argument names; 0 is the caller.
fn target(cx: &Cx, raw: u64) -> Result<Tid, Errno> {
    match raw as i32 {
        0 => Ok(cx.task.tid.get()),
        pid => u32::try_from(pid).ok().and_then(Tid::new).ok_or(Errno::ESRCH),
    }
}

pub fn getpgid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let tid = target(cx, a[0])?;
    Ok(session::group_of(cx, tid)?.get().into())
}

pub fn getpgrp(cx: &Cx) -> Result<u64, Errno> {
    Ok(cx.own_group()?.get().into())
}

pub fn getsid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let tid = target(cx, a[0])?;
    Ok(session::session_of(cx, tid)?.get().into())
}

pub fn setpgid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if (a[1] as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let pid = match a[0] as i32 {
        0 => None,
        pid => Some(u32::try_from(pid).ok().and_then(Pid::new).ok_or(Errno::ESRCH)?),
    };
    let group = match a[1] as u32 {
        0 => None,
        group => Some(Pgid::new(group).ok_or(Errno::EPERM)?),
    };
    session::set_group(cx, pid, group)?;
    Ok(0)
}

pub fn setsid(cx: &Cx) -> Result<u64, Errno> {
    Ok(session::new_session(cx)?.get().into())
}

pub fn set_tid_address(cx: &Cx, a: Args) -> Result<u64, Errno> {
    cx.task.clear_child_tid.set(a[0]);
    gettid(cx)
}

pub fn getuid(cx: &Cx) -> Result<u64, Errno> {
    Ok(cx.process().credentials.borrow().uid[0].into())
}

pub fn geteuid(cx: &Cx) -> Result<u64, Errno> {
    Ok(cx.process().credentials.borrow().uid[1].into())
}

pub fn getgid(cx: &Cx) -> Result<u64, Errno> {
    Ok(cx.process().credentials.borrow().gid[0].into())
}

pub fn getegid(cx: &Cx) -> Result<u64, Errno> {
    Ok(cx.process().credentials.borrow().gid[1].into())
}

fn write_three(cx: &Cx, a: Args, ids: [u32; 3]) -> Result<u64, Errno> {
    for (addr, id) in a.into_iter().zip(ids) {
        cx.write_u32(addr, id)?;
    }
    Ok(0)
}

pub fn getresuid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    write_three(cx, a, cx.process().credentials.borrow().uid)
}

pub fn getresgid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    write_three(cx, a, cx.process().credentials.borrow().gid)
}

/// Changes the credentials of the calling process by call `number`. The real one changes as well, since Linux decides about real files.
/// fated-wait gets the real user id, which it reports in `siginfo_t`.
fn change(
    cx: &Cx,
    number: u32,
    a: Args,
    how: impl FnOnce(&mut Credentials) -> Result<(), Errno>,
) -> Result<u64, Errno> {
    let mut new = cx.process().credentials.borrow().clone();
    how(&mut new)?;
    change_real(cx, number, a)?;
    let uid = new.uid[0];
    cx.process().credentials.replace(new);
    for task in cx.process().tasks.borrow().iter() {
        // A task of the process is alive.
        let _ = cx.kernel.family.borrow_mut().set_uid(task.tid.get(), uid);
    }
    Ok(0)
}

/// Has the real process make the call, too.
fn change_real(cx: &Cx, number: u32, a: Args) -> Result<(), Errno> {
    cx.native(number.into(), a)?;
    // Linux takes the process for one that has secrets, and hides it from itself.
    cx.native(c::__NR_prctl.into(), [PR_SET_DUMPABLE.into(), 1, 0, 0, 0, 0]).map(drop)
}

pub fn setuid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    change(cx, c::__NR_setuid, a, |it| it.set_effective(IdKind::User, a[0] as u32))
}

pub fn setgid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    change(cx, c::__NR_setgid, a, |it| it.set_effective(IdKind::Group, a[0] as u32))
}

pub fn setreuid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    change(cx, c::__NR_setreuid, a, |it| it.set_real_and_effective(IdKind::User, a[0] as u32, a[1] as u32))
}

pub fn setregid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    change(cx, c::__NR_setregid, a, |it| it.set_real_and_effective(IdKind::Group, a[0] as u32, a[1] as u32))
}

pub fn setresuid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    change(cx, c::__NR_setresuid, a, |it| it.set(IdKind::User, [a[0] as u32, a[1] as u32, a[2] as u32]))
}

pub fn setresgid(cx: &Cx, a: Args) -> Result<u64, Errno> {
    change(cx, c::__NR_setresgid, a, |it| it.set(IdKind::Group, [a[0] as u32, a[1] as u32, a[2] as u32]))
}

/// setfsuid(2): the file system user id always equals the effective one.
pub fn setfsuid(cx: &Cx, _a: Args) -> Result<u64, Errno> {
    geteuid(cx)
}

pub fn setfsgid(cx: &Cx, _a: Args) -> Result<u64, Errno> {
    getegid(cx)
}

/// The most supplementary groups (`NGROUPS_MAX`).
const NGROUPS_MAX: u64 = 65536;

pub fn getgroups(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let size = a[0] as i32;
    let groups = cx.process().credentials.borrow().groups.clone();
    match usize::try_from(size) {
        Err(_) => return Err(Errno::EINVAL),
        Ok(0) => {}
        Ok(size) if size < groups.len() => return Err(Errno::EINVAL),
        Ok(_) => {
            let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_le_bytes()).collect();
            cx.write(a[1], &bytes)?;
        }
    }
    Ok(groups.len() as u64)
}

pub fn setgroups(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if !cx.process().credentials.borrow().may(Act::Capable(cap::SETGID)) {
        return Err(Errno::EPERM);
    }
    let count = a[0] & 0xffff_ffff;
    if count > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let bytes = cx.read_vec(a[1], count as usize * 4)?;
    let groups = bytes.chunks_exact(4).map(|raw| raw.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte)));
    let groups = groups.collect();
    change_real(cx, c::__NR_setgroups, a)?;
    cx.process().credentials.borrow_mut().groups = groups;
    Ok(0)
}

const CAP_VERSION_1: u32 = 0x1998_0330;
const CAP_VERSION_2: u32 = 0x2007_1026;
const CAP_VERSION_3: u32 = 0x2008_0522;

/// How many 32-bit words a capability set has in the version that the header names. An unknown version is replaced in the header by the
/// preferred one, as Linux does.
fn cap_words(cx: &Cx, header: u64) -> Result<usize, Errno> {
    match cx.read_u32(header)? {
        CAP_VERSION_1 => Ok(1),
        CAP_VERSION_2 | CAP_VERSION_3 => Ok(2),
        _ => {
            cx.write_u32(header, CAP_VERSION_3)?;
            Err(Errno::EINVAL)
        }
    }
}

/// capget(2).
pub fn capget(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let words = match cap_words(cx, a[0]) {
        Err(Errno::EINVAL) if a[1] == 0 => return Ok(0),
        words => words?,
    };
    let pid = cx.read_u32(a[0].wrapping_add(4))? as i32;
    if pid < 0 {
        return Err(Errno::EINVAL);
    }
    let process = match pid {
        0 => cx.process().clone(),
        pid => crate::signal::kill::find_process(cx, pid)?.ok_or(Errno::ESRCH)?,
    };
    let caps = process.credentials.borrow().caps;
    if a[1] == 0 {
        return Ok(0);
    }
    cx.write(a[1], &encode_sets([caps.effective, caps.permitted, caps.inheritable], words))?;
    Ok(0)
}

/// capset(2), for the whole process.
pub fn capset(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let words = cap_words(cx, a[0])?;
    let pid = cx.read_u32(a[0].wrapping_add(4))?;
    if pid != 0 && pid != cx.task.tid.get().get() {
        return Err(Errno::EPERM);
    }
    let sets = decode_sets(&cx.read_vec(a[1], words * SET_WORDS)?);
    let mut new = cx.process().credentials.borrow().caps;
    new.set(sets)?;
    set_real_caps(cx, sets)?;
    cx.process().credentials.borrow_mut().caps = new;
    Ok(0)
}

/// The size of one word of each set: effective, permitted, inheritable (`struct __user_cap_data_struct`).
const SET_WORDS: usize = 12;

/// The lowest words first, so many of each set.
fn encode_sets(sets: [u64; 3], words: usize) -> Vec<u8> {
    (0..words).flat_map(|word| sets.map(|set| (set >> (32 * word)) as u32)).flat_map(u32::to_le_bytes).collect()
}

fn decode_sets(bytes: &[u8]) -> [u64; 3] {
    let mut sets = [0; 3];
    for (shift, words) in (0..).step_by(32).zip(bytes.as_chunks::<SET_WORDS>().0) {
        for (set, word) in sets.iter_mut().zip(words.as_chunks::<4>().0) {
            *set |= u64::from(u32::from_le_bytes(*word)) << shift;
        }
    }
    sets
}

/// Gives the real process these sets, too, as far as it has them: fated itself may have been started with fewer. What is permitted it
/// keeps: an exec that gains a capability would randomize addresses. By itself that lets nobody do anything.
fn set_real_caps(cx: &Cx, [effective, permitted, inheritable]: [u64; 3]) -> Result<(), Errno> {
    const WORDS: usize = 2;
    let header = Borrowed::new(cx, &[CAP_VERSION_3, 0].map(u32::to_le_bytes).concat())?;
    let data = Borrowed::below(cx, header.addr, &[0; WORDS * SET_WORDS])?;
    let at = [header.addr, data.addr, 0, 0, 0, 0];
    let set = || {
        cx.native(c::__NR_capget.into(), at)?;
        let [_, has, _] = decode_sets(&cx.read_array::<{ WORDS * SET_WORDS }>(data.addr)?);
        let sets = [effective & has, has, inheritable & permitted & has];
        cx.write(data.addr, &encode_sets(sets, WORDS))?;
        change_real(cx, c::__NR_capset, at)
    };
    // What fails has no effect on what the kernel decides.
    let _ = set();
    data.restore(cx);
    header.restore(cx);
    Ok(())
}
