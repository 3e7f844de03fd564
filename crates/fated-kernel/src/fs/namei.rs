//! From a path to what stands there.
//!
//! Linux resolves the paths of real files itself. But a path may lead into `/proc`, `/sys` or `/dev`, straight, by `..`
//! or over links, and there the kernel's own files stand (see [`crate::fs::generated`]). [`walk`] goes through each path as
//! namei does (path_resolution(7)), at the cost of one look at the last component: what is a directory and no link is
//! remembered. From there a path can also lead back to real files (`/proc/self/cwd/x`); then Linux is given the path
//! that [`walk`] found in place of the guest's.

use crate::cx::{Cx, PATH_MAX};
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::file::OpenFile;
use crate::fs::generated;
use crate::fs::generated::{Jump, Node};
use crate::fs::host::Fs;
use crate::fs::inode::FileStat;
use crate::fs::inode::kind;
use alloc::{rc::Rc, vec::Vec};

/// `AT_FDCWD`.
pub const AT_FDCWD: i32 = -100;
/// `AT_SYMLINK_NOFOLLOW`.
pub const NOFOLLOW: u32 = 0x100;
/// How many links a path may lead over (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;

/// What a path leads to.
#[derive(Debug)]
pub enum Place {
    /// The business of the real Linux: what stands there, or why nothing does.
    Real(Result<FileStat, Errno>),
    /// A file of the kernel's own.
    Made(Node),
    /// What is behind a descriptor (`/proc/PID/fd/N`), known to the kernel.
    Open(Rc<OpenFile>),
}

/// A path that has been gone through.
#[derive(Debug)]
pub struct Target {
    /// What stands there.
    pub place: Place,
    /// An absolute path without links, except the last component if it wasn't to be followed. Where the name does not
    /// exist it is where it would be made.
    pub path: Vec<u8>,
    /// The guest's path means something else to the real Linux: [`Target::path`] must take its place.
    pub detour: bool,
    /// What follows it then, as the guest's path had it.
    pub ending: &'static [u8],
    /// Whether a link that leads to an object (`/proc/PID/fd/N`) was on the way.
    pub jumped: bool,
    /// The number of the directory that it is in, if that is known already.
    parent: Option<u64>,
}

