//! Changes of a file's attributes and size: chmod(2), chown(2), truncate(2), utimensat(2), setxattr(2) and their kin. The real Linux
//! makes them; the times that follow are kept here.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::Inode;
use crate::fs::host::carry_out::{PathArg, carry_out, pass};
use crate::fs::inode::{FileStat, kind};
use crate::fs::namei::{Found, lookup};
use crate::fs::permission::is_busy;
use crate::fs::size_limit::check_size;
use crate::outcome::{Outcome, SysResult};
use crate::ports::NOFOLLOW;
use alloc::vec::Vec;
use linux_raw_sys::general::{
    __NR_fallocate, __NR_fchmod, __NR_fchown, __NR_flistxattr, AT_EMPTY_PATH, FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_ZERO_RANGE,
};

/// Whether `path` is empty and the flags say that it then stands for the descriptor itself.
pub fn means_descriptor(path: &[u8], flags: u32) -> bool {
    path.is_empty() && flags & AT_EMPTY_PATH != 0
}

/// What a call does to the times of a file.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// The attributes have changed.
    Changed,
    /// The contents have.
    Touched,
}

/// Notes that something has happened to the real file `real`.
pub(super) fn note(cx: &Cx, real: &FileStat, effect: Effect) {
    let (kernel, fs) = (&cx.kernel, &cx.kernel.fs);
    fs.dcache.forget_file(real);
    let number = fs.virtualized(kernel, real).ino;
    match effect {
        Effect::Changed => fs.changed(kernel, number),
        Effect::Touched => fs.touched(kernel, number),
    }
}

/// Changes the attributes or the size of the file at a path, or reads its extended attributes (`effect` is `None`). `flags` are
/// `AT_*`.
pub fn on_path(cx: &Cx, call: Call, arg: PathArg, flags: u32, effect: Option<Effect>) -> SysResult {
    let path = arg.read(cx, &call.args)?;
    if means_descriptor(&path, flags) {
        return on_descriptor(cx, call, effect);
    }
    let follow = flags & NOFOLLOW == 0;
    let target = lookup(cx, arg.dirfd(&call.args), &path, follow)?;
    let none = match (effect, &target.found) {
        (Some(Effect::Touched), Found::Generated(Inode::Device(_)) | Found::Open(_)) => Errno::EINVAL,
        (Some(_), _) => Errno::EPERM,
        (None, _) => Errno::EOPNOTSUPP,
    };
    let stat = *target.real(none)?;
    let (Some(effect), Ok(stat)) = (effect, stat) else { return pass(cx, call, &[(arg, &target)]) };
    if let (Effect::Touched, kind::FIFO | kind::CHARACTER) = (effect, stat.mode & kind::MASK) {
        return Err(Errno::EINVAL);
    }
    if let Effect::Touched = effect {
        if is_busy(cx, &stat) {
            return Err(Errno::ETXTBSY);
        }
        check_size(cx, stat.size, call.args[1])?;
    }
    let value = carry_out(cx, call, &[(arg, &target)])?;
    note(cx, &stat, effect);
    Ok(value.into())
}

/// What real file a descriptor is open on.
pub(super) fn real_descriptor(cx: &Cx, fd: i32) -> Result<FileStat, Errno> {
    match cx.file(fd) {
        Some(open) if !open.is_real() => Err(Errno::EINVAL),
        _ => cx.task.guest.stat(fd, b"", 0),
    }
}

