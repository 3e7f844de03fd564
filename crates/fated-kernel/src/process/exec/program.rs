//! The program of an exec, as its path names it.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::attr::means_descriptor;
use crate::fs::host::borrowed::Borrowed;
use crate::fs::namei::lookup;
use crate::fs::own_tmp::Tree;
use crate::ports::{AT_FDCWD, NOFOLLOW};
use alloc::{vec, vec::Vec};
use linux_raw_sys::general::{__NR_chdir, __NR_close, __NR_fchdir, __NR_open, O_DIRECTORY, O_PATH};

/// A program to be started.
#[derive(Debug)]
pub struct Program {
    /// What it is called (`comm`).
    pub name: Vec<u8>,
    /// Its path as the real Linux knows it.
    pub path: Vec<u8>,
    /// Where that stands in guest memory.
    pub path_addr: u64,
    /// What it is called, if the path in guest memory stands for that.
    pub called: Option<Vec<u8>>,
    /// That memory, if it isn't the guest's own string: to be restored if the start fails.
    pub borrowed: Option<Borrowed>,
    /// Where the real process stands meanwhile.
    pub elsewhere: Option<Elsewhere>,
}

/// The real process stands in another directory for the time of an exec. This is a descriptor of its own one.
#[derive(Debug)]
pub struct Elsewhere(u64);

impl Elsewhere {
    /// Goes to the real directory `path`.
    fn enter(cx: &Cx, path: &[u8]) -> Result<Elsewhere, Errno> {
        let here = Borrowed::new(cx, b".")?;
        let own = cx.native(__NR_open.into(), [here.addr, (O_PATH | O_DIRECTORY).into(), 0, 0, 0, 0]);
        here.restore(cx);
        let elsewhere = Elsewhere(own?);
        let there = Borrowed::new(cx, path)?;
        let result = cx.native(__NR_chdir.into(), [there.addr, 0, 0, 0, 0, 0]);
        there.restore(cx);
        match result {
            Ok(_) => Ok(elsewhere),
            Err(error) => {
                elsewhere.leave(cx);
                Err(error)
            }
        }
    }

    /// Goes back.
    pub fn leave(self, cx: &Cx) {
        // Both fail only if the process is gone.
        for number in [__NR_fchdir, __NR_close] {
            let _ = cx.native(number.into(), [self.0, 0, 0, 0, 0, 0]);
        }
    }
}

/// Finds a program. A generated file is none.
pub fn program(cx: &Cx, dirfd: i32, path_addr: u64, flags: u32) -> Result<Program, Errno> {
    let path = cx.read_path(path_addr)?;
    if means_descriptor(&path, flags) {
        if dirfd != AT_FDCWD {
            cx.open_slot(dirfd)?;
        }
        return match cx.raw_file(dirfd) {
            Some(open) if !open.is_real() => Err(Errno::EACCES),
            _ => Ok(Program {
                name: alloc::format!("{dirfd}").into_bytes(),
                path,
                path_addr,
                called: None,
                borrowed: None,
                elsewhere: None,
            }),
        };
    }
    let target = lookup(cx, dirfd, &path, flags & NOFOLLOW == 0)?;
    target.real(Errno::EACCES)?;
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(&path).to_vec();
    if !target.rewritten {
        return Ok(Program { name, path, path_addr, called: None, borrowed: None, elsewhere: None });
    }
    if let Tree::Own(_) = target.tree {
        return in_own_tree(cx, name, target.path);
    }
    let borrowed = Borrowed::new(cx, &target.path)?;
    Ok(Program {
        name,
        path: target.path,
        path_addr: borrowed.addr,
        called: None,
        borrowed: Some(borrowed),
        elsewhere: None,
    })
}

/// A program whose real path guests must not see. Linux tells a program the path by which it was started, and where its strings stand depends on how long that is.
/// So Linux gets a path of the same length, relative to the program's directory.
fn in_own_tree(cx: &Cx, name: Vec<u8>, called: Vec<u8>) -> Result<Program, Errno> {
    let real = cx.kernel.mounts.real(&called).into_owned();
    let split = |path: &[u8]| path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let (directory, _) = real.split_at(split(&real));
    let base = called.get(split(&called) + 1..).unwrap_or_default();
    // An absolute path of a program in a directory has room for this.
    let slashes = vec![b'/'; called.len().saturating_sub(base.len() + 1)];
    let elsewhere = Elsewhere::enter(cx, directory)?;
    match Borrowed::new(cx, &[b".", &*slashes, base].concat()) {
        Ok(borrowed) => Ok(Program {
            name,
            path: real,
            path_addr: borrowed.addr,
            called: Some(called),
            borrowed: Some(borrowed),
            elsewhere: Some(elsewhere),
        }),
        Err(error) => {
            elsewhere.leave(cx);
            Err(error)
        }
    }
}