impl Target {
    /// What the real Linux has there; something of the kernel's own is `other`.
    pub fn real(&self, other: Errno) -> Result<&Result<FileStat, Errno>, Errno> {
        match &self.place {
            Place::Real(stat) => Ok(stat),
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
        fs.known_directory(parent).or_else(|| {
            let path = if parent.is_empty() { b"/" } else { parent };
            let real = cx.task.guest.stat(AT_FDCWD, path, NOFOLLOW).ok()?;
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
    Made(Rc<[u8]>),
    /// At a real directory whose path is known to be no root of the kernel's own files. A single name is looked up there
    /// directly.
    Directory {
        fd: i32,
        number: u64,
        /// The path of the name in it, if its own still leads there.
        path: Option<Vec<u8>>,
    },
}

fn base(cx: &Cx, dirfd: i32, path: &[u8]) -> Result<Base, Errno> {
    if dirfd == AT_FDCWD {
        return cx.kernel.fs.cwd(cx).map(Base::Path);
    }
    if let Some(open) = cx.file(dirfd)
        && let Some(directory) = open.downcast::<Directory>()
    {
        match directory.real_number() {
            None => return Ok(Base::Made(directory.path().into())),
            Some(number) => {
                if let Some(path) = name_in(cx, dirfd, path) {
                    return Ok(Base::Directory { fd: dirfd, number, path });
                }
            }
        }
    }
    if !cx.task.guest.stat(dirfd, b"", 0)?.is(kind::DIRECTORY) {
        return Err(Errno::ENOTDIR);
    }
    cx.task.guest.proc_link(&alloc::format!("fd/{dirfd}")).map(|path| Base::Path(path.into()))
}

/// Whether what Linux says is the path of a directory is one: it has been removed else, or is farther down than any path leads.
pub(crate) fn has_name(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && !path.ends_with(b" (deleted)")
}

fn is_single(path: &[u8]) -> bool {
    !path.contains(&b'/') && path != b".." && path != b"."
}

/// The directory behind `open`, if nothing of the kernel's own can stand in it.
fn real_directory(open: &OpenFile) -> Option<&Directory> {
    open.downcast::<Directory>().filter(|directory| directory.is_real() && directory.path() != b"/")
}

/// The number of the directory behind `dirfd`, if `name` is a single one in it and nothing of the kernel's own can stand there.
pub(crate) fn parent_of(cx: &Cx, dirfd: i32, name: &[u8]) -> Option<u64> {
    let open = cx.file(dirfd).filter(|_| is_single(name) && !name.is_empty())?;
    real_directory(&open)?.real_number()
}

/// What the path of such a name is; `None` inside if it isn't known.
pub(crate) fn name_in(cx: &Cx, dirfd: i32, name: &[u8]) -> Option<Option<Vec<u8>>> {
    let open = cx.file(dirfd).filter(|_| is_single(name) && !name.is_empty())?;
    Some(real_directory(&open)?.known_path(cx).map(|path| [path, b"/", name].concat()))
}

/// Whether a path is known to lead to a regular file, without a look.
pub(crate) fn is_plain(cx: &Cx, dirfd: i32, path: &[u8]) -> bool {
    let fs = &cx.kernel.fs;
    if path.first() == Some(&b'/') {
        return fs.is_plain(path);
    }
    let path = match dirfd {
        AT_FDCWD => fs.cwd(cx).ok().map(|cwd| [&*cwd, b"/", path].concat()),
        _ => name_in(cx, dirfd, path).flatten(),
    };
    path.is_some_and(|path| fs.is_plain(&path))
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

/// Goes through `path` from `dirfd`; `follow` tells whether a link at its end is followed.
pub fn walk(cx: &Cx, dirfd: i32, path: &[u8], follow: bool) -> Result<Target, Errno> {
    go(cx, dirfd, path, if follow { Last::Follow } else { Last::Stay })
}

/// Goes through a path whose last component is a name to be made, removed or moved.
pub fn walk_to_name(cx: &Cx, dirfd: i32, path: &[u8]) -> Result<Target, Errno> {
    go(cx, dirfd, path, Last::Name)
}

fn go(cx: &Cx, dirfd: i32, path: &[u8], mode: Last) -> Result<Target, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let mut target = find(cx, dirfd, path, mode)?;
    // Other mounts of the real /proc and /sys.
    if let Place::Real(Ok(stat)) = &target.place
        && cx.kernel.fs.is_foreign(cx, stat.dev)
    {
        return Err(Errno::EACCES);
    }
    if target.detour {
        target.ending = ending(path);
    }
    Ok(target)
}

/// How a path ends that says more than its name: `rmdir("d/.")` isn't `rmdir("d")`.
fn ending(path: &[u8]) -> &'static [u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let (name, slashes) = path.split_at_checked(end).unwrap_or((path, b""));
    match name.rsplit(|&byte| byte == b'/').next() {
        Some(b"." | b"..") => b"/.",
        _ if slashes.is_empty() => b"",
        _ => b"/",
    }
}

fn find(cx: &Cx, dirfd: i32, path: &[u8], mode: Last) -> Result<Target, Errno> {
    let mut start = Rc::from(&b""[..]);
    let mut detour = false;
    let relative = path.first() != Some(&b'/');
    if relative {
        match base(cx, dirfd, path) {
            Ok(Base::Path(path)) => start = path,
            Ok(Base::Made(path)) => (start, detour) = (path, true),
            // Deeper down than any path leads.
            Err(Errno::ENAMETOOLONG) => return Ok(unreachable(cx, dirfd, path, mode == Last::Follow)),
            Err(error) => return Err(error),
            Ok(Base::Directory { fd, number, path: known }) => {
                let stat = cx.task.guest.stat(fd, path, NOFOLLOW);
                if !(mode == Last::Follow && stat.is_ok_and(|stat| stat.is(kind::LINK))) {
                    return Ok(Target {
                        place: Place::Real(stat),
                        path: known.unwrap_or_else(|| path.to_vec()),
                        detour: false,
                        jumped: false,
                        ending: b"",
                        parent: Some(number),
                    });
                }
                start = cx.task.guest.proc_link(&alloc::format!("fd/{fd}"))?.into();
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
    Walker { cx, origin, at, rest: path.to_vec(), mode, links: 0, detour, jumped: false, place: None }.run()
}

/// What Linux says of a path whose beginning has no name.
fn unreachable(cx: &Cx, dirfd: i32, path: &[u8], follow: bool) -> Target {
    let place = Place::Real(cx.task.guest.stat(dirfd, path, if follow { 0 } else { NOFOLLOW }));
    Target { place, path: path.to_vec(), detour: false, jumped: false, ending: b"", parent: None }
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
    detour: bool,
    jumped: bool,
    /// What stands at `at`, if it has been looked at.
    place: Option<Place>,
}

/// What the walker does after a component.
enum Then {
    GoOn,
    Stop,
}

impl Walker<'_> {
    fn run(mut self) -> Result<Target, Errno> {
        while let Some((name, last)) = self.next_name() {
            self.place = None;
            match &*name {
                b"." => {}
                b".." => {
                    let end = self.at.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                    self.at.truncate(end);
                }
                name => {
                    self.at.push(b'/');
                    self.at.extend_from_slice(name);
                    if let Then::Stop = self.enter(last)? {
                        break;
                    }
                }
            }
        }
        if self.place.is_none() {
            self.place = Some(self.look()?);
        }
        if self.at.is_empty() {
            self.at.push(b'/');
        }
        let place = self.place.unwrap_or(Place::Real(Err(Errno::ENOENT)));
        Ok(Target { place, path: self.at, detour: self.detour, jumped: self.jumped, ending: b"", parent: None })
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

    fn look(&self) -> Result<Place, Errno> {
        if generated::is_made(&self.at) {
            return generated::find(self.cx, &self.at).map(Place::Made);
        }
        let path = if self.at.is_empty() { b"/" } else { &*self.at };
        let guest = &self.cx.task.guest;
        Ok(Place::Real(match (guest.stat(AT_FDCWD, path, NOFOLLOW), self.origin) {
            // One may stand where one couldn't go to: with other rights, or step by step.
            (Err(Errno::EACCES | Errno::ENAMETOOLONG), Some((dirfd, path))) if self.links == 0 => {
                let used = path.len().saturating_sub(self.rest.len());
                guest.stat(dirfd, path.get(..used).unwrap_or(path), NOFOLLOW)
            }
            (stat, _) => stat,
        }))
    }

    fn enter(&mut self, last: bool) -> Result<Then, Errno> {
        let fs: &Fs = &self.cx.kernel.fs;
        if !last && fs.known_directory(&self.at).is_some() {
            return Ok(Then::GoOn);
        }
        let place = self.look()?;
        let follows = !last || self.mode == Last::Follow;
        match &place {
            Place::Made(node) => {
                // Those of `/dev` that Linux may see have the same names there.
                self.detour |= !matches!(node, Node::Device(_)) && self.at != b"/dev";
                match node {
                    Node::Link(to) if follows => {
                        let to = to.clone();
                        return self.link(&to);
                    }
                    Node::Jump(jump) if follows => {
                        let jump = jump.clone();
                        return self.jump(&jump);
                    }
                    Node::Directory(_) => {}
                    _ if !last => return Err(Errno::ENOTDIR),
                    _ => {}
                }
            }
            Place::Real(Ok(stat)) if stat.is(kind::DIRECTORY) => {
                fs.note_directory(&self.at, stat);
            }
            Place::Real(Ok(stat)) if stat.is(kind::LINK) && follows => {
                return match self.cx.task.guest.read_link(AT_FDCWD, &self.at).and_then(|to| self.link(&to)) {
                    // Linux comes to the same, and knows what else is wrong with the call.
                    Err(error) if !self.detour => self.stop(Place::Real(Err(error))),
                    result => result,
                };
            }
            Place::Real(Ok(_)) if last => {}
            Place::Real(Ok(_)) => return self.stop(Place::Real(Err(Errno::ENOTDIR))),
            &Place::Real(Err(error)) => return self.stop(Place::Real(Err(error))),
            Place::Open(_) => {}
        }
        self.place = Some(place);
        Ok(Then::GoOn)
    }

    /// Linux has the last word on what can't be gone through.
    fn stop(&mut self, place: Place) -> Result<Then, Errno> {
        self.place = Some(place);
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
        let end =
            if to.first() == Some(&b'/') { 0 } else { self.at.iter().rposition(|&byte| byte == b'/').unwrap_or(0) };
        self.at.truncate(end);
        self.rest.splice(..0, to.iter().copied());
        self.place = None;
        Ok(Then::GoOn)
    }

    fn jump(&mut self, jump: &Jump) -> Result<Then, Errno> {
        self.count_link()?;
        self.jumped = true;
        let at_end = self.rest.iter().all(|&byte| byte == b'/');
        self.place = match jump.land(self.cx)? {
            generated::Landing::Path(path) => {
                self.at = if path == b"/" { Vec::new() } else { path };
                None
            }
            generated::Landing::Open(open) => {
                if !at_end {
                    match open.downcast::<Directory>() {
                        Some(directory) => self.at = directory.path().to_vec(),
                        None => return Err(Errno::ENOTDIR),
                    }
                    None
                } else {
                    Some(Place::Open(open))
                }
            }
            generated::Landing::Descriptor(fd) => {
                if at_end {
                    // The real link of the same number leads to the same file, even if its name is gone.
                    self.at = alloc::format!("/proc/thread-self/fd/{fd}").into_bytes();
                    Some(Place::Real(self.cx.task.guest.stat(fd, b"", 0)))
                } else {
                    self.at = self.cx.task.guest.proc_link(&alloc::format!("fd/{fd}"))?;
                    None
                }
            }
        };
        Ok(Then::GoOn)
    }
}
