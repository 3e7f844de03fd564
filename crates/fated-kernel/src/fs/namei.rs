//! The walk from a path to what stands there (Linux's namei; path_resolution(7)).
//!
//! Linux resolves the paths of real files itself. But a path may lead to a generated file: by its name, by `..` or over links. So each path
//! is looked up here first, component by component, at the cost of one look at the last one: which paths are directories and no links is
//! known from the dentry cache. A path can also lead from a generated directory to real files (`/proc/self/cwd/x`), or over the border of a
//! directory that the run has of its own ([`crate::fs::own_tmp`]); then it is *rewritten*: Linux gets the path that was found in place of the
//! guest's.
//!
//! There is one walk, [`lookup`], and [`lookup_parent`] for calls that make, remove or move a name. Three shortcuts leave it out where the
//! answer is known: `is_known_file` and `RealParent` (`shortcut`) and, in the walk, a single name in an open real directory.

use crate::cx::{Cx, PATH_MAX};
use crate::errno::Errno;
use crate::fs::cwd::{self, Cwd};
use crate::fs::directory::Directory;
use crate::fs::file::OpenFile;
use crate::fs::filesystems;
use crate::fs::generated::{Inode, MagicLink};
use crate::fs::host::has_name;
use crate::fs::inode::{FileStat, kind};
use crate::fs::magic_link::{self, Destination};
use crate::fs::own_tmp::Tree;
use crate::fs::shortcut::RealParent;
use crate::ports::{AT_FDCWD, NOFOLLOW};
use alloc::{rc::Rc, vec::Vec};

/// How many links a path may lead over (`MAXSYMLINKS`).
pub(super) const MAX_LINKS: u32 = 40;

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// The business of the real Linux: what stands there, or why nothing does.
    Real(Result<FileStat, Errno>),
    /// A generated file.
    Generated(Inode),
    /// An object that the kernel models, behind a descriptor (`/proc/PID/fd/N`).
    Open(Rc<OpenFile>),
}

/// A path that has been looked up.
#[derive(Debug)]
pub struct Lookup {
    /// What stands there.
    pub found: Found,
    /// An absolute path without links, except the last component if it wasn't to be followed. A name that does not exist has
    /// the path at which it would be made. Relative, or that of a magic link, where no other is known.
    pub path: Vec<u8>,
    /// The guest's path means something else to the real Linux: [`Lookup::path`] must take its place.
    pub rewritten: bool,
    /// What follows it then, as the guest's path had it.
    pub ending: &'static [u8],
    /// Whether a magic link (`/proc/PID/fd/N`) was on the way.
    pub over_magic_link: bool,
    /// In which tree of real files it is.
    pub tree: Tree,
    /// The number of the directory that it is in, if that is known already.
    parent: Option<u64>,
}

impl Lookup {
    /// What the real Linux has there; anything else is the error `other`.
    pub fn real(&self, other: Errno) -> Result<&Result<FileStat, Errno>, Errno> {
        match &self.found {
            Found::Real(stat) => Ok(stat),
            _ => Err(other),
        }
    }

    /// The number of the real directory that the name stands in.
    pub fn parent(&self, cx: &Cx) -> Option<u64> {
        if self.parent.is_some() {
            return self.parent;
        }
        let at = self.path.iter().rposition(|&byte| byte == b'/')?;
        let parent = self.path.get(..at)?;
        let fs = &cx.kernel.fs;
        fs.dcache.directory(parent).or_else(|| {
            let path = if parent.is_empty() { b"/" } else { parent };
            let real = cx.files().stat(AT_FDCWD, path, NOFOLLOW).ok()?;
            // A path that leads nowhere may have a file before its last component.
            real.is(kind::DIRECTORY).then(|| fs.note_directory(parent, &real))
        })
    }
}

/// Where a relative path begins.
enum Base {
    /// At a path; `/` is the empty one.
    Path(Rc<[u8]>),
    /// At a generated directory: the real descriptor is none.
    Generated(Rc<[u8]>),
    /// At a real directory whose path is known to be no root of the kernel's own files. A single name is looked up there
    /// directly.
    Directory {
        fd: i32,
        number: u64,
        /// In which tree it is.
        tree: Tree,
        /// The path of the name in it, if its own still leads there.
        path: Option<Vec<u8>>,
    },
}

