//! socketpair(2), send(2), recv(2), shutdown(2) and their kin. Options are in [`sockopt`](super::sockopt).

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::OpenFile;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::net::Kind;
use crate::net::msg::{Ancillary, Receive, Received};
use crate::net::socket::Socket;
use crate::outcome::SysResult;
use crate::syscall::Args;
use crate::syscall::cmsg::{Header, read_control, write_control};
use alloc::rc::Rc;
use linux_raw_sys::general as c;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};
use linux_raw_sys::net::{
    self, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_TRUNC,
    MSG_WAITALL, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_PASSCRED, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
};

pub(super) const AF_UNIX: u32 = net::AF_UNIX;

pub fn socketpair(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const TYPES: u32 = 0xf;
    const HIGHEST_TYPE: u32 = 10;
    let [family, kind, protocol, addr, ..] = a;
    let (family, kind) = (family as u32, kind as u32);
    let flags = kind & !TYPES;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    match family {
        AF_UNIX => {}
        net::AF_INET | net::AF_INET6 => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EAFNOSUPPORT),
    }
    if protocol as u32 != 0 && protocol as u32 != AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let kind = match kind & TYPES {
        SOCK_STREAM => Kind::Stream,
        SOCK_DGRAM | SOCK_RAW => Kind::Datagram,
        SOCK_SEQPACKET => Kind::Packet,
        other => return Err(if other > HIGHEST_TYPE { Errno::EINVAL } else { Errno::ESOCKTNOSUPPORT }),
    };
    cx.check_room_for_two()?;
    // A real pipe holds both numbers, and has written them where they belong.
    cx.native(c::__NR_pipe2.into(), [addr, u64::from(flags & O_CLOEXEC), 0, 0, 0, 0])?;
    let numbers = [cx.read_u32(addr)?, cx.read_u32(addr.wrapping_add(4))?];
    for (number, socket) in numbers.into_iter().zip(Socket::pair(cx, kind)) {
        let open = OpenFile::new(cx, socket, O_RDWR | flags & O_NONBLOCK);
        cx.task.files.borrow().set(number as i32, open, flags & O_CLOEXEC != 0);
    }
    Ok(0)
}

pub(super) fn find(cx: &Cx, fd: u64) -> Result<Rc<OpenFile>, Errno> {
    let open = cx.file_or(fd as i32, Errno::ENOTSOCK)?;
    if open.downcast::<Socket>().is_some() { Ok(open) } else { Err(Errno::ENOTSOCK) }
}

pub(super) fn socket(open: &OpenFile) -> Result<&Socket, Errno> {
    open.downcast::<Socket>().ok_or(Errno::ENOTSOCK)
}

pub async fn sendto(cx: Cx, a: Args) -> SysResult {
    let [fd, addr, len, flags, name, name_len] = a;
    crate::mm::iov_iter::check_range(addr, len)?;
    let open = find(&cx, fd)?;
    if name != 0 && name_len as u32 != 0 {
        socket(&open)?.check_destination()?;
    }
    send(&cx, &open, Buffers::one(cx.memory(), addr, len), flags as u32, Ancillary::default()).await
}

async fn send(cx: &Cx, open: &OpenFile, mut from: Buffers, flags: u32, mut with: Ancillary) -> SysResult {
    let socket = socket(open)?;
    if flags & MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let waits = flags & MSG_DONTWAIT == 0 && !open.nonblocking();
    let quiet = flags & MSG_NOSIGNAL != 0;
    let mut done = 0;
    loop {
        match socket.send(cx, &mut from, quiet, &mut with) {
            Ok(n) => {
                done += n;
                if n == 0 || from.left() == 0 {
                    return Ok(done.into());
                }
            }
            Err(Errno::EAGAIN) if waits => {
                if let Err(error) = crate::fs::read_write::wait_for(cx, open, poll::OUT).await {
                    return if done > 0 { Ok(done.into()) } else { Err(error) };
                }
            }
            Err(_) if done > 0 => return Ok(done.into()),
            Err(error) => return Err(error),
        }
    }
}

pub async fn recvfrom(cx: Cx, a: Args) -> SysResult {
    let [fd, addr, len, flags, name, name_len] = a;
    crate::mm::iov_iter::check_range(addr, len)?;
    let open = find(&cx, fd)?;
    let received = receive(&cx, &open, Buffers::one(cx.memory(), addr, len), flags as u32).await?;
    if name != 0 {
        // The other end has no name.
        cx.write_u32(name_len, 0)?;
    }
    Ok(received.len.into())
}

