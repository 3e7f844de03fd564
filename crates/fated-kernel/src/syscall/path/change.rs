//! Calls that change names and attributes: the real Linux carries them out, and the times that follow from them are noted.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::generated::Node;
use crate::fs::host::is_real;
use crate::fs::inode::FileStat;
use crate::fs::inode::kind;
use crate::fs::namei::{AT_FDCWD, NOFOLLOW, Place, Target, walk, walk_to_name};
use crate::outcome::{Outcome, SysResult};
use crate::syscall::path::{PathArg, carry_out, is_busy, means_descriptor, pass};
use alloc::vec::Vec;
use linux_raw_sys::general::*;

/// What kind of change a call makes, and where its paths are.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Makes a name for a new file.
    Make(PathArg),
    /// Removes a name.
    Remove(PathArg),
    /// Moves a file from one name to another; the argument with the flags.
    Rename(PathArg, PathArg, Option<usize>),
    /// Gives a file another name; the argument with the flags.
    Link(PathArg, PathArg, Option<usize>),
    /// Changes the attributes of a file; whether a link is followed.
    Attributes(PathArg, Follow),
    /// Reads attributes.
    Look(PathArg, Follow),
    /// Changes the size.
    Size(PathArg),
    /// Changes the attributes of a descriptor's file.
    DescriptorAttributes,
    /// Reads them.
    DescriptorLook,
    /// Changes size or contents of a descriptor's file.
    DescriptorSize,
    /// Changes the working directory.
    Directory(Option<PathArg>),
}

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug)]
enum Follow {
    Yes,
    No,
    /// As the flags in this argument say.
    Flags(usize),
}

#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
fn change_of(number: u32) -> Option<Change> {
    use Change::{
        Attributes, DescriptorAttributes, DescriptorLook, DescriptorSize, Directory, Link, Look, Make, Remove, Rename,
        Size,
    };
    let (first, second) = (PathArg::plain(0), PathArg::plain(1));
    let (at, at_second) = (PathArg::at(0), PathArg::at(2));
    Some(match number {
        __NR_mkdir | __NR_mknod => Make(first),
        __NR_mkdirat | __NR_mknodat => Make(at),
        __NR_symlink => Make(second),
        __NR_symlinkat => Make(PathArg::at(1)),
        __NR_rmdir | __NR_unlink => Remove(first),
        __NR_unlinkat => Remove(at),
        __NR_rename => Rename(first, second, None),
        __NR_renameat => Rename(at, at_second, None),
        __NR_renameat2 => Rename(at, at_second, Some(4)),
        __NR_link => Link(first, second, None),
        __NR_linkat => Link(at, at_second, Some(4)),
        __NR_chmod | __NR_chown | __NR_setxattr | __NR_removexattr => Attributes(first, Follow::Yes),
        __NR_lchown | __NR_lsetxattr | __NR_lremovexattr => Attributes(first, Follow::No),
        __NR_fchmodat => Attributes(at, Follow::Yes),
        __NR_fchmodat2 => Attributes(at, Follow::Flags(3)),
        __NR_fchownat => Attributes(at, Follow::Flags(4)),
        __NR_getxattr | __NR_listxattr => Look(first, Follow::Yes),
        __NR_lgetxattr | __NR_llistxattr => Look(first, Follow::No),
        __NR_truncate => Size(first),
        __NR_fchmod | __NR_fchown | __NR_fsetxattr | __NR_fremovexattr => DescriptorAttributes,
        __NR_fgetxattr | __NR_flistxattr => DescriptorLook,
        __NR_ftruncate | __NR_fallocate => DescriptorSize,
        __NR_chdir => Directory(Some(first)),
        __NR_fchdir => Directory(None),
        _ => return None,
    })
}

/// Whether [`change`] carries out a call.
#[must_use]
pub fn changes_names(number: u32) -> bool {
    change_of(number).is_some()
}

/// Carries out such a call.
pub fn change(cx: &Cx, call: Call) -> SysResult {
    let change = change_of(call.number as u32).ok_or(Errno::ENOSYS)?;
    match change {
        Change::Make(arg) => make(cx, call, arg),
        Change::Remove(arg) => remove(cx, call, arg),
        Change::Rename(from, to, flags) => rename(cx, call, from, to, flags),
        Change::Link(from, to, flags) => link(cx, call, from, to, flags),
        Change::Attributes(arg, follow) => on_path(cx, call, arg, follow, Some(Effect::Changed)),
        Change::Look(arg, follow) => on_path(cx, call, arg, follow, None),
        Change::Size(arg) => on_path(cx, call, arg, Follow::Yes, Some(Effect::Touched)),
        Change::DescriptorAttributes => on_descriptor(cx, call, Some(Effect::Changed)),
        Change::DescriptorLook => on_descriptor(cx, call, None),
        Change::DescriptorSize => on_descriptor(cx, call, Some(Effect::Touched)),
        Change::Directory(arg) => change_directory(cx, call, arg),
    }
}

