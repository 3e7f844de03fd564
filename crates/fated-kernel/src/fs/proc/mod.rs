//! proc(5): processes, and what proc says of the whole machine.
//!
//! The kernel's own state is the source of nearly all of it. Of the real `/proc` only memory maps, command line and environment are
//! read, which are part of a run.

mod array;
mod cpuinfo;
mod fd;
pub mod maps;
pub mod pid;
pub mod system;
pub mod zombie;

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::{Dir, Inode};
use crate::fs::static_tree::{Node, StaticFile};
use alloc::{format, rc::Rc, string::String, vec::Vec};

/// What stands at `path` below the root.
pub fn lookup(cx: &Cx, path: &[u8]) -> Result<Inode, Errno> {
    let link = |text: String| Ok(Inode::Link(text.into_bytes()));
    match path {
        b"self" => return link(format!("{}", cx.process().pid)),
        b"thread-self" => return link(format!("{}/task/{}", cx.process().pid, cx.task.tid.get())),
        [b'0'..=b'9', ..] => return pid::lookup(cx, path),
        _ => {}
    }
    Ok(match system::TREE.lookup(path)? {
        Node::File(row) => Inode::File(Rc::new(StaticFile(row))),
        Node::Directory(path) => Inode::Directory(Rc::new(SystemDir(path))),
        Node::Link(to) => Inode::Link(to.as_bytes().to_vec()),
    })
}

/// A directory of [`system::TREE`], by its path. The root also has the processes.
#[derive(Debug)]
struct SystemDir(&'static str);

impl Dir for SystemDir {
    fn names(&self, cx: &Cx) -> Vec<String> {
        let mut names = system::TREE.names(self.0);
        if self.0.is_empty() {
            names.extend(["self", "thread-self"].map(String::from));
            names.sort_unstable();
            names.splice(..0, pid::pids(&cx.kernel).iter().map(|pid| format!("{pid}")));
        }
        names
    }
}
