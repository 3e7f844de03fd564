//! close(2), dup(2), fcntl(2), pipe(2), ioctl(2), memfd_create(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::fcntl;
use crate::outcome::{Outcome, Step, SysResult};
use crate::syscall::{Args, now};
use linux_raw_sys::general as c;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK};
use linux_raw_sys::ioctl as io;

pub fn close(cx: &Cx, a: Args) -> SysResult {
    fcntl::close(cx, a[0] as i32, a)
}

pub fn close_range(cx: &Cx, a: Args) -> SysResult {
    fcntl::close_range(cx, a[0] as u32, a[1] as u32, a[2] as u32, a)
}

pub fn dup(cx: &Cx, a: Args) -> SysResult {
    fcntl::duplicate(cx, c::__NR_dup, a, 0, false)
}

pub fn dup2(cx: &Cx, a: Args) -> SysResult {
    fcntl::replace(cx, c::__NR_dup2, a, false)
}

pub fn dup3(cx: &Cx, a: Args) -> SysResult {
    let flags = a[2] as u32;
    if flags & !O_CLOEXEC != 0 || a[0] as i32 == a[1] as i32 {
        return Err(Errno::EINVAL);
    }
    fcntl::replace(cx, c::__NR_dup3, a, flags & O_CLOEXEC != 0)
}

/// A memfd is a file of the real Linux.
pub fn memfd_create(cx: &Cx, a: Args) -> SysResult {
    cx.free_number(0)?;
    Ok(Outcome::Open { cloexec: a[1] as u32 & c::MFD_CLOEXEC != 0 })
}

pub fn pipe(cx: &Cx, a: Args) -> Result<u64, Errno> {
    fcntl::make_pipe(cx, a[0], 0)
}

pub fn pipe2(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let flags = a[1] as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK | c::O_DIRECT | c::O_EXCL) != 0 {
        return Err(Errno::EINVAL);
    }
    // It makes a notification pipe, which few kernels are built with.
    if flags & c::O_EXCL != 0 {
        return Err(Errno::ENOPKG);
    }
    fcntl::make_pipe(cx, a[0], flags)
}

pub fn fcntl(cx: &Cx, a: Args) -> Step {
    let [fd, command, arg, ..] = a;
    match command as u32 {
        c::F_DUPFD => now(fcntl::duplicate(cx, c::__NR_fcntl, a, arg as u32 as usize, false)),
        c::F_DUPFD_CLOEXEC => now(fcntl::duplicate(cx, c::__NR_fcntl, a, arg as u32 as usize, true)),
        c::F_SETFD => fcntl::set_cloexec(cx, fd as i32, arg & u64::from(c::FD_CLOEXEC) != 0),
        c::F_GETFD => fcntl::cloexec(cx, fd as i32),
        // The placeholder has it.
        c::F_DUPFD_QUERY => Step::Pass,
        c::F_GETLK | c::F_SETLK | c::F_SETLKW | c::F_OFD_GETLK | c::F_OFD_SETLK | c::F_OFD_SETLKW => {
            crate::syscall::lock::fcntl(cx, a)
        }
        c::F_SETSIG if arg == 0 => now(cx.check_open(fd as i32).map(|()| 0)),
        c::F_GETOWN_EX => now(cx.check_open(fd as i32).and_then(|()| cx.write_words(arg, &[0])).map(|()| 0)),
        // No events: this ends the watch, and there is none.
        c::F_NOTIFY if arg & !DN_MULTISHOT == 0 => now(cx.check_open(fd as i32).map(|()| 0)),
        c::F_SETOWN | c::F_SETOWN_EX | c::F_SETSIG | c::F_NOTIFY | c::F_SETLEASE => {
            // Signals that the real Linux would send.
            now(cx.check_open(fd as i32).and(Err::<u64, _>(Errno::EINVAL)))
        }
        command => fcntl::other(cx, fd as i32, command, arg),
    }
}

/// A flag of `F_NOTIFY` that names no event.
const DN_MULTISHOT: u64 = 0x8000_0000;

pub fn ioctl(cx: &Cx, a: Args) -> SysResult {
    let [fd, request, arg, ..] = a;
    let (fd, request) = (fd as i32, request as u32);
    let open = cx.file(fd);
    match request {
        io::FIOCLEX | io::FIONCLEX => {
            cx.check_open(fd)?;
            cx.task.files.borrow().set_cloexec(fd, request == io::FIOCLEX);
            Ok(Outcome::Pass)
        }
        io::FIONBIO => match open {
            Some(open) if !open.is_real() => {
                let on = cx.read_u32(arg)? != 0;
                open.flags.set(open.flags.get() & !O_NONBLOCK | if on { O_NONBLOCK } else { 0 });
                Ok(0.into())
            }
            Some(open) => {
                open.downcast::<Directory>().into_iter().for_each(Directory::forget_flags);
                Ok(Outcome::Pass)
            }
            _ => Ok(Outcome::Pass),
        },
        _ => match open {
            Some(open) if !open.is_real() => open.file.ioctl(cx, request, arg).map(Outcome::Value),
            // The results of the real Linux are the same on every machine.
            _ if matches!(request, io::FIONREAD | io::FIOQSIZE | io::TCGETS | io::TIOCGWINSZ) => Ok(Outcome::Pass),
            _ => Err(cx.check_open(fd).err().unwrap_or(match request {
                FICLONE | FICLONERANGE => Errno::EOPNOTSUPP,
                _ => Errno::ENOTTY,
            })),
        },
    }
}

/// Whether blocks can be shared depends on the real file system, so no file system of a guest supports it.
const FICLONE: u32 = 0x4004_9409;
const FICLONERANGE: u32 = 0x4020_940d;
