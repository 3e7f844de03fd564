//! execve(2) and execveat(2). What they do is in [`crate::process::exec`].

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::SysResult;
use crate::process::exec::exec;
use crate::process::exec::plan::Request;
use crate::syscall::Args;
use linux_raw_sys::general::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};

pub fn execve(cx: &Cx, a: Args) -> SysResult {
    let [path, argv, envp, ..] = a;
    exec(cx, Request { dirfd: AT_FDCWD, path, argv, envp, flags: 0, stands_for_name: false })
}

pub fn execveat(cx: &Cx, a: Args) -> SysResult {
    let [dirfd, path, argv, envp, flags, _] = a;
    let flags = flags as u32;
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        let none = cx.read_path(path)?.is_empty() && flags & AT_EMPTY_PATH == 0;
        return Err(if none { Errno::ENOENT } else { Errno::EINVAL });
    }
    exec(cx, Request { dirfd: dirfd as i32, path, argv, envp, flags, stands_for_name: false })
}
