//! Calls that ask about a path, or set where paths begin. Each path is looked up first ([`crate::fs::namei`]); the real Linux then carries
//! the call out unless the path leads to a generated file.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::attr::means_descriptor;
use crate::fs::cwd;
use crate::fs::generated::Inode;
use crate::fs::host::carry_out::{PathArg, pass};
use crate::fs::magic_link;
use crate::fs::namei::{Found, lookup};
use crate::fs::permission::permitted;
use crate::outcome::{Outcome, SysResult};
use crate::ports::NOFOLLOW;
use crate::syscall::Args;
use linux_raw_sys::general::{__NR_access, __NR_faccessat, __NR_faccessat2, __NR_readlink, AT_EACCESS, AT_EMPTY_PATH};

/// access(2), faccessat(2), faccessat2(2).
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub fn access(cx: &Cx, call: Call) -> SysResult {
    let a = call.args;
    let (arg, mode, flags) = match call.number as u32 {
        __NR_access => (PathArg::from_cwd(0), a[1] as u32, 0),
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
        __NR_readlink => (PathArg::from_cwd(0), a[1], a[2] as i32),
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
        Found::Generated(Inode::MagicLink(link)) => magic_link::text(cx, link)?,
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
