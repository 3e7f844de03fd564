//! socketpair(2) and the calls on its sockets: send(2), recv(2), shutdown(2), getsockopt(2) and their kin.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::OpenFile;
use crate::fs::poll;
use crate::mm::iov_iter::Buffers;
use crate::net::unix::{Ancillary, BUFFER, Kind, Receive, Received, Right, Sender, Socket};
use crate::outcome::SysResult;
use crate::syscall::Args;
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general as c;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};
use linux_raw_sys::net;

const AF_UNIX: u32 = net::AF_UNIX;
const SOL_SOCKET: u32 = net::SOL_SOCKET;

const MSG_OOB: u32 = 0x1;
const MSG_PEEK: u32 = 0x2;
const MSG_CTRUNC: u32 = 0x8;
const MSG_TRUNC: u32 = 0x20;
const MSG_DONTWAIT: u32 = 0x40;
const MSG_WAITALL: u32 = 0x100;
const MSG_ERRQUEUE: u32 = 0x2000;
const MSG_NOSIGNAL: u32 = 0x4000;
const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;

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
        1 => Kind::Stream,
        // Raw is taken for datagrams.
        2 | 3 => Kind::Datagram,
        5 => Kind::Packet,
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

fn find(cx: &Cx, fd: u64) -> Result<Rc<OpenFile>, Errno> {
    let open = cx.file_or(fd as i32, Errno::ENOTSOCK)?;
    if open.downcast::<Socket>().is_some() { Ok(open) } else { Err(Errno::ENOTSOCK) }
}

fn socket(open: &OpenFile) -> Result<&Socket, Errno> {
    open.downcast::<Socket>().ok_or(Errno::ENOTSOCK)
}

pub async fn sendto(cx: Cx, a: Args) -> SysResult {
    let [fd, addr, len, flags, name, name_len] = a;
    crate::syscall::rw::check_range(addr, len)?;
    let open = find(&cx, fd)?;
    check_name(socket(&open)?, name != 0 && name_len as u32 != 0)?;
    send(&cx, &open, Buffers::one(&cx, addr, len), flags as u32, Ancillary::default()).await
}

/// The sockets of a pair are connected: a message can't go elsewhere.
fn check_name(socket: &Socket, named: bool) -> Result<(), Errno> {
    match socket.kind() {
        Kind::Stream if named => Err(Errno::EISCONN),
        Kind::Datagram if named => Err(Errno::ECONNREFUSED),
        _ => Ok(()),
    }
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
                if let Err(error) = crate::syscall::rw::wait_for(cx, open, poll::OUT).await {
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
    crate::syscall::rw::check_range(addr, len)?;
    let open = find(&cx, fd)?;
    let received = receive(&cx, &open, Buffers::one(&cx, addr, len), flags as u32).await?;
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
            Err(Errno::EAGAIN) if waits => match crate::syscall::rw::wait_for(cx, open, poll::IN).await {
                Ok(()) => continue,
                Err(error) => error,
            },
            Err(error) => error,
        };
        return so_far.ok_or(error);
    }
}

/// A `struct msghdr`.
struct Header {
    named: bool,
    iov: u64,
    iov_len: u64,
    control: u64,
    control_len: u64,
}

impl Header {
    fn read(cx: &Cx, addr: u64) -> Result<Header, Errno> {
        let [name, name_len, iov, iov_len, control, control_len, _] = cx.read_words(addr)?;
        if (name_len as i32) < 0 {
            return Err(Errno::EINVAL);
        }
        if iov_len > 1024 {
            return Err(Errno::EMSGSIZE);
        }
        let named = name != 0 && name_len as u32 != 0;
        let control_len = if control == 0 { 0 } else { control_len };
        Ok(Header { named, iov, iov_len, control, control_len })
    }
}

/// The size of a `struct cmsghdr`.
const CMSG: usize = 16;
const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;
/// The most open files in a message (`SCM_MAX_FD`).
const MOST_RIGHTS: usize = 253;

pub async fn sendmsg(cx: Cx, a: Args) -> SysResult {
    let open = find(&cx, a[0])?;
    let header = Header::read(&cx, a[1])?;
    let from = Buffers::many(&cx, header.iov, header.iov_len)?;
    let with = read_control(&cx, &header)?;
    check_name(socket(&open)?, header.named)?;
    send(&cx, &open, from, a[2] as u32, with).await
}