fn base(cx: &Cx, dirfd: i32, path: &[u8]) -> Result<Base, Errno> {
    if dirfd == AT_FDCWD {
        return Ok(match cwd::of(cx, &cx.task)? {
            Cwd::Real(path) => Base::Path(path),
            Cwd::Generated(path) => Base::Generated(path),
        });
    }
    if let Some(open) = cx.raw_file(dirfd)
        && let Some(directory) = open.downcast::<Directory>()
    {
        if !open.is_real() {
            return Ok(Base::Generated(directory.path().into()));
        }
        let tree = cx.kernel.mounts.tree(directory.path());
        if let Some(parent) = RealParent::of(cx, open, path) {
            let path = parent.path_of(cx, path);
            return Ok(Base::Directory { fd: dirfd, number: parent.number(), tree, path });
        }
    }
    if !cx.task.guest.stat(dirfd, b"", 0)?.is(kind::DIRECTORY) {
        return Err(Errno::ENOTDIR);
    }
    cx.files().proc_link(&alloc::format!("fd/{dirfd}")).map(|path| Base::Path(path.into()))
}

/// What becomes of a link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// It is followed.
    Follow,
    /// It isn't, unless a slash follows it.
    Stay,
    /// It never is: the path names a name.
    Name,
}

/// Looks up `path` from `dirfd`; `follow` tells whether a link at its end is followed.
pub fn lookup(cx: &Cx, dirfd: i32, path: &[u8], follow: bool) -> Result<Lookup, Errno> {
    checked(cx, dirfd, path, if follow { Last::Follow } else { Last::Stay })
}

/// Looks up a path whose last component is a name to be made, removed or moved.
pub fn lookup_parent(cx: &Cx, dirfd: i32, path: &[u8]) -> Result<Lookup, Errno> {
    checked(cx, dirfd, path, Last::Name)
}

fn checked(cx: &Cx, dirfd: i32, path: &[u8], mode: Last) -> Result<Lookup, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let mut target = walk(cx, dirfd, path, mode)?;
    // The real /proc and /sys may be mounted elsewhere, too.
    if let Found::Real(Ok(stat)) = &target.found
        && cx.kernel.fs.is_foreign(cx, stat.dev)
    {
        return Err(Errno::EACCES);
    }
    if target.rewritten {
        target.ending = ending(path);
    }
    Ok(target)
}

/// How a path ends that says more than its name: `rmdir("d/.")` isn't `rmdir("d")`.
pub(super) fn ending(path: &[u8]) -> &'static [u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let (name, slashes) = path.split_at_checked(end).unwrap_or((path, b""));
    match name.rsplit(|&byte| byte == b'/').next() {
        Some(b"." | b"..") => b"/.",
        _ if slashes.is_empty() => b"",
        _ => b"/",
    }
}

fn walk(cx: &Cx, dirfd: i32, path: &[u8], mode: Last) -> Result<Lookup, Errno> {
    let mut start = Rc::from(&b""[..]);
    let mut rewritten = false;
    let relative = path.first() != Some(&b'/');
    if relative {
        match base(cx, dirfd, path) {
            Ok(Base::Path(path)) => start = path,
            Ok(Base::Generated(path)) => (start, rewritten) = (path, true),
            // It is deeper than any path can be long.
            Err(Errno::ENAMETOOLONG) => return Ok(unreachable(cx, dirfd, path, mode == Last::Follow)),
            Err(error) => return Err(error),
            Ok(Base::Directory { fd, number, tree, path: known }) => {
                let stat = cx.task.guest.stat(fd, path, NOFOLLOW);
                if !(mode == Last::Follow && stat.is_ok_and(|stat| stat.is(kind::LINK))) {
                    return Ok(Lookup {
                        found: Found::Real(stat),
                        path: known.unwrap_or_else(|| path.to_vec()),
                        rewritten: false,
                        over_magic_link: false,
                        ending: b"",
                        tree,
                        parent: Some(number),
                    });
                }
                start = cx.files().proc_link(&alloc::format!("fd/{fd}"))?.into();
            }
        }
    }
    let mut at = start.to_vec();
    if at == b"/" {
        at.clear();
    }
    if !at.is_empty() && !has_name(&at) {
        // A removed directory has nothing in it.
        return Ok(unreachable(cx, dirfd, path, mode == Last::Follow));
    }
    let origin = relative.then_some((dirfd, path));
    let native = cx.kernel.mounts.tree(&at);
    Walker {
        cx,
        origin,
        at,
        rest: path.to_vec(),
        mode,
        links: 0,
        native,
        enters: false,
        rewritten,
        over_magic_link: false,
        descriptor: None,
        found: None,
    }
    .run()
}

