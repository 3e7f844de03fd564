//! Calls that change names and attributes: which of them does what, and where its paths and flags are.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::attr::{Effect, on_descriptor, on_path};
use crate::fs::host::carry_out::PathArg;
use crate::fs::inode::kind;
use crate::fs::{chdir, names};
use crate::outcome::{Outcome, SysResult};
use crate::ports::NOFOLLOW;
use crate::syscall::Args;
use linux_raw_sys::general::*;

/// What kind of change a call makes, and where its paths are.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Makes a name for a new file.
    Make(PathArg),
    /// Removes a name; whether that of a directory.
    Remove(PathArg, IsDirectory),
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

/// Whether a name is to be that of a directory.
#[derive(Clone, Copy, Debug)]
enum IsDirectory {
    Yes,
    No,
    /// As the flags in this argument say.
    Flags(usize),
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
    let (first, second) = (PathArg::from_cwd(0), PathArg::from_cwd(1));
    let (at, at_second) = (PathArg::at(0), PathArg::at(2));
    Some(match number {
        __NR_mkdir | __NR_mknod => Make(first),
        __NR_mkdirat | __NR_mknodat => Make(at),
        __NR_symlink => Make(second),
        __NR_symlinkat => Make(PathArg::at(1)),
        __NR_rmdir => Remove(first, IsDirectory::Yes),
        __NR_unlink => Remove(first, IsDirectory::No),
        __NR_unlinkat => Remove(at, IsDirectory::Flags(2)),
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

/// The arguments that Linux looks at before it looks for a file.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
fn check_first(cx: &Cx, number: u32, a: &Args) -> Result<(), Errno> {
    let only = |flags: u64, known: u32| if flags as u32 & !known == 0 { Ok(()) } else { Err(Errno::EINVAL) };
    let not_negative = |size: u64| if (size as i64) < 0 { Err(Errno::EINVAL) } else { Ok(()) };
    match number {
        __NR_unlinkat => only(a[2], AT_REMOVEDIR),
        __NR_linkat => only(a[4], AT_SYMLINK_FOLLOW | AT_EMPTY_PATH),
        __NR_fchownat => only(a[4], NOFOLLOW | AT_EMPTY_PATH),
        __NR_fchmodat2 => only(a[3], NOFOLLOW | AT_EMPTY_PATH),
        __NR_renameat2 => {
            only(a[4], RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)?;
            let alone = a[4] as u32 & RENAME_EXCHANGE == 0 || a[4] as u32 == RENAME_EXCHANGE;
            if alone { Ok(()) } else { Err(Errno::EINVAL) }
        }
        __NR_mknod => check_kind(a[1] as u32),
        __NR_mknodat => check_kind(a[2] as u32),
        __NR_truncate | __NR_ftruncate => not_negative(a[1]),
        __NR_symlink | __NR_symlinkat => {
            if cx.read_path(a[0])?.is_empty() {
                Err(Errno::ENOENT)
            } else {
                Ok(())
            }
        }
        __NR_setxattr | __NR_lsetxattr | __NR_fsetxattr => {
            only(a[4], XATTR_CREATE | XATTR_REPLACE)?;
            check_attribute_name(cx, a[1])?;
            if a[3] > MOST_VALUE { Err(Errno::E2BIG) } else { Ok(()) }
        }
        __NR_getxattr | __NR_lgetxattr | __NR_fgetxattr | __NR_removexattr | __NR_lremovexattr | __NR_fremovexattr => {
            check_attribute_name(cx, a[1])
        }
        _ => Ok(()),
    }
}

/// The largest value of an extended attribute (`XATTR_SIZE_MAX`).
const MOST_VALUE: u64 = 65536;

fn check_attribute_name(cx: &Cx, addr: u64) -> Result<(), Errno> {
    const MOST: usize = 256;
    match cx.read_str(addr, MOST) {
        Ok(name) if !name.is_empty() => Ok(()),
        Ok(_) | Err(Errno::ENAMETOOLONG) => Err(Errno::ERANGE),
        Err(error) => Err(error),
    }
}

/// The kinds of files that mknod(2) makes.
fn check_kind(mode: u32) -> Result<(), Errno> {
    match mode & kind::MASK {
        0 | kind::REGULAR | kind::CHARACTER | kind::BLOCK | kind::FIFO | kind::SOCKET => Ok(()),
        kind::DIRECTORY => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// Carries out such a call.
pub fn change(cx: &Cx, call: Call) -> SysResult {
    check_first(cx, call.number as u32, &call.args)?;
    let flags = |at: usize| call.args.get(at).map_or(0, |&flags| flags as u32);
    let optional = |at: Option<usize>| at.map_or(0, flags);
    let follow = |follow| match follow {
        Follow::Yes => 0,
        Follow::No => NOFOLLOW,
        Follow::Flags(at) => flags(at),
    };
    match change_of(call.number as u32).ok_or(Errno::ENOSYS)? {
        Change::Make(arg) => names::make(cx, call, arg),
        Change::Remove(arg, directory) => {
            let directory = match directory {
                IsDirectory::Yes => true,
                IsDirectory::No => false,
                IsDirectory::Flags(at) => flags(at) & AT_REMOVEDIR != 0,
            };
            names::remove(cx, call, arg, directory)
        }
        Change::Rename(from, to, at) => names::rename(cx, call, from, to, optional(at)),
        Change::Link(from, to, at) => names::link(cx, call, from, to, optional(at)),
        Change::Attributes(arg, links) => on_path(cx, call, arg, follow(links), Some(Effect::Changed)),
        Change::Look(arg, links) => on_path(cx, call, arg, follow(links), None),
        Change::Size(arg) => on_path(cx, call, arg, 0, Some(Effect::Touched)),
        Change::DescriptorAttributes => on_descriptor(cx, call, Some(Effect::Changed)),
        Change::DescriptorLook => on_descriptor(cx, call, None),
        Change::DescriptorSize => on_descriptor(cx, call, Some(Effect::Touched)),
        Change::Directory(Some(arg)) => chdir::change(cx, call, arg).map(Outcome::Value),
        Change::Directory(None) => chdir::change_to_descriptor(cx, call).map(Outcome::Value),
    }
}