/// What a call does to the times of a file.
#[derive(Clone, Copy, Debug)]
enum Effect {
    /// The attributes have changed.
    Changed,
    /// The contents have.
    Touched,
}

fn note(cx: &Cx, real: &FileStat, effect: Effect) {
    let (kernel, fs) = (&cx.kernel, &cx.kernel.fs);
    fs.forget_plain(real);
    let number = fs.mend(kernel, real).ino;
    match effect {
        Effect::Changed => fs.changed(kernel, number),
        Effect::Touched => fs.touched(kernel, number),
    }
}

fn note_parent(cx: &Cx, target: &Target) {
    if let Some(parent) = target.parent(cx) {
        cx.kernel.fs.touched(&cx.kernel, parent);
    }
}

/// Whether the last component of a path is `..`.
fn ends_above(path: &[u8]) -> bool {
    path.rsplit(|&byte| byte == b'/').find(|name| !name.is_empty()) == Some(b"..")
}

/// What the caller may not change: the error that Linux has for `/proc`.
fn refuse(target: &Target) -> Errno {
    match target.place {
        Place::Real(_) => Errno::EIO,
        Place::Made(_) | Place::Open(_) => Errno::EPERM,
    }
}

fn make(cx: &Cx, call: Call, arg: PathArg) -> SysResult {
    let target = arg.walk_to_name(cx, &call.args)?;
    target.real(Errno::EEXIST)?;
    let value = carry_out(cx, call, &[(arg, &target)])?;
    let dirfd = if target.path.first() == Some(&b'/') { AT_FDCWD } else { arg.dirfd(&call.args) };
    if let Ok(real) = cx.task.guest.stat(dirfd, &target.path, NOFOLLOW) {
        cx.kernel.fs.created(&cx.kernel, &real);
    }
    note_parent(cx, &target);
    Ok(value.into())
}

#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
fn remove(cx: &Cx, call: Call, arg: PathArg) -> SysResult {
    let path = arg.read(cx, &call.args)?;
    let target = walk_to_name(cx, arg.dirfd(&call.args), &path)?;
    let victim = *target.real(refuse(&target))?;
    if target.detour && victim.is_ok() && ends_above(&path) {
        // The path that takes the guest's place can't say so.
        let directory = match call.number as u32 {
            __NR_unlinkat => call.args[2] as u32 & AT_REMOVEDIR != 0,
            number => number == __NR_rmdir,
        };
        return Err(if directory { Errno::ENOTEMPTY } else { Errno::EISDIR });
    }
    let value = carry_out(cx, call, &[(arg, &target)])?;
    if let Ok(victim) = victim {
        note(cx, &victim, Effect::Changed);
        match target.path.first() {
            _ if !victim.is(kind::DIRECTORY) => {}
            Some(b'/') => cx.kernel.fs.forget_directory(&target.path),
            _ => cx.kernel.fs.forget_paths(),
        }
    }
    note_parent(cx, &target);
    Ok(value.into())
}

fn rename(cx: &Cx, call: Call, from: PathArg, to: PathArg, flags: Option<usize>) -> SysResult {
    let source = from.walk_to_name(cx, &call.args)?;
    if to.read(cx, &call.args)?.is_empty() {
        // That fails, but Linux looks at the other path first.
        source.real(Errno::EXDEV)?;
        return carry_out(cx, call, &[(from, &source)]).map(Outcome::Value);
    }
    let target = to.walk_to_name(cx, &call.args)?;
    let moved = *source.real(Errno::EXDEV)?;
    let victim = *target.real(Errno::EXDEV)?;
    // Before the call: afterwards other directories may stand at these paths.
    let parents = [source.parent(cx), target.parent(cx)];
    let value = carry_out(cx, call, &[(from, &source), (to, &target)])?;
    let exchanged = flags.and_then(|at| call.args.get(at)).is_some_and(|&flags| flags as u32 & RENAME_EXCHANGE != 0);
    for stat in [moved, victim].into_iter().flatten() {
        note(cx, &stat, Effect::Changed);
        if stat.is(kind::DIRECTORY) {
            cx.kernel.fs.forget_paths();
        }
    }
    if let (Err(_), true) = (victim, exchanged) {
        cx.kernel.fs.forget_paths();
    }
    for parent in parents.into_iter().flatten() {
        cx.kernel.fs.touched(&cx.kernel, parent);
    }
    Ok(value.into())
}

