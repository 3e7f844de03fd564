//! getdents(2) and getdents64(2).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::file::OpenFile;
use crate::file::directory::Directory;
use crate::fs::kind;
use crate::fs::listing::Entry;
use crate::guest::Call;
use alloc::{rc::Rc, vec::Vec};
use linux_raw_sys::general::{__NR_getdents64, FD_CLOEXEC};

/// Both calls.
pub fn getdents(cx: &Cx, call: Call) -> Result<u64, Errno> {
    let [fd, to, size, ..] = call.args;
    let open = open_directory(cx, fd as i32)?;
    let directory = open.downcast::<Directory>().ok_or(Errno::ENOTDIR)?;
    let listing = directory.list(cx, fd as i32)?;
    let from = usize::try_from(directory.position()).unwrap_or(usize::MAX);
    let encode = if call.number as u32 == __NR_getdents64 { encode_new } else { encode_old };
    let size = size as u32 as usize;
    let mut bytes = Vec::with_capacity(size.min(listing.encoded_len()));
    let mut position = directory.position();
    for entry in listing.entries(from) {
        let end = bytes.len();
        encode(&entry, position + 1, &mut bytes);
        if bytes.len() > size {
            bytes.truncate(end);
            if bytes.is_empty() {
                return Err(Errno::EINVAL);
            }
            break;
        }
        position += 1;
    }
    cx.write(to, &bytes)?;
    directory.set_position(position);
    Ok(bytes.len() as u64)
}

/// The directory behind a descriptor. One that came from outside of the run gets known to the kernel here.
fn open_directory(cx: &Cx, fd: i32) -> Result<Rc<OpenFile>, Errno> {
    const F_GETFD: u64 = 1;
    const F_GETFL: u64 = 3;
    const O_PATH: u64 = 0o10_000_000;
    if let Some(open) = cx.file(fd) {
        return Ok(open);
    }
    let real = cx.task.guest.stat(fd, b"", 0)?;
    if !real.is(kind::DIRECTORY) {
        return Err(Errno::ENOTDIR);
    }
    let fcntl = |command| cx.native(linux_raw_sys::general::__NR_fcntl.into(), [fd as u64, command, 0, 0, 0, 0]);
    let flags = fcntl(F_GETFL)?;
    if flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let path = cx.task.guest.proc_link(&alloc::format!("fd/{fd}"))?;
    let directory = Directory::inherited(cx, &real, path);
    let open = OpenFile::new(cx, directory, flags as u32);
    cx.task.files.borrow().set(fd, open.clone(), fcntl(F_GETFD)? & u64::from(FD_CLOEXEC) != 0);
    Ok(open)
}

/// `struct linux_dirent64`: inode, offset of the next, length, kind, name.
fn encode_new(entry: &Entry, next: u64, to: &mut Vec<u8>) {
    const NAME: usize = 19;
    let len = (NAME + entry.name.len() + 1).next_multiple_of(8);
    let end = to.len() + len;
    head(entry, next, len, to);
    to.push(entry.kind);
    to.extend_from_slice(entry.name);
    to.resize(end, 0);
}

/// `struct linux_dirent`: the kind stands in the last byte.
fn encode_old(entry: &Entry, next: u64, to: &mut Vec<u8>) {
    const NAME: usize = 18;
    let len = (NAME + entry.name.len() + 2).next_multiple_of(8);
    let end = to.len() + len;
    head(entry, next, len, to);
    to.extend_from_slice(entry.name);
    to.resize(end - 1, 0);
    to.push(entry.kind);
}

fn head(entry: &Entry, next: u64, len: usize, to: &mut Vec<u8>) {
    to.extend_from_slice(&entry.ino.to_le_bytes());
    to.extend_from_slice(&next.to_le_bytes());
    to.extend_from_slice(&(len as u16).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_linuxs_layout() {
        let entry = Entry { name: b"name", ino: 5, kind: 8 };
        let (mut new, mut old) = (Vec::new(), Vec::new());
        encode_new(&entry, 3, &mut new);
        assert_eq!((new.len(), new[0], new[8], new[16], new[18]), (24, 5, 3, 24, 8));
        assert_eq!(&new[19..24], b"name\0");
        encode_old(&entry, 3, &mut old);
        assert_eq!((old.len(), old[16], old[23]), (24, 24, 8));
        assert_eq!(&old[18..23], b"name\0");
    }
}
