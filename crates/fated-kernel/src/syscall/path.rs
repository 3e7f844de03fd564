//! Calls that ask about a path, or set where paths begin. Each path is looked up first ([`crate::fs::namei`]); the real Linux then carries
//! the call out unless the path leads to a generated file.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::attr::means_descriptor;
use crate::fs::cwd;
use crate::fs::generated::Inode;
use crate::fs::host::carry_out::{Borrowed, PathArg, pass};
use crate::fs::namei::{AT_FDCWD, Found, NOFOLLOW, lookup};
use crate::fs::permission::permitted;
use crate::outcome::{Outcome, SysResult};
use crate::syscall::Args;
use alloc::vec::Vec;
use linux_raw_sys::general::{__NR_access, __NR_faccessat, __NR_faccessat2, __NR_readlink, AT_EACCESS, AT_EMPTY_PATH};

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
    let target = lookup(cx, arg.dirfd(&a), &path, flags & NOFOLLOW == 0)?;
    match &target.found {
        Found::Real(_) => pass(cx, call, &[(arg, &target)]),
        Found::Generated(inode) => permitted(cx, &inode.stat(cx, &target.path), mode).map(|()| Outcome::Value(0)),
        Found::Open(open) => permitted(cx, &open.file.stat(cx)?, mode).map(|()| Outcome::Value(0)),
    }
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
    if path.is_empty() && arg.has_directory() {
        // The link that an O_PATH descriptor stands for.
        return Ok(Outcome::Pass);
    }
    let target = lookup(cx, arg.dirfd(&a), &path, false)?;
    let text = match &target.found {
        Found::Real(_) => return pass(cx, call, &[(arg, &target)]),
        Found::Generated(Inode::Link(text)) => text.clone(),
        Found::Generated(Inode::MagicLink(link)) => link.text(cx)?,
        _ => return Err(Errno::EINVAL),
    };
    let len = text.len().min(size as usize);
    cx.write(to, text.get(..len).unwrap_or(&text))?;
    Ok(Outcome::Value(len as u64))
}

/// getcwd(2).
pub fn getcwd(cx: &Cx, a: Args) -> SysResult {
    let Some(path) = cwd::path(cx)? else { return Ok(Outcome::Pass) };
    let text = [&*path, b"\0"].concat();
    if text.len() as u64 > a[1] {
        return Err(Errno::ERANGE);
    }
    cx.write(a[0], &text)?;
    Ok(Outcome::Value(text.len() as u64))
}

/// umask(2): the real process has the same mask, so Linux knows the old one, too.
pub fn umask(cx: &Cx, a: Args) -> SysResult {
    cx.task.fs.borrow().set_umask(a[0] as u32);
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

/// Finds a program. A generated file is none.
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
    let target = lookup(cx, dirfd, &path, flags & NOFOLLOW == 0)?;
    target.real(Errno::EACCES)?;
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(&path).to_vec();
    if !target.rewritten {
        return Ok(Program { name, path, path_addr, borrowed: None });
    }
    let borrowed = Borrowed::new(cx, &target.path)?;
    Ok(Program { name, path: target.path, path_addr: borrowed.addr, borrowed: Some(borrowed) })
}