/// `EPERM` for a device of the host behind a descriptor: its attributes are not the guests' to change.
fn check_device(cx: &Cx, fd: i32, real: &FileStat) -> Result<(), Errno> {
    if cx.kernel.fs.is_device_of_host(cx, real) {
        cx.check_open(fd)?;
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// The size that ftruncate(2) or fallocate(2) asks for.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
fn new_size(call: &Call) -> u64 {
    match call.number as u32 {
        __NR_fallocate if call.args[1] & u64::from(FALLOC_FL_KEEP_SIZE) != 0 => 0,
        __NR_fallocate => call.args[2].saturating_add(call.args[3]),
        _ => call.args[1],
    }
}

/// Why fallocate(2) fails for what has no size.
fn refuse_to_allocate(call: &Call) -> Errno {
    const KNOWN: u32 = FALLOC_FL_KEEP_SIZE
        | FALLOC_FL_PUNCH_HOLE
        | FALLOC_FL_COLLAPSE_RANGE
        | FALLOC_FL_ZERO_RANGE
        | FALLOC_FL_INSERT_RANGE
        | FALLOC_FL_UNSHARE_RANGE;
    let [_, mode, offset, len, ..] = call.args;
    let punches_and_grows = mode as u32 & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) == FALLOC_FL_PUNCH_HOLE;
    match (offset as i64, len as i64) {
        (..0, _) | (_, ..=0) => Errno::EINVAL,
        _ if mode as u32 & !KNOWN != 0 || punches_and_grows => Errno::EOPNOTSUPP,
        _ => Errno::ESPIPE,
    }
}

/// The same for the file behind the descriptor in the first argument.
pub fn on_descriptor(cx: &Cx, call: Call, effect: Option<Effect>) -> SysResult {
    let fd = call.args[0] as i32;
    let known = cx.file(fd);
    if known.as_ref().is_some_and(|open| !open.is_real()) {
        return match effect {
            // The attributes of pipes and the like are not kept.
            Some(Effect::Changed) if [__NR_fchmod, __NR_fchown].contains(&(call.number as u32)) => {
                Ok(Outcome::Value(0))
            }
            Some(Effect::Touched) if call.number as u32 == __NR_fallocate => Err(refuse_to_allocate(&call)),
            Some(Effect::Touched) => Err(Errno::EINVAL),
            // They have none.
            None if call.number as u32 == __NR_flistxattr => Ok(Outcome::Value(0)),
            _ => Err(Errno::EOPNOTSUPP),
        };
    }
    let Some(effect) = effect else { return Ok(Outcome::Pass) };
    let real = cx.task.guest.stat(fd, b"", 0)?;
    if let Effect::Changed = effect {
        check_device(cx, fd, &real)?;
    }
    if let Effect::Touched = effect {
        check_size(cx, real.size, new_size(&call))?;
    }
    let value = cx.native(call.number, call.args)?;
    note(cx, &real, effect);
    Ok(value.into())
}

/// A time as a caller of utimensat(2) gives it.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    /// Now (`UTIME_NOW`).
    Now,
    /// As it is (`UTIME_OMIT`).
    Keep,
    /// In nanoseconds since 1970.
    At(i64),
}

impl Time {
    fn resolve(self, now_ns: i64) -> Option<i64> {
        match self {
            Time::Now => Some(now_ns),
            Time::Keep => None,
            Time::At(ns) => Some(ns),
        }
    }
}

/// What utimensat(2) and its older kin ask for.
#[derive(Debug)]
pub struct TimesRequest {
    /// The call itself, for the real Linux.
    pub call: Call,
    /// Where its path stands.
    pub arg: PathArg,
    /// The path; `None` stands for the descriptor itself.
    pub path: Option<Vec<u8>>,
    /// Whether a link at the end of the path is followed.
    pub follow: bool,
    /// The times of access and modification.
    pub times: [Time; 2],
}

/// utimensat(2): sets times.
pub fn set_times(cx: &Cx, request: &TimesRequest) -> SysResult {
    let TimesRequest { call, arg, path, follow, times } = request;
    let dirfd = arg.dirfd(&call.args);
    let (real, result) = match path {
        None => match cx.file(dirfd) {
            Some(open) if !open.is_real() => return Ok(Outcome::Value(0)),
            _ => {
                let real = cx.task.guest.stat(dirfd, b"", 0)?;
                check_device(cx, dirfd, &real)?;
                (real, cx.native(call.number, call.args)?)
            }
        },
        Some(path) => {
            let target = lookup(cx, dirfd, path, *follow)?;
            let real = (*target.real(Errno::EPERM)?)?;
            (real, carry_out(cx, *call, &[(*arg, &target)])?)
        }
    };
    let (kernel, fs) = (&cx.kernel, &cx.kernel.fs);
    let now = kernel.timers.now() as i64;
    let inode = fs.virtualized(kernel, &real).ino;
    let [atime, mtime] = times;
    match (atime, mtime) {
        (Time::Keep, Time::Keep) => {}
        _ => fs.set_explicit(kernel, inode, atime.resolve(now), mtime.resolve(now)),
    }
    Ok(result.into())
}