async fn receive(cx: &Cx, open: &OpenFile, mut to: Buffers, flags: u32) -> Result<Received, Errno> {
    let socket = socket(open)?;
    if flags & MSG_OOB != 0 {
        return Err(if socket.kind() == Kind::Stream { Errno::EINVAL } else { Errno::EOPNOTSUPP });
    }
    if flags & MSG_ERRQUEUE != 0 {
        return Err(Errno::EAGAIN);
    }
    let waits = flags & MSG_DONTWAIT == 0 && !open.nonblocking();
    let how = Receive { peek: flags & MSG_PEEK != 0, whole_length: flags & MSG_TRUNC != 0 };
    let all = flags & MSG_WAITALL != 0 && !how.peek && socket.kind() == Kind::Stream;
    let mut so_far: Option<Received> = None;
    loop {
        let error = match socket.receive(&mut to, how) {
            Ok(next) => {
                let ended = next.len == 0;
                match &mut so_far {
                    Some(received) => {
                        received.len += next.len;
                        received.rights.extend(next.rights);
                    }
                    None => so_far = Some(next),
                }
                if !all || ended || to.left() == 0 {
                    return Ok(so_far.unwrap_or_default());
                }
                continue;
            }
            Err(Errno::EAGAIN) if waits => match crate::fs::read_write::wait_for(cx, open, poll::IN).await {
                Ok(()) => continue,
                Err(error) => error,
            },
            Err(error) => error,
        };
        return so_far.ok_or(error);
    }
}

pub async fn sendmsg(cx: Cx, a: Args) -> SysResult {
    let open = find(&cx, a[0])?;
    let header = Header::read(&cx, a[1])?;
    let from = Buffers::many(cx.memory(), header.iov, header.iov_len)?;
    let with = read_control(&cx, &header)?;
    if header.named {
        socket(&open)?.check_destination()?;
    }
    send(&cx, &open, from, a[2] as u32, with).await
}

pub async fn recvmsg(cx: Cx, a: Args) -> SysResult {
    let [fd, addr, flags, ..] = a;
    let flags = flags as u32;
    let open = find(&cx, fd)?;
    let header = Header::read(&cx, addr)?;
    let to = Buffers::many(cx.memory(), header.iov, header.iov_len)?;
    let received = receive(&cx, &open, to, flags).await?;
    let mut told = flags & MSG_CMSG_CLOEXEC;
    if received.truncated {
        told |= MSG_TRUNC;
    }
    let credentials = socket(&open)?.option(SO_PASSCRED) != 0;
    let (written, complete) = write_control(&cx, &header, &received, credentials, flags & MSG_CMSG_CLOEXEC != 0)?;
    if !complete {
        told |= MSG_CTRUNC;
    }
    // The other end has no name.
    cx.write_u32(addr.wrapping_add(8), 0)?;
    cx.write_words(addr.wrapping_add(40), &[written])?;
    cx.write_u32(addr.wrapping_add(48), told)?;
    Ok(received.len.into())
}

pub fn shutdown(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let open = find(cx, a[0])?;
    let socket = socket(&open)?;
    match a[1] as u32 {
        SHUT_RD => socket.shut(true, false),
        SHUT_WR => socket.shut(false, true),
        SHUT_RDWR => socket.shut(true, true),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// getsockname(2) and getpeername(2). The ends of a pair have no names, so the family is all there is.
pub fn name(cx: &Cx, a: Args) -> Result<u64, Errno> {
    find(cx, a[0])?;
    let room = cx.read_u32(a[2])?;
    if (room as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let family = (AF_UNIX as u16).to_le_bytes();
    let len = family.len().min(room as usize);
    cx.write(a[1], &family[..len])?;
    cx.write_u32(a[2], family.len() as u32)?;
    Ok(0)
}

/// The error of a refused call for something that programs do without: a server of names (`nscd`), for which C libraries look, and the
/// audit of a kernel, which PAM and others write to if there is one.
pub(super) fn optional(call: &Call) -> Option<Errno> {
    const AF_NETLINK: u64 = 16;
    const NETLINK_AUDIT: u64 = 9;
    const OF_NSCD: [u64; 3] = [AF_UNIX as u64, (SOCK_STREAM | O_NONBLOCK | O_CLOEXEC) as u64, 0];
    let [family, kind, protocol, ..] = call.args;
    match [family, kind, protocol] {
        _ if call.number != u64::from(c::__NR_socket) => None,
        OF_NSCD => Some(Errno::ENOSYS),
        [AF_NETLINK, _, NETLINK_AUDIT] => Some(Errno::EPROTONOSUPPORT),
        _ => None,
    }
}
