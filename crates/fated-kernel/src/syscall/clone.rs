//! fork(2), vfork(2), clone(2), clone3(2). What they do is in [`crate::process::fork`].

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::SysResult;
use crate::process::fork::{self, CLEAR_SIGHAND, PARENT, Request, SIGHAND, THREAD, VFORK, VM};
use crate::signal::nr;
use crate::syscall::Args;
use linux_raw_sys::general as c;

/// How deep pid namespaces may be nested.
const MAX_PID_NS_LEVEL: u64 = 32;
/// `CLONE_INTO_CGROUP`.
const INTO_CGROUP: u64 = 1 << 33;

async fn make(cx: Cx, request: Request) -> SysResult {
    let tid = fork::fork(cx, request).await?;
    Ok(u64::from(tid.get()).into())
}

pub async fn fork(cx: Cx) -> SysResult {
    make(cx, Request { exit_signal: nr::CHLD as u64, ..Request::default() }).await
}

pub async fn vfork(cx: Cx) -> SysResult {
    make(cx, Request { flags: VFORK | VM, exit_signal: nr::CHLD as u64, ..Request::default() }).await
}

pub async fn clone(cx: Cx, a: Args) -> SysResult {
    const CSIGNAL: u64 = 0xff;
    let [flags, stack, parent_tid, child_tid, tls, _] = a;
    let flags = flags & 0xffff_ffff;
    let request = Request {
        flags: flags & !CSIGNAL,
        exit_signal: flags & CSIGNAL,
        stack,
        parent_tid,
        child_tid,
        // The old call has one place for both.
        pidfd: parent_tid,
        tls,
        chosen: None,
    };
    if flags & u64::from(c::CLONE_PIDFD) != 0 && flags & u64::from(c::CLONE_PARENT_SETTID) != 0 {
        return Err(Errno::EINVAL);
    }
    make(cx, request).await
}

pub async fn clone3(cx: Cx, a: Args) -> SysResult {
    const KNOWN: usize = 88;
    let size = a[1] as usize;
    if size < 64 {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = cx.read_vec(a[0], size)?;
    if bytes.iter().skip(KNOWN).any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    bytes.resize(KNOWN, 0);
    let mut words = [0; KNOWN / 8];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut raw = [0; 8];
        raw.copy_from_slice(chunk);
        *word = u64::from_le_bytes(raw);
    }
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, _] = words;
    if set_tid_size > MAX_PID_NS_LEVEL || (set_tid == 0) != (set_tid_size == 0) {
        return Err(Errno::EINVAL);
    }
    let detached = u64::from(c::CLONE_DETACHED);
    if flags & (detached | 0xff) != 0 || exit_signal > 64 || flags & INTO_CGROUP != 0 {
        return Err(Errno::EINVAL);
    }
    if (stack == 0) != (stack_size == 0) || (flags & (THREAD | PARENT) != 0 && exit_signal != 0) {
        return Err(Errno::EINVAL);
    }
    if flags & CLEAR_SIGHAND != 0 && flags & SIGHAND != 0 {
        return Err(Errno::EINVAL);
    }
    let mut chosen = None;
    if set_tid_size != 0 {
        cx.read_vec(set_tid, set_tid_size as usize * 4)?;
        chosen = Some(cx.read_u32(set_tid)? as i32);
    }
    let too_deep = set_tid_size > 1;
    let stack = stack.wrapping_add(stack_size);
    let request = Request { flags, exit_signal, stack, parent_tid, child_tid, pidfd, tls, chosen };
    // There is one pid namespace.
    if too_deep { Err(Errno::EINVAL) } else { make(cx, request).await }
}
