//! Paths whose walk ([`crate::fs::namei`]) can be left out, because it is known what they lead to and that the real Linux finds the same.

use crate::cx::Cx;
use crate::fs::cwd::{self, Cwd};
use crate::fs::directory::Directory;
use crate::fs::file::OpenFile;
use crate::fs::own_tmp::Tree;
use crate::ports::AT_FDCWD;
use alloc::{rc::Rc, vec::Vec};

/// Whether a path is one name.
fn is_single(path: &[u8]) -> bool {
    !path.is_empty() && !path.contains(&b'/') && path != b".." && path != b"."
}

/// An open real directory of which a single name is wanted, so that nothing generated can stand there.
#[derive(Debug)]
pub(crate) struct RealParent {
    open: Rc<OpenFile>,
    number: u64,
}

impl RealParent {
    /// The directory behind `dirfd`, if `name` is a single one in it.
    pub(crate) fn behind(cx: &Cx, dirfd: i32, name: &[u8]) -> Option<RealParent> {
        RealParent::of(cx, cx.raw_file(dirfd).filter(|_| is_single(name))?, name)
    }

    pub(super) fn of(cx: &Cx, open: Rc<OpenFile>, name: &[u8]) -> Option<RealParent> {
        let directory = open.downcast::<Directory>()?;
        if !is_single(name) || cx.kernel.mounts.is_border(directory.path()) {
            return None;
        }
        let number = directory.real_number()?;
        Some(RealParent { open, number })
    }

    /// The number of its inode.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The path of `name` in it, if its own is known.
    pub(crate) fn path_of(&self, cx: &Cx, name: &[u8]) -> Option<Vec<u8>> {
        let path = self.open.downcast::<Directory>()?.known_path(cx)?;
        Some([path, b"/", name].concat())
    }
}

/// Whether a path is known to lead to a regular file, without a look.
pub(crate) fn is_known_file(cx: &Cx, dirfd: i32, path: &[u8]) -> bool {
    let dcache = &cx.kernel.fs.dcache;
    if path.first() == Some(&b'/') {
        return dcache.is_file(path);
    }
    let path = match dirfd {
        AT_FDCWD => match cwd::of(cx, &cx.task) {
            Ok(Cwd::Real(cwd)) if cx.kernel.mounts.tree(&cwd) == Tree::Host => Some([&*cwd, b"/", path].concat()),
            _ => None,
        },
        _ => RealParent::behind(cx, dirfd, path).and_then(|parent| parent.path_of(cx, path)),
    };
    path.is_some_and(|path| dcache.is_file(&path))
}