/// In which tree the real file behind a descriptor is.
pub(super) fn tree_of(cx: &Cx, fd: i32) -> Tree {
    if cx.kernel.mounts.own().is_none() {
        return Tree::Host;
    }
    let name = if fd == AT_FDCWD { "cwd".into() } else { alloc::format!("fd/{fd}") };
    cx.files().proc_link(&name).map_or(Tree::Host, |path| cx.kernel.mounts.tree(&path))
}

/// What Linux says of a path that begins in a directory without a name.
fn unreachable(cx: &Cx, dirfd: i32, path: &[u8], follow: bool) -> Lookup {
    let found = Found::Real(cx.task.guest.stat(dirfd, path, if follow { 0 } else { NOFOLLOW }));
    let tree = tree_of(cx, dirfd);
    Lookup { found, path: path.to_vec(), rewritten: false, over_magic_link: false, ending: b"", tree, parent: None }
}

struct Walker<'a> {
    cx: &'a Cx,
    /// A relative path as the guest gave it.
    origin: Option<(i32, &'a [u8])>,
    /// Where it stands: an absolute path, empty for the root.
    at: Vec<u8>,
    /// What is left to go.
    rest: Vec<u8>,
    mode: Last,
    links: u32,
    /// The tree in which the real Linux stands if it follows the guest's path.
    native: Tree,
    /// It stands in a directory of the host in place of one of the run's own. That is right only if the next name is the host's, too.
    enters: bool,
    rewritten: bool,
    over_magic_link: bool,
    /// The descriptor that `at` is the magic link of.
    descriptor: Option<i32>,
    /// What stands at `at`, if it has been looked at.
    found: Option<Found>,
}

/// What follows a component.
enum Then {
    GoOn,
    Stop,
}