fn link(cx: &Cx, call: Call, from: PathArg, to: PathArg, flags: Option<usize>) -> SysResult {
    let flags = flags.and_then(|at| call.args.get(at)).map_or(0, |&flags| flags as u32);
    let path = from.read(cx, &call.args)?;
    let source = if means_descriptor(&path, flags) {
        None
    } else {
        Some(walk(cx, from.dirfd(&call.args), &path, flags & AT_SYMLINK_FOLLOW != 0)?)
    };
    let linked = match &source {
        None => Ok(real_descriptor(cx, from.dirfd(&call.args))?),
        Some(source) => *source.real(Errno::EXDEV)?,
    };
    let source = source.as_ref().map(|source| (from, source));
    let Ok(linked) = linked else {
        // Linux doesn't come to the other path.
        return carry_out(cx, call, source.as_slice()).map(Outcome::Value);
    };
    let target = to.walk_to_name(cx, &call.args)?;
    target.real(Errno::EEXIST)?;
    let paths: Vec<_> = source.into_iter().chain([(to, &target)]).collect();
    let value = carry_out(cx, call, &paths)?;
    note(cx, &linked, Effect::Changed);
    note_parent(cx, &target);
    Ok(value.into())
}

fn on_path(cx: &Cx, call: Call, arg: PathArg, follow: Follow, effect: Option<Effect>) -> SysResult {
    let path = arg.read(cx, &call.args)?;
    let follow = match follow {
        Follow::Yes => true,
        Follow::No => false,
        Follow::Flags(at) => {
            let flags = call.args.get(at).map_or(0, |&flags| flags as u32);
            if means_descriptor(&path, flags) {
                return on_descriptor(cx, call, effect);
            }
            flags & NOFOLLOW == 0
        }
    };
    let target = walk(cx, arg.dirfd(&call.args), &path, follow)?;
    let none = match (effect, &target.place) {
        (Some(Effect::Touched), Place::Made(Node::Device(_)) | Place::Open(_)) => Errno::EINVAL,
        (Some(_), _) => Errno::EPERM,
        (None, _) => Errno::EOPNOTSUPP,
    };
    let stat = *target.real(none)?;
    let (Some(effect), Ok(stat)) = (effect, stat) else { return pass(cx, call, &[(arg, &target)]) };
    if let (Effect::Touched, kind::FIFO | kind::CHARACTER) = (effect, stat.mode & kind::MASK) {
        return Err(Errno::EINVAL);
    }
    if let Effect::Touched = effect
        && is_busy(cx, &stat)
        && call.args[1] as i64 >= 0
    {
        return Err(Errno::ETXTBSY);
    }
    let value = carry_out(cx, call, &[(arg, &target)])?;
    note(cx, &stat, effect);
    Ok(value.into())
}

/// What real file a descriptor is open on.
fn real_descriptor(cx: &Cx, fd: i32) -> Result<FileStat, Errno> {
    match cx.file(fd) {
        Some(open) if !is_real(&open) => Err(Errno::EINVAL),
        _ => cx.task.guest.stat(fd, b"", 0),
    }
}

fn on_descriptor(cx: &Cx, call: Call, effect: Option<Effect>) -> SysResult {
    let fd = call.args[0] as i32;
    let known = cx.file(fd);
    if known.as_ref().is_some_and(|open| !is_real(open)) {
        return match effect {
            // A pipe or the like has attributes that nobody looks at.
            Some(Effect::Changed) if [__NR_fchmod, __NR_fchown].contains(&(call.number as u32)) => {
                Ok(Outcome::Value(0))
            }
            Some(Effect::Touched) => Err(Errno::EINVAL),
            _ => Err(Errno::EOPNOTSUPP),
        };
    }
    let Some(effect) = effect else { return Ok(Outcome::Pass) };
    let real = cx.task.guest.stat(fd, b"", 0)?;
    let value = cx.native(call.number, call.args)?;
    note(cx, &real, effect);
    Ok(value.into())
}

/// The generated directories that a process can stand in.
fn is_root(path: &[u8]) -> bool {
    matches!(path, b"/proc" | b"/sys" | b"/dev")
}

fn change_directory(cx: &Cx, call: Call, arg: Option<PathArg>) -> SysResult {
    let value = match arg {
        Some(arg) => {
            let target = arg.walk(cx, &call.args, true)?;
            match &target.place {
                Place::Real(_) => carry_out(cx, call, &[(arg, &target)])?,
                // The real directories of these names are as good: what is in them is looked at by its whole path.
                Place::Made(_) if is_root(&target.path) => carry_out(cx, call, &[(arg, &target)])?,
                // A real process can't stand there.
                Place::Made(Node::Directory(_)) => return Err(Errno::EACCES),
                _ => return Err(Errno::ENOTDIR),
            }
        }
        None => match cx.file(call.args[0] as i32) {
            Some(open) if !is_real(&open) => {
                let directory = open.downcast::<Directory>().ok_or(Errno::ENOTDIR)?;
                if !is_root(directory.path()) {
                    return Err(Errno::EACCES);
                }
                let memory = crate::syscall::path::Borrowed::new(cx, directory.path())?;
                let result = cx.native(__NR_chdir.into(), [memory.addr, 0, 0, 0, 0, 0]);
                memory.restore(cx);
                result?
            }
            _ => cx.native(call.number, call.args)?,
        },
    };
    cx.kernel.fs.forget_cwds();
    Ok(value.into())
}