fn read_control(cx: &Cx, header: &Header) -> Result<Ancillary, Errno> {
    /// `/proc/sys/net/core/optmem_max`.
    const LIMIT: u64 = 1 << 17;
    let mut with = Ancillary::default();
    if header.control_len > LIMIT {
        return Err(Errno::ENOBUFS);
    }
    let bytes = cx.read_vec(header.control, header.control_len as usize)?;
    let mut rest = bytes.as_slice();
    while let Some((head, _)) = rest.split_at_checked(CMSG) {
        let [len, level_and_kind] = [0, 8].map(|at| word(head, at));
        let (level, kind) = (level_and_kind as u32, (level_and_kind >> 32) as u32);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let data = rest.get(CMSG..len).ok_or(Errno::EINVAL)?;
        match (level, kind) {
            (SOL_SOCKET, SCM_RIGHTS) => {
                for number in data.chunks_exact(4) {
                    let fd = i32::from_le_bytes([number[0], number[1], number[2], number[3]]);
                    // A file of the real Linux can't be handed over: EINVAL, as for a kind of file that isn't allowed.
                    let open = cx.file_or(fd, Errno::EINVAL)?;
                    if open.file.is_native() {
                        return Err(Errno::EINVAL);
                    }
                    with.rights.push(Right::new(&cx.kernel, open)?);
                }
                if with.rights.len() > MOST_RIGHTS {
                    return Err(Errno::EINVAL);
                }
            }
            (SOL_SOCKET, SCM_CREDENTIALS) => with.sender = Some(claimed(cx, data)?),
            (SOL_SOCKET, _) => return Err(Errno::EINVAL),
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(with)
}

/// The credentials that a sender gives: its own, unless it is root.
fn claimed(cx: &Cx, data: &[u8]) -> Result<Sender, Errno> {
    if data.len() != 12 {
        return Err(Errno::EINVAL);
    }
    let [pid, uid, gid] = [0, 4, 8].map(|at| word(data, at) as u32);
    let own = cx.process().credentials.borrow();
    let mine = pid == cx.process().pid.get() && own.uid.contains(&uid) && own.gid.contains(&gid);
    if mine || own.uid[1] == 0 { Ok([pid, uid, gid]) } else { Err(Errno::EPERM) }
}

/// The 64 bits at `at`, as far as there are so many.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    let there = bytes.get(at..).unwrap_or_default();
    let len = there.len().min(8);
    raw[..len].copy_from_slice(&there[..len]);
    u64::from_le_bytes(raw)
}

pub async fn recvmsg(cx: Cx, a: Args) -> SysResult {
    let [fd, addr, flags, ..] = a;
    let flags = flags as u32;
    let open = find(&cx, fd)?;
    let header = Header::read(&cx, addr)?;
    let to = Buffers::many(&cx, header.iov, header.iov_len)?;
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

/// Puts what came with the bytes where the caller wants it; returns how much, and whether that is all.
fn write_control(
    cx: &Cx,
    header: &Header,
    received: &Received,
    credentials: bool,
    cloexec: bool,
) -> Result<(u64, bool), Errno> {
    let mut bytes: Vec<u8> = Vec::new();
    let room = usize::try_from(header.control_len).unwrap_or(usize::MAX);
    let mut complete = true;
    let message = |bytes: &mut Vec<u8>, kind: u32, data: &[u8]| {
        bytes.extend_from_slice(&((CMSG + data.len()) as u64).to_le_bytes());
        bytes.extend_from_slice(&SOL_SOCKET.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    };
    if let Some(sender) = received.sender.filter(|_| credentials) {
        if room >= CMSG + 12 {
            let data: Vec<u8> = sender.iter().flat_map(|id| id.to_le_bytes()).collect();
            message(&mut bytes, SCM_CREDENTIALS, &data);
        } else {
            complete = false;
        }
    }
    if !received.rights.is_empty() {
        let fits = room.saturating_sub(bytes.len() + CMSG) / 4;
        let mut data = Vec::new();
        for open in received.rights.iter().take(fits) {
            let Ok(fd) = cx.placeholder(cloexec) else { break };
            cx.task.files.borrow().set(fd, open.clone(), cloexec);
            data.extend_from_slice(&fd.to_le_bytes());
        }
        complete &= data.len() / 4 == received.rights.len();
        if !data.is_empty() {
            message(&mut bytes, SCM_RIGHTS, &data);
        }
    }
    bytes.truncate(room);
    cx.write(header.control, &bytes)?;
    Ok((bytes.len() as u64, complete))
}

pub fn shutdown(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let open = find(cx, a[0])?;
    let socket = socket(&open)?;
    match a[1] as u32 {
        0 => socket.shut(true, false),
        1 => socket.shut(false, true),
        2 => socket.shut(true, true),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// getsockname(2) and getpeername(2): neither end has a name, so the family is all there is.
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

const SO_DEBUG: u32 = 1;
const SO_REUSEADDR: u32 = 2;
const SO_TYPE: u32 = 3;
const SO_ERROR: u32 = 4;
const SO_DONTROUTE: u32 = 5;
const SO_BROADCAST: u32 = 6;
const SO_SNDBUF: u32 = 7;
const SO_RCVBUF: u32 = 8;
const SO_KEEPALIVE: u32 = 9;
const SO_OOBINLINE: u32 = 10;
const SO_PRIORITY: u32 = 12;
const SO_LINGER: u32 = 13;
const SO_REUSEPORT: u32 = 15;
const SO_PASSCRED: u32 = 16;
const SO_PEERCRED: u32 = 17;
const SO_RCVLOWAT: u32 = 18;
const SO_SNDLOWAT: u32 = 19;
const SO_RCVTIMEO: u32 = 20;
const SO_SNDTIMEO: u32 = 21;
const SO_ACCEPTCONN: u32 = 30;
const SO_PROTOCOL: u32 = 38;
const SO_DOMAIN: u32 = 39;

pub fn getsockopt(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [fd, level, option, addr, len_addr, _] = a;
    let open = find(cx, fd)?;
    let socket = socket(&open)?;
    let room = cx.read_u32(len_addr)?;
    if (room as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    if level as u32 != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let words: &[u32] = match option as u32 {
        SO_TYPE => match socket.kind() {
            Kind::Stream => &[1],
            Kind::Datagram => &[2],
            Kind::Packet => &[5],
        },
        SO_ERROR => &[socket.take_error().map_or(0, |error| error.number() as u32)],
        SO_SNDBUF => &[socket.limit() as u32],
        SO_PEERCRED => &socket.maker(),
        SO_LINGER => &[socket.option(SO_LINGER), 0],
        SO_RCVTIMEO | SO_SNDTIMEO => {
            let ns = socket.timeout(option as u32 == SO_SNDTIMEO).unwrap_or(0);
            let (seconds, micros) = (ns / 1_000_000_000, ns % 1_000_000_000 / 1000);
            &[seconds as u32, (seconds >> 32) as u32, micros as u32, 0]
        }
        SO_DOMAIN => &[AF_UNIX],
        SO_PROTOCOL | SO_ACCEPTCONN => &[0],
        SO_RCVLOWAT => &[socket.option(SO_RCVLOWAT).max(1)],
        SO_SNDLOWAT => &[1],
        SO_RCVBUF => match socket.option(SO_RCVBUF) {
            0 => &[BUFFER as u32],
            set => &[set],
        },
        plain @ (SO_DEBUG | SO_REUSEADDR | SO_DONTROUTE | SO_BROADCAST | SO_KEEPALIVE | SO_OOBINLINE | SO_PRIORITY
        | SO_REUSEPORT | SO_PASSCRED) => &[socket.option(plain)],
        _ => return Err(Errno::ENOPROTOOPT),
    };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let len = bytes.len().min(room as usize);
    cx.write(addr, &bytes[..len])?;
    cx.write_u32(len_addr, len as u32)?;
    Ok(0)
}

pub fn setsockopt(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const SMALLEST_SEND: u32 = 4608;
    const SMALLEST_RECEIVE: u32 = 2304;
    let [fd, level, option, addr, len, _] = a;
    let open = find(cx, fd)?;
    let socket = socket(&open)?;
    if level as u32 != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    if (len as u32) < 4 || (len as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let value = cx.read_u32(addr)?;
    let doubled = |smallest: u32| value.min(BUFFER as u32).saturating_mul(2).max(smallest);
    match option as u32 {
        SO_SNDBUF => socket.set_limit(doubled(SMALLEST_SEND) as usize),
        SO_RCVBUF => socket.set_option(SO_RCVBUF, doubled(SMALLEST_RECEIVE)),
        SO_RCVTIMEO | SO_SNDTIMEO => {
            if (len as u32) < 16 {
                return Err(Errno::EINVAL);
            }
            let [seconds, micros] = cx.read_words(addr)?;
            if micros >= 1_000_000 {
                return Err(Errno::EDOM);
            }
            let ns = seconds.saturating_mul(1_000_000_000).saturating_add(micros * 1000);
            // A negative time is no time at all, and 0 is no limit.
            let ns = if (seconds as i64) < 0 { Some(0) } else { Some(ns).filter(|&ns| ns > 0) };
            socket.set_timeout(option as u32 == SO_SNDTIMEO, ns);
        }
        plain @ (SO_PRIORITY | SO_RCVLOWAT) => socket.set_option(plain, value),
        plain @ (SO_DEBUG | SO_REUSEADDR | SO_DONTROUTE | SO_BROADCAST | SO_KEEPALIVE | SO_OOBINLINE | SO_REUSEPORT
        | SO_PASSCRED | SO_LINGER) => socket.set_option(plain, u32::from(value != 0)),
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(0)
}
