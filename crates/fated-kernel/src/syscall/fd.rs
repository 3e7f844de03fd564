//! Descriptors: close(2), dup(2), fcntl(2), pipe(2), ioctl(2), memfd_create(2).
//!
//! The kernel decides about numbers and limits by its own table. The real process has every descriptor too, as the real file or as
//! a placeholder, so that it makes and closes them as well.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::fdtable::Slot;
use crate::fs::file::OpenFile;
use crate::fs::flock;
use crate::fs::locks::FileId;
use crate::ipc::pipe::{End, Pipe};
use crate::outcome::{Outcome, Step, SysResult};
use crate::syscall::rw::pass;
use crate::syscall::{Args, now};
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general as c;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_WRONLY};
use linux_raw_sys::ioctl as io;

impl Cx {
    /// The call as the guest made it, carried out now where others could see when.
    ///
    /// A call that passes happens when its task runs on. Until then another thread could use the number that is being closed,
    /// or a task that waits for a file lock could look in vain.
    fn pass_in_order(&self, number: u32, args: Args) -> SysResult {
        let shared = Rc::strong_count(&self.task.files.borrow()) > 1;
        if shared || self.kernel.locks.is_awaited() {
            let result = self.native(number.into(), args).map(Outcome::Value);
            self.kernel.locks.wake();
            return result;
        }
        Ok(Outcome::Pass)
    }

    /// The files whose record locks the process gives up by closing these descriptors.
    fn given_up_by(&self, closed: impl Iterator<Item = i32>) -> Vec<FileId> {
        flock::given_up_by(self, &self.task.files.borrow(), closed)
    }

    /// They are closed.
    fn locks_released(&self, given_up: Vec<FileId>) {
        if !given_up.is_empty() {
            flock::give_up(self, &self.task.files.borrow(), given_up);
            self.kernel.locks.wake();
        }
    }
}

pub fn close(cx: &Cx, a: Args) -> SysResult {
    let fd = a[0] as i32;
    let old = cx.task.files.borrow().remove(fd);
    let given_up = cx.given_up_by([fd].into_iter());
    let result = cx.pass_in_order(c::__NR_close, a);
    drop(old);
    cx.locks_released(given_up);
    result
}

const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;

pub fn close_range(cx: &Cx, a: Args) -> SysResult {
    let (first, last, flags) = (a[0] as u32, a[1] as u32, a[2] as u32);
    if flags & !(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        // The real table is unshared by the real call.
        let own = cx.task.files.borrow().copy();
        drop(cx.task.files.replace(own));
    }
    let files = cx.task.files.borrow().clone();
    let mut closed = Vec::new();
    let numbers = files.numbers().into_iter().filter(|&fd| (first..=last).contains(&(fd as u32)));
    let numbers: Vec<i32> = numbers.collect();
    let closes = flags & CLOSE_RANGE_CLOEXEC == 0;
    let given_up = cx.given_up_by(numbers.iter().copied().filter(|_| closes));
    for fd in numbers {
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            files.set_cloexec(fd, true);
        } else {
            closed.push(files.remove(fd));
        }
    }
    drop(files);
    let result = cx.pass_in_order(c::__NR_close_range, a);
    drop(closed);
    cx.locks_released(given_up);
    result
}

/// A call that makes the lowest free number from `min` on another one for the same open file.
fn duplicate(cx: &Cx, number: u32, args: Args, min: usize, cloexec: bool) -> SysResult {
    let slot = cx.open_slot(args[0] as i32)?.with_cloexec(cloexec);
    if min as u64 >= cx.descriptor_limit() && number == c::__NR_fcntl {
        return Err(Errno::EINVAL);
    }
    let free = cx.free_number(min)?;
    if let Slot::Host(_) = slot {
        drop(cx.task.files.borrow().put(free as i32, slot));
        return Ok(Outcome::Pass);
    }
    let fd = cx.native(number.into(), args)?;
    drop(cx.task.files.borrow().put(fd as i32, slot));
    Ok(Outcome::Value(fd))
}

