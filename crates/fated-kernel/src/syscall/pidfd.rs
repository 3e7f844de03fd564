//! pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::descriptors::slot_of;
use crate::fs::directory::Directory;
use crate::fs::file::{OpenFile, Slot};
use crate::id::{Pid, Tid};
use crate::process::pidfd::PidFd;
use crate::signal::kill::{from_caller, kill, kill_group, queue_to_process, queue_to_task};
use crate::signal::{SI_TKILL, SI_USER};
use crate::syscall::Args;
use crate::syscall::signal::{read_info, signal_number};
use alloc::rc::Rc;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};

pub fn pidfd_open(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let flags = a[1] as u32;
    if flags & !O_NONBLOCK != 0 || a[0] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let tid = Tid::new(a[0] as u32).ok_or(Errno::ESRCH)?;
    let pid = cx.kernel.family.borrow().pid(tid).ok_or(Errno::ESRCH)?;
    if Tid::from(pid) != tid {
        // It is a thread, and not the first of its process.
        return Err(Errno::ENOENT);
    }
    let file = match cx.kernel.process(pid) {
        Some(process) => PidFd::new(&process),
        None => PidFd::of_zombie(pid),
    };
    Ok(cx.install(Rc::new(file), flags | O_CLOEXEC | O_RDWR)? as u64)
}

/// The process behind a pidfd, and whether waiting for it shall not block.
pub fn pidfd_target(cx: &Cx, fd: i32) -> Result<(Pid, bool), Errno> {
    let open = find(cx, fd)?;
    let pidfd = open.downcast::<PidFd>().ok_or(Errno::EBADF)?;
    Ok((pidfd.pid(), open.nonblocking()))
}

fn find(cx: &Cx, fd: i32) -> Result<Rc<OpenFile>, Errno> {
    let open = cx.file(fd).ok_or(Errno::EBADF)?;
    if open.downcast::<PidFd>().is_some() { Ok(open) } else { Err(Errno::EBADF) }
}

pub fn pidfd_send_signal(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const TO_THREAD: u32 = 1;
    const TO_PROCESS: u32 = 2;
    const TO_GROUP: u32 = 4;
    let [fd, signal, info_addr, flags, ..] = a;
    let flags = flags as u32;
    if flags & !(TO_THREAD | TO_PROCESS | TO_GROUP) != 0 || flags.count_ones() > 1 {
        return Err(Errno::EINVAL);
    }
    let open = cx.file(fd as i32).ok_or(Errno::EBADF)?;
    let pid = match (open.downcast::<PidFd>(), open.downcast::<Directory>()) {
        (Some(pidfd), _) => pidfd.pid(),
        (_, Some(directory)) => process_of(directory).ok_or(Errno::EBADF)?,
        _ => return Err(Errno::EBADF),
    };
    let ended = open.downcast::<PidFd>().is_none_or(|pidfd| pidfd.living().is_none());
    if ended && cx.kernel.family.borrow().pid(pid.into()).is_none() {
        return Err(Errno::ESRCH);
    }
    let number = pid.get();
    if info_addr == 0 {
        let signal = signal_number(signal)?;
        match flags {
            TO_THREAD => queue_to_task(cx, Some(number), number, from_caller(cx, signal, SI_TKILL))?,
            TO_GROUP => {
                let group = cx.kernel.family.borrow().pgid(pid.into()).ok_or(Errno::ESRCH)?;
                kill_group(cx, group, from_caller(cx, signal, SI_USER))?;
            }
            _ => kill(cx, number as i32, from_caller(cx, signal, SI_USER))?,
        }
        return Ok(0);
    }
    if cx.read_u32(info_addr)? != signal as u32 {
        return Err(Errno::EINVAL);
    }
    if flags == TO_GROUP {
        return Err(Errno::EPERM);
    }
    let signal = signal_number(signal)?;
    let info = read_info(cx, info_addr, signal, number)?;
    match flags {
        TO_THREAD => queue_to_task(cx, Some(number), number, info)?,
        _ => queue_to_process(cx, number as i32, info)?,
    }
    Ok(0)
}

/// The process whose directory in `/proc` this is, which may stand for a pidfd.
fn process_of(directory: &Directory) -> Option<Pid> {
    let number = directory.path().strip_prefix(b"/proc/")?;
    core::str::from_utf8(number).ok()?.parse().ok().and_then(Pid::new)
}

/// pidfd_getfd(2), for files of this kernel: files of the real Linux can't be taken from another process.
pub fn pidfd_getfd(cx: &Cx, a: Args) -> Result<u64, Errno> {
    if a[2] as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let open = find(cx, a[0] as i32)?;
    let process = open.downcast::<PidFd>().and_then(PidFd::living).ok_or(Errno::ESRCH)?;
    let task = process.first_task().ok_or(Errno::ESRCH)?;
    let wanted = a[1] as i32;
    let found = match slot_of(&task, wanted) {
        Slot::Open(descriptor) => descriptor.open,
        Slot::Free => return Err(Errno::EBADF),
        _ => return Err(Errno::EPERM),
    };
    if found.file.is_native() {
        return Err(Errno::EPERM);
    }
    let fd = cx.placeholder(true)?;
    cx.task.files.borrow().set(fd, found, true);
    Ok(fd as u64)
}
