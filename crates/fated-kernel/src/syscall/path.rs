//! Calls that take paths. Each path is gone through first ([`crate::fs::namei`]); the real Linux then carries the call out
//! unless the path leads to a file of the kernel's own.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::Node;
use crate::fs::inode::FileStat;
use crate::fs::namei::{AT_FDCWD, NOFOLLOW, Place, Target, walk, walk_to_name};
use crate::outcome::{Outcome, SysResult};
use crate::syscall::Args;
use alloc::vec::Vec;
use linux_raw_sys::general::{
    __NR_access, __NR_faccessat, __NR_faccessat2, __NR_readlink, __NR_utime, __NR_utimes, AT_EACCESS, AT_EMPTY_PATH,
};

mod change;
mod open;

pub use change::{change, changes_names};
pub use open::open;

/// Memory of the guest that is borrowed for a path in place of its own; given back as it was.
#[derive(Debug)]
pub struct Borrowed {
    /// Where the path stands.
    pub addr: u64,
    saved: Vec<u8>,
}

impl Borrowed {
    /// Puts `path` below the stack of the calling task, where nothing of the program's own is in use. Another thread may
    /// have data there, but none runs until it is given back.
    pub fn new(cx: &Cx, path: &[u8]) -> Result<Borrowed, Errno> {
        Borrowed::below(cx, cx.task.guest.regs().rsp, path)
    }

    fn below(cx: &Cx, from: u64, path: &[u8]) -> Result<Borrowed, Errno> {
        /// What a function may use below its stack pointer (x86-64 psABI).
        const RED_ZONE: u64 = 128;
        let text = [path, b"\0"].concat();
        let addr = from.wrapping_sub(RED_ZONE).wrapping_sub(text.len() as u64) & !15;
        let saved = cx.read_vec(addr, text.len()).map_err(|_| Errno::ENOMEM)?;
        cx.write(addr, &text).map_err(|_| Errno::ENOMEM)?;
        Ok(Borrowed { addr, saved })
    }

    /// Gives the memory back.
    pub fn restore(self, cx: &Cx) {
        // It was writable a moment ago.
        let _ = cx.write(self.addr, &self.saved);
    }
}

/// One path among the arguments of a call.
#[derive(Clone, Copy, Debug)]
struct PathArg {
    /// Which argument is the directory; `None` for the working directory.
    dirfd: Option<usize>,
    path: usize,
}

impl PathArg {
    const fn plain(path: usize) -> PathArg {
        PathArg { dirfd: None, path }
    }

    const fn at(dirfd: usize) -> PathArg {
        PathArg { dirfd: Some(dirfd), path: dirfd + 1 }
    }

    fn dirfd(self, a: &Args) -> i32 {
        self.dirfd.and_then(|at| a.get(at)).map_or(AT_FDCWD, |&fd| fd as i32)
    }

    fn read(self, cx: &Cx, a: &Args) -> Result<Vec<u8>, Errno> {
        cx.read_path(a.get(self.path).copied().unwrap_or(0))
    }

    fn walk_to_name(self, cx: &Cx, a: &Args) -> Result<Target, Errno> {
        walk_to_name(cx, self.dirfd(a), &self.read(cx, a)?)
    }

    fn walk(self, cx: &Cx, a: &Args, follow: bool) -> Result<Target, Errno> {
        walk(cx, self.dirfd(a), &self.read(cx, a)?, follow)
    }
}

/// Has the real Linux carry out `call` now, with the paths that were found where the guest's mean something else there.
fn carry_out(cx: &Cx, call: Call, paths: &[(PathArg, &Target)]) -> Result<u64, Errno> {
    let mut args = call.args;
    let mut borrowed = Vec::new();
    let mut below = cx.task.guest.regs().rsp;
    for (arg, target) in paths.iter().filter(|(_, target)| target.detour) {
        match Borrowed::below(cx, below, &[&target.path, target.ending].concat()) {
            Ok(memory) => {
                below = memory.addr;
                if let Some(slot) = args.get_mut(arg.path) {
                    *slot = memory.addr;
                }
                borrowed.push(memory);
            }
            Err(error) => {
                borrowed.into_iter().rev().for_each(|memory| memory.restore(cx));
                return Err(error);
            }
        }
    }
    let result = cx.native(call.number, args);
    borrowed.into_iter().rev().for_each(|memory| memory.restore(cx));
    result
}

/// The same for a call with one path, which stands behind its directory if there is one.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub fn carry_out_at(cx: &Cx, call: Call, target: &Target) -> Result<u64, Errno> {
    let arg = match call.number as u32 {
        __NR_utime | __NR_utimes => PathArg::plain(0),
        _ => PathArg::at(0),
    };
    carry_out(cx, call, &[(arg, target)])
}

/// The same for a call that nothing is to be learned from.
fn pass(cx: &Cx, call: Call, paths: &[(PathArg, &Target)]) -> SysResult {
    if paths.iter().any(|(_, target)| target.detour) {
        return carry_out(cx, call, paths).map(Outcome::Value);
    }
    Ok(Outcome::Pass)
}

/// Whether `path` is empty and the flags say that it then stands for the descriptor itself.
fn means_descriptor(path: &[u8], flags: u32) -> bool {
    path.is_empty() && flags & AT_EMPTY_PATH != 0
}

