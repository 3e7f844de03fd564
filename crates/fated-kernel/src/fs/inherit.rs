//! The files that the first process has from outside: the standard streams of fated, and the descriptors from 3 on that fated itself
//! has inherited.
//!
//! Regular files and directories stay the real Linux's. Pipes, terminals and devices of memory are streams, which the kernel reads
//! and writes through its [`Console`](crate::ports::Console). Sources of randomness are the kernel's own.
//!
//! Invariant: a device from outside is never real to guests, so they can't change the host's node.

use crate::config::Inherited;
use crate::cx::Cx;
use crate::fs::devtmpfs::device::Device;
use crate::fs::devtmpfs::random::Random;
use crate::fs::directory::Directory;
use crate::fs::file::{File, OpenFile, Slot};
use crate::fs::host::file::NativeFile;
use crate::fs::inode::{FileStat, kind};
use crate::tty::stream::Stream;
use alloc::rc::Rc;
use linux_raw_sys::general::{__NR_fcntl, F_GETFL, O_ACCMODE, O_PATH};

/// Enters them into the table of the first process, and gives its session the terminal, if there is one.
pub fn install(cx: &Cx, inherited: &[Inherited]) {
    let standard = (0..=2).map(|fd| (fd, None));
    let others = inherited.iter().map(|it| (it.fd, Some(it.flags)));
    let mut on_terminal = false;
    for (fd, flags) in standard.chain(others) {
        let Ok(held) = cx.task.guest.stat(fd, b"", 0) else { continue };
        if held.is(kind::REGULAR) || held.is(kind::DIRECTORY) {
            install_real(cx, fd, &held);
            continue;
        }
        let stream = Stream::new(cx, fd, held, flags);
        on_terminal |= stream.is_terminal();
        let flags = flags.unwrap_or_else(|| stream.access());
        let file: Rc<dyn File> = match stream.device() {
            Some(device @ (Device::Random | Device::Urandom)) => Rc::new(Random(device)),
            _ => Rc::new(stream),
        };
        cx.task.files.borrow().set(fd, OpenFile::new(cx, file, flags), false);
    }
    let (group, session) = {
        let family = cx.kernel.family.borrow();
        let own = cx.task.tid.get();
        (family.pgid(own), family.sid(own))
    };
    cx.kernel.terminal.give_to(session.filter(|_| on_terminal), group);
}

/// A file or a directory of the real Linux.
fn install_real(cx: &Cx, fd: i32, held: &FileStat) {
    let flags = cx.native(__NR_fcntl.into(), [fd as u64, F_GETFL.into(), 0, 0, 0, 0]).unwrap_or(0) as u32;
    let file: Rc<dyn File> = if flags & O_PATH != 0 || held.is(kind::REGULAR) && flags & O_ACCMODE == 0 {
        drop(cx.task.files.borrow().put(fd, Slot::Host(cx.new_host_file(false))));
        return;
    } else if held.is(kind::DIRECTORY) {
        let path = cx.files().proc_link(&alloc::format!("fd/{fd}")).unwrap_or_default();
        Directory::inherited(cx, held, path)
    } else {
        let ino = cx.kernel.fs.virtualized(&cx.kernel, held).ino;
        Rc::new(NativeFile { ino, writes: Some(cx.kernel.fs.written.begin(held)) })
    };
    cx.task.files.borrow().set(fd, OpenFile::new(cx, file, flags), false);
}
