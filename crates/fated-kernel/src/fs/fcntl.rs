//! What fcntl(2), dup(2), close(2) and their kin do with descriptors and with the flags of open files.
//!
//! The kernel assigns numbers (`EMFILE`, the lowest free one) and enforces limits by its own table. The real process has the same
//! descriptors, on the real file or on a placeholder, so it opens and closes them too.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::file::{OpenFile, Slot};
use crate::fs::flock;
use crate::fs::locks::FileId;
use crate::ipc::pipe::Pipe;
use crate::ipc::pipe::end::End;
use crate::outcome::{Outcome, Step, SysResult};
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general as c;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_WRONLY};

impl Cx {
    /// Carries out the call unchanged: at once if another task could notice when it happens.
    ///
    /// A call that passes is carried out when its task runs on. Until then another thread could still use the number that is being closed,
    /// and a task that waits for a file lock would not get it.
    fn pass_in_order(&self, number: u32, args: [u64; 6]) -> SysResult {
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

    /// Releases these locks once the descriptors are closed.
    fn locks_released(&self, given_up: Vec<FileId>) {
        if !given_up.is_empty() {
            flock::give_up(self, &self.task.files.borrow(), given_up);
            self.kernel.locks.wake();
        }
    }
}

/// Closes a descriptor.
pub fn close(cx: &Cx, fd: i32, call: [u64; 6]) -> SysResult {
    let old = cx.task.files.borrow().remove(fd);
    let given_up = cx.given_up_by([fd].into_iter());
    let result = cx.pass_in_order(c::__NR_close, call);
    drop(old);
    cx.locks_released(given_up);
    result
}

const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// close_range(2): closes the descriptors from `first` to `last`, or sets their close-on-exec flags.
pub fn close_range(cx: &Cx, first: u32, last: u32, flags: u32, call: [u64; 6]) -> SysResult {
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
    let result = cx.pass_in_order(c::__NR_close_range, call);
    drop(closed);
    cx.locks_released(given_up);
    result
}

/// dup(2) and `F_DUPFD`: duplicates a descriptor to the lowest free number from `min` on.
pub fn duplicate(cx: &Cx, number: u32, args: [u64; 6], min: usize, cloexec: bool) -> SysResult {
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

/// dup2(2) and dup3(2): duplicates a descriptor to a number that may be open already.
pub fn replace(cx: &Cx, number: u32, args: [u64; 6], cloexec: bool) -> SysResult {
    let (from, to) = (args[0] as i32, args[1] as i32);
    if from == to {
        return cx.open_slot(from).map(|_| Outcome::Value(from as u64));
    }
    if u64::from(to as u32) >= cx.descriptor_limit() {
        return Err(Errno::EBADF);
    }
    cx.make_room(u64::from(to as u32))?;
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

/// Sets the close-on-exec flag.
pub fn set_cloexec(cx: &Cx, fd: i32, cloexec: bool) -> Step {
    let files = cx.task.files.borrow();
    let slot = files.slot(fd);
    // Programs often set a flag that is set already.
    if matches!(slot, Slot::Host(_) | Slot::Open(_)) && slot.cloexec() == cloexec {
        return Step::Value(0);
    }
    // The real exec closes the real descriptor.
    files.set_cloexec(fd, cloexec);
    Step::Pass
}

/// The close-on-exec flag.
#[must_use]
pub fn cloexec(cx: &Cx, fd: i32) -> Step {
    match cx.task.files.borrow().slot(fd) {
        slot @ (Slot::Host(_) | Slot::Open(_)) => Step::Value(slot.cloexec().into()),
        _ => Step::Pass,
    }
}

/// Makes a pipe and writes its two numbers to `addr`.
pub fn make_pipe(cx: &Cx, addr: u64, flags: u32) -> Result<u64, Errno> {
    cx.check_room_for_two()?;
    // A real pipe holds both numbers, and has written them where they belong.
    let real = [addr, u64::from(flags & O_CLOEXEC), 0, 0, 0, 0];
    cx.native(c::__NR_pipe2.into(), real)?;
    let numbers: [u8; 8] = cx.read_array(addr)?;
    let (mut read_end, mut write_end) = ([0; 4], [0; 4]);
    read_end.copy_from_slice(&numbers[..4]);
    write_end.copy_from_slice(&numbers[4..]);
    let pipe = Pipe::new(cx.kernel.next_serial(), cx.kernel.timers.now());
    for (number, mode) in [(read_end, 0), (write_end, O_WRONLY)] {
        let mode = mode | flags & (O_NONBLOCK | c::O_DIRECT);
        let open = OpenFile::new(cx, End::open(&pipe, mode), mode);
        cx.task.files.borrow().set(i32::from_le_bytes(number), open, flags & O_CLOEXEC != 0);
    }
    Ok(0)
}

/// Carries out another command of fcntl(2).
pub fn other(cx: &Cx, fd: i32, command: u32, arg: u64) -> Step {
    match cx.file(fd) {
        Some(open) if !open.is_real() => emulated(&open, command, arg).into(),
        Some(open) => match (open.downcast::<Directory>(), command) {
            (Some(directory), c::F_GETFL) => directory.flags().map_or(Step::Pass, |flags| Step::Value(flags.into())),
            (Some(directory), c::F_SETFL) => {
                directory.forget_flags();
                Step::Pass
            }
            _ => Step::Pass,
        },
        None => Step::Pass,
    }
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