impl Walker<'_> {
    fn run(mut self) -> Result<Lookup, Errno> {
        while let Some((name, last)) = self.next_name() {
            self.found = None;
            match &*name {
                b"." => {}
                b".." => {
                    let end = self.at.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                    self.at.truncate(end);
                    self.cross(true);
                }
                name => {
                    self.at.push(b'/');
                    self.at.extend_from_slice(name);
                    self.cross(false);
                    if let Then::Stop = self.enter(last)? {
                        break;
                    }
                }
            }
        }
        if self.found.is_none() {
            self.found = Some(self.look()?);
        }
        self.rewritten |= self.enters;
        let tree = match self.descriptor {
            Some(fd) => tree_of(self.cx, fd),
            None => self.cx.kernel.mounts.tree(&self.at),
        };
        if self.at.is_empty() {
            self.at.push(b'/');
        }
        let found = self.found.unwrap_or(Found::Real(Err(Errno::ENOENT)));
        let Walker { at, rewritten, over_magic_link, .. } = self;
        Ok(Lookup { found, path: at, rewritten, over_magic_link, ending: b"", tree, parent: None })
    }

    /// Takes note of a step, `up` or to a name: the real Linux makes the same one, in the tree where it stands.
    fn cross(&mut self, up: bool) {
        let mounts = &self.cx.kernel.mounts;
        let Some(own) = mounts.own() else { return };
        let tree = own.tree(&self.at);
        self.rewritten |= self.enters && (up || tree != self.native);
        let enters = !up && tree != self.native && self.native == Tree::Host && mounts.is_mount_point(&self.at);
        self.rewritten |= !enters && tree != self.native;
        self.enters = enters;
    }

    /// The next component, and whether it is the last one; with a slash behind it, only a name is.
    fn next_name(&mut self) -> Option<(Vec<u8>, bool)> {
        let from = self.rest.iter().position(|&byte| byte != b'/')?;
        let tail = self.rest.get(from..)?;
        let len = tail.iter().position(|&byte| byte == b'/').unwrap_or(tail.len());
        let name = tail.get(..len)?.to_vec();
        self.rest.drain(..from + len);
        let last = match self.mode {
            Last::Name => self.rest.iter().all(|&byte| byte == b'/'),
            _ => self.rest.is_empty(),
        };
        Some((name, last))
    }

    fn look(&self) -> Result<Found, Errno> {
        if let Some(found) = filesystems::lookup(self.cx, &self.at) {
            return found.map(Found::Generated);
        }
        let path = if self.at.is_empty() { b"/" } else { &*self.at };
        if self.cx.kernel.mounts.own().is_some_and(|own| own.hides(path)) {
            return Ok(Found::Real(Err(Errno::ENOENT)));
        }
        let guest = &self.cx.task.guest;
        Ok(Found::Real(match (self.cx.files().stat(AT_FDCWD, path, NOFOLLOW), self.origin) {
            // One may stand where one couldn't go to: with other rights, or step by step.
            (Err(Errno::EACCES | Errno::ENAMETOOLONG), Some((dirfd, path))) if self.links == 0 && !self.rewritten => {
                let used = path.len().saturating_sub(self.rest.len());
                guest.stat(dirfd, path.get(..used).unwrap_or(path), NOFOLLOW)
            }
            (stat, _) => stat,
        }))
    }

    fn enter(&mut self, last: bool) -> Result<Then, Errno> {
        let fs = &self.cx.kernel.fs;
        if !last && fs.dcache.directory(&self.at).is_some() {
            return Ok(Then::GoOn);
        }
        let found = self.look()?;
        let follows = !last || self.mode == Last::Follow;
        match &found {
            Found::Generated(node) => {
                // Those of `/dev` that Linux may see have the same names there.
                self.rewritten |= !matches!(node, Inode::Device(_)) && self.at != b"/dev";
                match node {
                    Inode::Link(to) if follows => {
                        let to = to.clone();
                        return self.link(&to);
                    }
                    Inode::MagicLink(link) if follows => {
                        let link = link.clone();
                        return self.magic_link(&link);
                    }
                    Inode::Directory(_) => {}
                    _ if !last => return Err(Errno::ENOTDIR),
                    _ => {}
                }
            }
            Found::Real(Ok(stat)) if stat.is(kind::DIRECTORY) => {
                fs.note_directory(&self.at, stat);
            }
            Found::Real(Ok(stat)) if stat.is(kind::LINK) && follows => {
                return match self.cx.files().read_link(AT_FDCWD, &self.at).and_then(|to| self.link(&to)) {
                    // Linux comes to the same, and knows what else is wrong with the call.
                    Err(error) if !self.rewritten => self.stop(Found::Real(Err(error))),
                    result => result,
                };
            }
            Found::Real(Ok(_)) if last => {}
            Found::Real(Ok(_)) => return self.stop(Found::Real(Err(Errno::ENOTDIR))),
            &Found::Real(Err(error)) => return self.stop(Found::Real(Err(error))),
            Found::Open(_) => {}
        }
        self.found = Some(found);
        Ok(Then::GoOn)
    }

    /// The path can't be followed further: Linux decides what error that is.
    fn stop(&mut self, found: Found) -> Result<Then, Errno> {
        self.found = Some(found);
        let rest = core::mem::take(&mut self.rest);
        let end = rest.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        self.at.extend_from_slice(rest.get(..end).unwrap_or_default());
        Ok(Then::Stop)
    }

    fn count_link(&mut self) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS { Err(Errno::ELOOP) } else { Ok(()) }
    }

    fn link(&mut self, to: &[u8]) -> Result<Then, Errno> {
        self.count_link()?;
        if to.len() + self.rest.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if to.first() == Some(&b'/') {
            self.at.clear();
            (self.native, self.enters) = (Tree::Host, false);
        } else {
            self.at.truncate(self.at.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
            self.cross(true);
        }
        self.rest.splice(..0, to.iter().copied());
        self.found = None;
        Ok(Then::GoOn)
    }

    fn magic_link(&mut self, link: &MagicLink) -> Result<Then, Errno> {
        self.count_link()?;
        self.over_magic_link = true;
        let at_end = self.rest.iter().all(|&byte| byte == b'/');
        self.found = match magic_link::follow(self.cx, link)? {
            Destination::Path(path) => {
                self.at = if path == b"/" { Vec::new() } else { path };
                None
            }
            Destination::Open(open) => {
                if !at_end {
                    match open.downcast::<Directory>() {
                        Some(directory) => self.at = directory.path().to_vec(),
                        None => return Err(Errno::ENOTDIR),
                    }
                    None
                } else {
                    Some(Found::Open(open))
                }
            }
            Destination::Descriptor(fd) => {
                if at_end {
                    self.descriptor = Some(fd);
                    // The real link of the same number leads to the same file, even if its name is gone.
                    self.at = alloc::format!("/proc/thread-self/fd/{fd}").into_bytes();
                    Some(Found::Real(self.cx.task.guest.stat(fd, b"", 0)))
                } else {
                    self.at = self.cx.files().proc_link(&alloc::format!("fd/{fd}"))?;
                    None
                }
            }
        };
        Ok(Then::GoOn)
    }
}
