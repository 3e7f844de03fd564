//! Making, removing, moving and linking names. The real Linux does it; the times that follow are kept here, and what the dentry cache may
//! no longer say is forgotten.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::attr::{Effect, means_descriptor, note, real_descriptor};
use crate::fs::host::carry_out::{PathArg, carry_out};
use crate::fs::inode::kind;
use crate::fs::namei::{Found, Lookup, lookup, lookup_parent, tree_of};
use crate::outcome::{Outcome, SysResult};
use crate::ports::{AT_FDCWD, NOFOLLOW};
use alloc::vec::Vec;
use linux_raw_sys::general::{AT_SYMLINK_FOLLOW, RENAME_EXCHANGE};

fn note_parent(cx: &Cx, target: &Lookup) {
    if let Some(parent) = target.parent(cx) {
        cx.kernel.fs.touched(&cx.kernel, parent);
    }
}

/// Whether the last component of a path is `..`.
fn ends_above(path: &[u8]) -> bool {
    path.rsplit(|&byte| byte == b'/').find(|name| !name.is_empty()) == Some(b"..")
}

/// The error of a change to a file that isn't real, as Linux has it for `/proc`.
fn refuse(target: &Lookup) -> Errno {
    match target.found {
        Found::Real(_) => Errno::EIO,
        Found::Generated(_) | Found::Open(_) => Errno::EPERM,
    }
}

/// mkdir(2), mknod(2), symlink(2): makes a name for a new file.
pub fn make(cx: &Cx, call: Call, arg: PathArg) -> SysResult {
    let target = arg.lookup_parent(cx, &call.args)?;
    target.real(Errno::EEXIST)?;
    let value = carry_out(cx, call, &[(arg, &target)])?;
    let dirfd = if target.path.first() == Some(&b'/') { AT_FDCWD } else { arg.dirfd(&call.args) };
    if let Ok(real) = cx.files().stat(dirfd, &target.path, NOFOLLOW) {
        cx.kernel.fs.created(&cx.kernel, &real);
    }
    note_parent(cx, &target);
    Ok(value.into())
}

/// unlink(2), rmdir(2): removes a name. `directory`: that of a directory.
pub fn remove(cx: &Cx, call: Call, arg: PathArg, directory: bool) -> SysResult {
    let path = arg.read(cx, &call.args)?;
    let target = lookup_parent(cx, arg.dirfd(&call.args), &path)?;
    let victim = *target.real(refuse(&target))?;
    if directory && cx.kernel.mounts.is_mount_point(&target.path) {
        return Err(Errno::EBUSY);
    }
    if target.rewritten && victim.is_ok() && ends_above(&path) {
        // The path that takes the guest's place doesn't end like that.
        return Err(if directory { Errno::ENOTEMPTY } else { Errno::EISDIR });
    }
    let value = carry_out(cx, call, &[(arg, &target)])?;
    if let Ok(victim) = victim {
        note(cx, &victim, Effect::Changed);
        match target.path.first() {
            _ if !victim.is(kind::DIRECTORY) => {}
            Some(b'/') => cx.kernel.fs.dcache.forget_directory(&target.path),
            _ => cx.kernel.fs.dcache.clear(),
        }
    }
    note_parent(cx, &target);
    Ok(value.into())
}

/// rename(2), with the flags of renameat2(2).
pub fn rename(cx: &Cx, call: Call, from: PathArg, to: PathArg, flags: u32) -> SysResult {
    let source = from.lookup_parent(cx, &call.args)?;
    if to.read(cx, &call.args).map_or(true, |path| path.is_empty()) {
        // That fails, but Linux looks at the other path first.
        source.real(Errno::EXDEV)?;
        return carry_out(cx, call, &[(from, &source)]).map(Outcome::Value);
    }
    let target = to.lookup_parent(cx, &call.args)?;
    let moved = *source.real(Errno::EXDEV)?;
    let victim = *target.real(Errno::EXDEV)?;
    let busy = |it: &Lookup| cx.kernel.mounts.is_mount_point(&it.path);
    // Before EXDEV: who gets that copies the directory and removes all that is in it, the host's files among it.
    if busy(&source) || busy(&target) {
        return Err(Errno::EBUSY);
    }
    // Without the directories that they stand in, Linux has another error.
    if source.tree != target.tree && [&source, &target].iter().all(|it| it.parent(cx).is_some()) {
        return Err(Errno::EXDEV);
    }
    // Before the call, since afterwards other directories may stand at these paths.
    let parents = [source.parent(cx), target.parent(cx)];
    let value = carry_out(cx, call, &[(from, &source), (to, &target)])?;
    let exchanged = flags & RENAME_EXCHANGE != 0;
    for stat in [moved, victim].into_iter().flatten() {
        note(cx, &stat, Effect::Changed);
        if stat.is(kind::DIRECTORY) {
            cx.kernel.fs.dcache.clear();
        }
    }
    if let (Err(_), true) = (victim, exchanged) {
        cx.kernel.fs.dcache.clear();
    }
    for parent in parents.into_iter().flatten() {
        cx.kernel.fs.touched(&cx.kernel, parent);
    }
    Ok(value.into())
}

/// link(2), with the flags of linkat(2).
pub fn link(cx: &Cx, call: Call, from: PathArg, to: PathArg, flags: u32) -> SysResult {
    let path = from.read(cx, &call.args)?;
    let source = if means_descriptor(&path, flags) {
        None
    } else {
        Some(lookup(cx, from.dirfd(&call.args), &path, flags & AT_SYMLINK_FOLLOW != 0)?)
    };
    let linked = match &source {
        None => Ok(real_descriptor(cx, from.dirfd(&call.args))?),
        Some(source) => *source.real(Errno::EXDEV)?,
    };
    let source = source.as_ref().map(|source| (from, source));
    let Ok(linked) = linked else {
        // Linux doesn't look at the other path.
        return carry_out(cx, call, source.as_slice()).map(Outcome::Value);
    };
    let target = to.lookup_parent(cx, &call.args)?;
    target.real(Errno::EEXIST)?;
    let tree = source.as_ref().map_or_else(|| tree_of(cx, from.dirfd(&call.args)), |(_, source)| source.tree);
    if tree != target.tree && target.parent(cx).is_some() {
        return Err(Errno::EXDEV);
    }
    let paths: Vec<_> = source.into_iter().chain([(to, &target)]).collect();
    let value = carry_out(cx, call, &paths)?;
    note(cx, &linked, Effect::Changed);
    note_parent(cx, &target);
    Ok(value.into())
}
