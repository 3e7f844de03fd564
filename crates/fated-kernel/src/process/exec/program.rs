//! The program of an exec, as its path names it.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::attr::means_descriptor;
use crate::fs::host::borrowed::Borrowed;
use crate::fs::namei::lookup;
use crate::fs::own_tmp::Tree;
use crate::ports::{AT_FDCWD, NOFOLLOW};
use alloc::vec::Vec;

/// A program to be started.
#[derive(Debug)]
pub struct Program {
    /// What it is called (`comm`).
    pub name: Vec<u8>,
    /// Its path as the real Linux knows it.
    pub path: Vec<u8>,
    /// Where that stands in guest memory.
    pub path_addr: u64,
    /// What it is called, if its real path isn't for guests.
    pub called: Option<Vec<u8>>,
    /// That memory, if it isn't the guest's own string: to be restored if the start fails.
    pub borrowed: Option<Borrowed>,
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
            }),
        };
    }
    let target = lookup(cx, dirfd, &path, flags & NOFOLLOW == 0)?;
    target.real(Errno::EACCES)?;
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(&path).to_vec();
    if !target.rewritten {
        return Ok(Program { name, path, path_addr, called: None, borrowed: None });
    }
    if let Tree::Own(_) = target.tree {
        let path = cx.kernel.mounts.real(&target.path).into_owned();
        return Ok(Program { name, path, path_addr, called: Some(target.path), borrowed: None });
    }
    let borrowed = Borrowed::new(cx, &target.path)?;
    Ok(Program { name, path: target.path, path_addr: borrowed.addr, called: None, borrowed: Some(borrowed) })
}
