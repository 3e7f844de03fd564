//! Calls with paths that the real Linux carries out: where a path stands among the arguments, and how another one takes its place.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::namei::{Lookup, lookup, lookup_parent};
use crate::outcome::{Outcome, SysResult};
use crate::ports::AT_FDCWD;
use alloc::vec::Vec;

/// The arguments of a call.
pub type Args = [u64; 6];

/// Memory of the guest that is borrowed for a path in place of its own; given back as it was.
#[derive(Debug)]
pub struct Borrowed {
    /// Where the path stands.
    pub addr: u64,
    saved: Vec<u8>,
}

impl Borrowed {
    /// Puts `path` below the stack of the calling task, where nothing of the program's own is in use. Another thread may
    /// have data there, but none runs until it is given back.
    pub fn new(cx: &Cx, path: &[u8]) -> Result<Borrowed, Errno> {
        Borrowed::below(cx, cx.task.guest.regs().rsp, path)
    }

    /// The same below an address.
    pub fn below(cx: &Cx, from: u64, path: &[u8]) -> Result<Borrowed, Errno> {
        /// What a function may use below its stack pointer (x86-64 psABI).
        const RED_ZONE: u64 = 128;
        let text = [path, b"\0"].concat();
        let addr = from.wrapping_sub(RED_ZONE).wrapping_sub(text.len() as u64) & !15;
        let saved = cx.read_vec(addr, text.len()).map_err(|_| Errno::ENOMEM)?;
        cx.write(addr, &text).map_err(|_| Errno::ENOMEM)?;
        Ok(Borrowed { addr, saved })
    }

    /// Gives the memory back.
    pub fn restore(self, cx: &Cx) {
        // It was writable a moment ago.
        let _ = cx.write(self.addr, &self.saved);
    }
}

/// One path among the arguments of a call.
#[derive(Clone, Copy, Debug)]
pub struct PathArg {
    /// Which argument is the directory; `None` for the working directory.
    dirfd: Option<usize>,
    path: usize,
}

impl PathArg {
    /// A path from the working directory.
    #[must_use]
    pub const fn from_cwd(path: usize) -> PathArg {
        PathArg { dirfd: None, path }
    }

    /// A path behind the directory that it begins at.
    #[must_use]
    pub const fn at(dirfd: usize) -> PathArg {
        PathArg { dirfd: Some(dirfd), path: dirfd + 1 }
    }

    /// Whether the call names a directory for it.
    #[must_use]
    pub fn has_directory(self) -> bool {
        self.dirfd.is_some()
    }

    /// The directory that it begins at.
    #[must_use]
    pub fn dirfd(self, a: &Args) -> i32 {
        self.dirfd.and_then(|at| a.get(at)).map_or(AT_FDCWD, |&fd| fd as i32)
    }

    /// The path itself.
    pub fn read(self, cx: &Cx, a: &Args) -> Result<Vec<u8>, Errno> {
        cx.read_path(a.get(self.path).copied().unwrap_or(0))
    }

    /// See [`lookup`].
    pub fn lookup(self, cx: &Cx, a: &Args, follow: bool) -> Result<Lookup, Errno> {
        lookup(cx, self.dirfd(a), &self.read(cx, a)?, follow)
    }

    /// See [`lookup_parent`].
    pub fn lookup_parent(self, cx: &Cx, a: &Args) -> Result<Lookup, Errno> {
        lookup_parent(cx, self.dirfd(a), &self.read(cx, a)?)
    }
}

/// Has the real Linux carry out `call` now, with the paths that were found where the guest's mean something else to it.
pub fn carry_out(cx: &Cx, call: Call, paths: &[(PathArg, &Lookup)]) -> Result<u64, Errno> {
    let mut args = call.args;
    let mut borrowed = Vec::new();
    let mut below = cx.task.guest.regs().rsp;
    for (arg, target) in paths.iter().filter(|(_, target)| target.rewritten) {
        match Borrowed::below(cx, below, &[&cx.kernel.mounts.real(&target.path), target.ending].concat()) {
            Ok(memory) => {
                below = memory.addr;
                if let Some(slot) = args.get_mut(arg.path) {
                    *slot = memory.addr;
                }
                borrowed.push(memory);
            }
            Err(error) => {
                borrowed.into_iter().rev().for_each(|memory| memory.restore(cx));
                return Err(error);
            }
        }
    }
    let result = cx.native(call.number, args);
    borrowed.into_iter().rev().for_each(|memory| memory.restore(cx));
    result
}

/// The same for a call whose result changes nothing that the kernel keeps.
pub fn pass(cx: &Cx, call: Call, paths: &[(PathArg, &Lookup)]) -> SysResult {
    if paths.iter().any(|(_, target)| target.rewritten) {
        return carry_out(cx, call, paths).map(Outcome::Value);
    }
    Ok(Outcome::Pass)
}
