//! `/proc/PID/fd` and `/proc/PID/fdinfo`.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::descriptors::{settle, slot_of};
use crate::fs::generated::{Dir, Inode, Source, owner_of};
use crate::process::task::Task;
use alloc::{format, rc::Rc, string::String, vec::Vec};
use core::fmt::Write as _;

/// One of the two directories of a task.
#[derive(Debug)]
struct Descriptors(Rc<Task>);

impl Dir for Descriptors {
    fn mode(&self) -> u32 {
        0o500
    }

    fn owner(&self) -> (u32, u32) {
        owner_of(&self.0.process)
    }

    fn names(&self, _cx: &Cx) -> Vec<String> {
        settle(&self.0);
        self.0.files.borrow().numbers().iter().map(|fd| format!("{fd}")).collect()
    }
}

/// `fd` or `fdinfo` of a task.
pub(super) fn directory(task: &Rc<Task>) -> Inode {
    Inode::Directory(Rc::new(Descriptors(task.clone())))
}

/// `fdinfo/N`.
#[derive(Debug)]
struct Info(Rc<Task>, i32);

impl Source for Info {
    fn mode(&self) -> u32 {
        0o400
    }

    fn owner(&self) -> (u32, u32) {
        owner_of(&self.0.process)
    }

    fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        info(cx, &self.0, self.1).map(String::into_bytes)
    }
}

/// `fdinfo/N` of a task.
pub(super) fn info_file(task: &Rc<Task>, fd: i32) -> Inode {
    Inode::File(Rc::new(Info(task.clone(), fd)))
}

/// Whether a descriptor is open.
pub(super) fn is_open(task: &Task, fd: i32) -> bool {
    !slot_of(task, fd).is_free()
}

/// `/proc/PID/fdinfo/N`.
fn info(cx: &Cx, task: &Task, fd: i32) -> Result<String, Errno> {
    let known = task.files.borrow().get(fd);
    match known {
        Some(open) if !open.is_real() => {
            let ino = open.file.stat(cx).map_or(0, |stat| stat.ino);
            Ok(format!("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t1\nino:\t{ino}\n", open.position.get(), open.flags.get()))
        }
        _ => {
            let real = task.guest.stat(fd, b"", 0)?;
            let ino = cx.kernel.fs.virtualized(&cx.kernel, &real).ino;
            let info = task.guest.proc_file(&format!("fdinfo/{fd}"))?;
            let mut shown = String::new();
            for line in String::from_utf8_lossy(&info).lines() {
                let _ = match line.split_once(':') {
                    Some(("pos" | "flags", _)) => writeln!(shown, "{line}"),
                    Some(("mnt_id", _)) => writeln!(shown, "mnt_id:\t1"),
                    Some(("ino", _)) => writeln!(shown, "ino:\t{ino}"),
                    _ => Ok(()),
                };
            }
            Ok(shown)
        }
    }
}