/// The same, onto a number that may be taken.
fn replace(cx: &Cx, number: u32, args: Args, cloexec: bool) -> SysResult {
    let (from, to) = (args[0] as i32, args[1] as i32);
    if from == to {
        return cx.check_open(from).map(|()| Outcome::Value(from as u64));
    }
    if u64::from(to as u32) >= cx.descriptor_limit() {
        return Err(Errno::EBADF);
    }
    let slot = cx.open_slot(from)?.with_cloexec(cloexec);
    let files = cx.task.files.borrow().clone();
    if matches!(slot, Slot::Host(_)) && files.get(to).is_none() {
        drop(files.put(to, slot));
        drop(files);
        let given_up = cx.given_up_by([to].into_iter());
        let result = cx.pass_in_order(number, args);
        cx.locks_released(given_up);
        return result;
    }
    let given_up = cx.given_up_by([to].into_iter());
    let fd = cx.native(number.into(), args)?;
    let old = files.put(to, slot);
    drop(old);
    flock::give_up(cx, &files, given_up);
    cx.kernel.locks.wake();
    Ok(Outcome::Value(fd))
}

pub fn dup(cx: &Cx, a: Args) -> SysResult {
    duplicate(cx, c::__NR_dup, a, 0, false)
}

pub fn dup2(cx: &Cx, a: Args) -> SysResult {
    replace(cx, c::__NR_dup2, a, false)
}

pub fn dup3(cx: &Cx, a: Args) -> SysResult {
    let flags = a[2] as u32;
    if flags & !O_CLOEXEC != 0 || a[0] as i32 == a[1] as i32 {
        return Err(Errno::EINVAL);
    }
    replace(cx, c::__NR_dup3, a, flags & O_CLOEXEC != 0)
}

/// memfd_create(2): a file of the real Linux.
pub fn memfd_create(cx: &Cx, a: Args) -> SysResult {
    cx.free_number(0)?;
    Ok(Outcome::Open { cloexec: a[1] as u32 & c::MFD_CLOEXEC != 0 })
}

pub fn pipe(cx: &Cx, a: Args) -> Result<u64, Errno> {
    make_pipe(cx, a[0], 0)
}

pub fn pipe2(cx: &Cx, a: Args) -> Result<u64, Errno> {
    make_pipe(cx, a[0], a[1] as u32)
}

fn make_pipe(cx: &Cx, addr: u64, flags: u32) -> Result<u64, Errno> {
    if flags & !(O_CLOEXEC | O_NONBLOCK | c::O_DIRECT | c::O_EXCL) != 0 || flags & c::O_EXCL != 0 {
        // O_EXCL makes a notification pipe, which few kernels are built with.
        return Err(if flags & c::O_EXCL != 0 { Errno::ENOPROTOOPT } else { Errno::EINVAL });
    }
    cx.check_room_for_two()?;
    // A real pipe holds both numbers, and has written them where they belong.
    let real = [addr, u64::from(flags & O_CLOEXEC), 0, 0, 0, 0];
    cx.native(c::__NR_pipe2.into(), real)?;
    let numbers: [u8; 8] = cx.read_array(addr)?;
    let (mut read_end, mut write_end) = ([0; 4], [0; 4]);
    read_end.copy_from_slice(&numbers[..4]);
    write_end.copy_from_slice(&numbers[4..]);
    let pipe = Pipe::new(&cx.kernel);
    for (number, mode) in [(read_end, 0), (write_end, O_WRONLY)] {
        let mode = mode | flags & (O_NONBLOCK | c::O_DIRECT);
        let open = OpenFile::new(cx, pipe.open(mode), mode);
        cx.task.files.borrow().set(i32::from_le_bytes(number), open, flags & O_CLOEXEC != 0);
    }
    Ok(0)
}

