//! `struct msghdr` and the control messages behind it (cmsg(3)).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::net::msg::{Ancillary, Received, Sender};
use crate::net::unix::rights::Right;
use alloc::vec::Vec;
use linux_raw_sys::net::{SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET};

/// A `struct msghdr`.
pub(super) struct Header {
    /// It names a destination.
    pub named: bool,
    pub iov: u64,
    pub iov_len: u64,
    pub control: u64,
    pub control_len: u64,
}

impl Header {
    pub fn read(cx: &Cx, addr: u64) -> Result<Header, Errno> {
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
/// The most open files in a message (`SCM_MAX_FD`).
const MOST_RIGHTS: usize = 253;

/// Reads what goes along with the bytes.
pub(super) fn read_control(cx: &Cx, header: &Header) -> Result<Ancillary, Errno> {
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
                    // A file of the real Linux can't be passed on: EINVAL, as for a kind of file that Linux doesn't pass on.
                    let open = cx.file_or(fd, Errno::EINVAL)?;
                    if open.file.is_native() {
                        return Err(Errno::EINVAL);
                    }
                    with.rights.push(Right::new(&cx.kernel.rights_in_flight, open)?);
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

/// The credentials that a sender claims to have: its own, unless it is root.
fn claimed(cx: &Cx, data: &[u8]) -> Result<Sender, Errno> {
    if data.len() != 12 {
        return Err(Errno::EINVAL);
    }
    let [pid, uid, gid] = [0, 4, 8].map(|at| word(data, at) as u32);
    let own = cx.process().credentials.borrow();
    let mine = pid == cx.process().pid.get() && own.uid.contains(&uid) && own.gid.contains(&gid);
    if mine || own.uid[1] == 0 { Ok([pid, uid, gid]) } else { Err(Errno::EPERM) }
}

/// The 64 bits at `at`; what is missing is 0.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    let there = bytes.get(at..).unwrap_or_default();
    let len = there.len().min(8);
    raw[..len].copy_from_slice(&there[..len]);
    u64::from_le_bytes(raw)
}

/// Writes what came with the bytes; returns how long that is, and whether it is complete.
pub(super) fn write_control(
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
