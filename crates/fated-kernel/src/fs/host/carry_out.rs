//! Calls with paths that the real Linux carries out: where a path stands among the arguments, and how another one takes its place.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::host::borrowed::Borrowed;
use crate::fs::namei::{Lookup, lookup, lookup_parent};
use crate::outcome::{Outcome, SysResult};
use crate::ports::AT_FDCWD;
use alloc::vec::Vec;

/// The arguments of a call.
pub type Args = [u64; 6];

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