pub fn fcntl(cx: &Cx, a: Args) -> Step {
    let [fd, command, arg, ..] = a;
    let open = cx.file(fd as i32);
    match command as u32 {
        c::F_DUPFD => now(duplicate(cx, c::__NR_fcntl, a, arg as u32 as usize, false)),
        c::F_DUPFD_CLOEXEC => now(duplicate(cx, c::__NR_fcntl, a, arg as u32 as usize, true)),
        c::F_SETFD => {
            let cloexec = arg & u64::from(c::FD_CLOEXEC) != 0;
            let files = cx.task.files.borrow();
            let slot = files.slot(fd as i32);
            // Many set what is set.
            if matches!(slot, Slot::Host(_) | Slot::Open(_)) && slot.cloexec() == cloexec {
                return now(Ok(0));
            }
            // The real exec closes the real descriptor.
            files.set_cloexec(fd as i32, cloexec);
            pass()
        }
        c::F_GETFD => match cx.task.files.borrow().slot(fd as i32) {
            slot @ (Slot::Host(_) | Slot::Open(_)) => Step::Value(slot.cloexec().into()),
            _ => pass(),
        },
        // The placeholder knows.
        c::F_DUPFD_QUERY => pass(),
        c::F_GETLK | c::F_SETLK | c::F_SETLKW | c::F_OFD_GETLK | c::F_OFD_SETLK | c::F_OFD_SETLKW => {
            crate::syscall::lock::fcntl(cx, a)
        }
        c::F_SETSIG if arg == 0 => now(cx.check_open(fd as i32).map(|()| 0)),
        c::F_GETOWN_EX => now(cx.check_open(fd as i32).and_then(|()| cx.write_words(arg, &[0])).map(|()| 0)),
        // No events: nothing is watched any more, which is how it is.
        c::F_NOTIFY if arg & !DN_MULTISHOT == 0 => now(cx.check_open(fd as i32).map(|()| 0)),
        c::F_SETOWN | c::F_SETOWN_EX | c::F_SETSIG | c::F_NOTIFY | c::F_SETLEASE => {
            // Signals that the real Linux would send.
            now(cx.check_open(fd as i32).and(Err::<u64, _>(Errno::EINVAL)))
        }
        command => match open {
            Some(open) if !is_real(&open) => now(emulated(&open, command, arg)),
            Some(open) => match (open.downcast::<Directory>(), command) {
                (Some(directory), c::F_GETFL) => {
                    directory.flags().map_or(Step::Pass, |flags| Step::Value(flags.into()))
                }
                (Some(directory), c::F_SETFL) => {
                    directory.forget_flags();
                    pass()
                }
                _ => pass(),
            },
            None => pass(),
        },
    }
}

/// A flag of `F_NOTIFY` that names no event.
const DN_MULTISHOT: u64 = 0x8000_0000;

/// Whether the real descriptor has the flags that count.
fn is_real(open: &OpenFile) -> bool {
    open.file.is_native() || open.downcast::<Directory>().is_some_and(Directory::is_real)
}

fn emulated(open: &OpenFile, command: u32, arg: u64) -> Result<u64, Errno> {
    match command {
        c::F_GETFL => Ok(open.flags.get().into()),
        c::F_SETFL => {
            const SETTABLE: u32 = c::O_APPEND | O_NONBLOCK | c::O_DIRECT | c::O_NOATIME;
            let arg = arg as u32;
            if arg & c::FASYNC != 0 {
                return Err(Errno::EINVAL);
            }
            let end = open.downcast::<End>();
            if arg & c::O_DIRECT != 0 && end.is_none() {
                return Err(Errno::EINVAL);
            }
            if let Some(end) = end {
                end.set_packets(arg & c::O_DIRECT != 0);
            }
            open.flags.set(open.flags.get() & !SETTABLE | arg & SETTABLE);
            Ok(0)
        }
        c::F_GETOWN | c::F_GETSIG => Ok(0),
        c::F_GETPIPE_SZ => Ok(open.downcast::<End>().ok_or(Errno::EBADF)?.capacity() as u64),
        c::F_SETPIPE_SZ => {
            let end = open.downcast::<End>().ok_or(Errno::EBADF)?;
            Ok(end.set_capacity(arg as u32 as usize)? as u64)
        }
        _ => Err(Errno::EINVAL),
    }
}

pub fn ioctl(cx: &Cx, a: Args) -> SysResult {
    let [fd, request, arg, ..] = a;
    let (fd, request) = (fd as i32, request as u32);
    let open = cx.file(fd);
    match request {
        io::FIOCLEX | io::FIONCLEX => {
            cx.task.files.borrow().set_cloexec(fd, request == io::FIOCLEX);
            Ok(Outcome::Pass)
        }
        io::FIONBIO => match open {
            Some(open) if !is_real(&open) => {
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
            Some(open) if !is_real(&open) => open.file.ioctl(cx, request, arg).map(Outcome::Value),
            // What the real Linux says of these is the same everywhere.
            _ if matches!(request, io::FIONREAD | io::FIOQSIZE | io::TCGETS | io::TIOCGWINSZ) => Ok(Outcome::Pass),
            _ => Err(cx.check_open(fd).err().unwrap_or(match request {
                FICLONE | FICLONERANGE => Errno::EOPNOTSUPP,
                _ => Errno::ENOTTY,
            })),
        },
    }
}

/// Sharing blocks depends on the real file system, so none can.
const FICLONE: u32 = 0x4004_9409;
const FICLONERANGE: u32 = 0x4020_940d;