/// access(2), faccessat(2), faccessat2(2).
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub fn access(cx: &Cx, call: Call) -> SysResult {
    let a = call.args;
    let (arg, mode, flags) = match call.number as u32 {
        __NR_access => (PathArg::plain(0), a[1] as u32, 0),
        __NR_faccessat => (PathArg::at(0), a[2] as u32, 0),
        __NR_faccessat2 => (PathArg::at(0), a[2] as u32, a[3] as u32),
        _ => return Err(Errno::ENOSYS),
    };
    if mode & !7 != 0 || flags & !(AT_EACCESS | NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = arg.read(cx, &a)?;
    if means_descriptor(&path, flags) {
        return Ok(Outcome::Pass);
    }
    let target = walk(cx, arg.dirfd(&a), &path, flags & NOFOLLOW == 0)?;
    match &target.place {
        Place::Real(_) => pass(cx, call, &[(arg, &target)]),
        Place::Made(node) => permitted(cx, &node.stat(cx, &target.path), mode).map(|()| Outcome::Value(0)),
        Place::Open(open) => permitted(cx, &open.file.stat(cx)?, mode).map(|()| Outcome::Value(0)),
    }
}

/// Whether the caller may do what `mode` (`R_OK`, `W_OK`, `X_OK`) says with a file of the kernel's own.
fn permitted(cx: &Cx, stat: &FileStat, mode: u32) -> Result<(), Errno> {
    const X_OK: u32 = 1;
    let credentials = cx.process().credentials.borrow();
    let (uid, gid) = (credentials.uid[1], credentials.gid[1]);
    let granted = if uid == 0 {
        6 | if stat.mode & 0o111 != 0 { X_OK } else { 0 }
    } else if uid == stat.uid {
        stat.mode >> 6 & 7
    } else if gid == stat.gid || credentials.groups.contains(&stat.gid) {
        stat.mode >> 3 & 7
    } else {
        stat.mode & 7
    };
    if mode & !granted == 0 { Ok(()) } else { Err(Errno::EACCES) }
}

/// Whether a file can't be written to because it is a program that runs. Without the right to write that isn't the reason.
fn is_busy(cx: &Cx, real: &FileStat) -> bool {
    cx.kernel.fs.running.has(real) && permitted(cx, real, 2).is_ok()
}

/// readlink(2), readlinkat(2).
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub fn readlink(cx: &Cx, call: Call) -> SysResult {
    let a = call.args;
    let (arg, to, size) = match call.number as u32 {
        __NR_readlink => (PathArg::plain(0), a[1], a[2] as i32),
        _ => (PathArg::at(0), a[2], a[3] as i32),
    };
    if size <= 0 {
        return Err(Errno::EINVAL);
    }
    let path = arg.read(cx, &a)?;
    if path.is_empty() && arg.dirfd.is_some() {
        // The link that an O_PATH descriptor stands for.
        return Ok(Outcome::Pass);
    }
    let target = walk(cx, arg.dirfd(&a), &path, false)?;
    let text = match &target.place {
        Place::Real(_) => return pass(cx, call, &[(arg, &target)]),
        Place::Made(Node::Link(text)) => text.clone(),
        Place::Made(Node::Jump(jump)) => jump.text()?,
        _ => return Err(Errno::EINVAL),
    };
    let len = text.len().min(size as usize);
    cx.write(to, text.get(..len).unwrap_or(&text))?;
    Ok(Outcome::Value(len as u64))
}

/// getcwd(2): working directories are always real.
pub fn getcwd(_cx: &Cx, _a: Args) -> SysResult {
    Ok(Outcome::Pass)
}

/// A program to be started.
#[derive(Debug)]
pub struct Program {
    /// What it is called (`comm`).
    pub name: Vec<u8>,
    /// Its path as the real Linux knows it.
    pub path: Vec<u8>,
    /// Where that stands in guest memory.
    pub path_addr: u64,
    /// That memory, if it isn't the guest's own string: to be restored if the start fails.
    pub borrowed: Option<Borrowed>,
}

/// Finds a program. One in a place of the kernel's own is none.
pub fn program(cx: &Cx, dirfd: i32, path_addr: u64, flags: u32) -> Result<Program, Errno> {
    let path = cx.read_path(path_addr)?;
    if means_descriptor(&path, flags) {
        if dirfd != AT_FDCWD {
            cx.check_open(dirfd)?;
        }
        return match cx.file(dirfd) {
            Some(open) if !crate::fs::host::is_real(&open) => Err(Errno::EACCES),
            _ => Ok(Program { name: alloc::format!("{dirfd}").into_bytes(), path, path_addr, borrowed: None }),
        };
    }
    let target = walk(cx, dirfd, &path, flags & NOFOLLOW == 0)?;
    target.real(Errno::EACCES)?;
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(&path).to_vec();
    if !target.detour {
        return Ok(Program { name, path, path_addr, borrowed: None });
    }
    let borrowed = Borrowed::new(cx, &target.path)?;
    Ok(Program { name, path: target.path, path_addr: borrowed.addr, borrowed: Some(borrowed) })
}
