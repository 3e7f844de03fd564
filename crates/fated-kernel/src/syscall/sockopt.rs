//! getsockopt(2) and setsockopt(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::net::{BUFFER, Kind};
use crate::syscall::Args;
use crate::syscall::socket::{AF_UNIX, find, socket};
use alloc::vec::Vec;
use linux_raw_sys::net::{
    SO_ACCEPTCONN, SO_BROADCAST, SO_DEBUG, SO_DOMAIN, SO_DONTROUTE, SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_OOBINLINE,
    SO_PASSCRED, SO_PEERCRED, SO_PRIORITY, SO_PROTOCOL, SO_RCVBUF, SO_RCVLOWAT, SO_RCVTIMEO, SO_REUSEADDR,
    SO_REUSEPORT, SO_SNDBUF, SO_SNDLOWAT, SO_SNDTIMEO, SO_TYPE, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};

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
            Kind::Stream => &[SOCK_STREAM],
            Kind::Datagram => &[SOCK_DGRAM],
            Kind::Packet => &[SOCK_SEQPACKET],
        },
        SO_ERROR => &[socket.take_error().map_or(0, |error| error.number() as u32)],
        SO_SNDBUF => &[socket.send_buffer() as u32],
        SO_PEERCRED => &socket.peer(),
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
        SO_SNDBUF => socket.set_send_buffer(doubled(SMALLEST_SEND) as usize),
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
            // A negative time has passed already, and 0 is no limit.
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
