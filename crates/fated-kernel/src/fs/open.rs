//! Opening files: what stands at the path decides who opens it.
//!
//! - A regular file that is only read is the real Linux's alone.
//! - One that is opened for writing, and a directory, are opened by Linux and noted in the table of descriptors.
//! - Generated files, devices, terminals and named pipes get a placeholder.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs::device::{self, Device};
use crate::fs::devtmpfs::random::Random;
use crate::fs::directory::Directory;
use crate::fs::file::{File, OpenFile};
use crate::fs::generated::Inode;
use crate::fs::host::carry_out::{PathArg, carry_out, pass};
use crate::fs::host::file::NativeFile;
use crate::fs::host::has_name;
use crate::fs::inode::{FileStat, kind};
use crate::fs::namei::{self, Found, Lookup, lookup};
use crate::fs::own_tmp::Tree;
use crate::fs::permission::{is_busy, permitted};
use crate::fs::seq_file::SeqFile;
use crate::fs::shortcut::{self, RealParent};
use crate::ipc::fifo;
use crate::ipc::pipe::end::End;
use crate::outcome::{Outcome, SysResult};
use crate::ports::AT_FDCWD;
use crate::sched::Woken;
use crate::sched::wait_queue::WaitQueue;
use crate::tty::outside::Outsider;
use crate::tty::stream::open_terminal;
use alloc::{boxed::Box, rc::Rc, vec::Vec};
use linux_raw_sys::general::{
    __NR_close, O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_TRUNC, O_WRONLY,
    RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};

/// `__O_TMPFILE`.
const TMPFILE: u32 = 0o20_000_000;

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The call itself, for the real Linux.
    pub call: &'a Call,
    /// Where its path stands.
    pub arg: PathArg,
    /// `O_*`.
    pub flags: u32,
    /// `RESOLVE_*` of openat2(2).
    pub resolve: u32,
}

impl Request<'_> {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn writes(&self) -> bool {
        self.flags & O_ACCMODE != 0
    }

    /// Whether nothing but reading is asked for, in no special way.
    fn only_reads(&self) -> bool {
        !self.writes() && self.resolve == 0 && !self.has(O_CREAT | O_TRUNC | O_PATH | TMPFILE)
    }

    /// The real Linux opens a file that is its own alone.
    fn opened_by_host(&self) -> Outcome {
        Outcome::Open { cloexec: self.has(O_CLOEXEC) }
    }

    fn follows(&self) -> bool {
        !self.has(O_NOFOLLOW) && self.flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL
    }
}

/// An open after its first look.
#[derive(Debug)]
pub enum Begun {
    /// It is over.
    Over(Outcome),
    /// A named pipe waits for its other end: see [`open_fifo`].
    Fifo(Box<Fifo>),
}

/// A named pipe that is being opened.
#[derive(Debug)]
pub struct Fifo {
    flags: u32,
    stat: FileStat,
    path: Vec<u8>,
    /// The path by which somebody outside of the run may know it.
    real: Option<Vec<u8>>,
}

/// open(2) and its kin, as far as they don't wait.
pub fn open(cx: &Cx, request: Request) -> Result<Begun, Errno> {
    let path = request.arg.read(cx, &request.call.args)?;
    cx.free_number(0)?;
    let dirfd = request.arg.dirfd(&request.call.args);
    if request.only_reads() && !request.has(O_DIRECTORY) && shortcut::is_known_file(cx, dirfd, &path) {
        return Ok(Begun::Over(request.opened_by_host()));
    }
    if request.only_reads()
        && request.flags & DIRECTORY_ITSELF == DIRECTORY_ITSELF
        && let Some(parent) = RealParent::behind(cx, dirfd, &path)
    {
        return open_in_directory(cx, request, &parent, &path).map(Begun::Over);
    }
    let target = match lookup(cx, dirfd, &path, request.follows()) {
        Err(Errno::ELOOP) if request.has(O_CREAT) => return Err(error_of_loop(cx, dirfd, path)),
        target => target?,
    };
    if target.rewritten || !matches!(target.found, Found::Real(_)) {
        if request.resolve & (RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0 {
            return Err(Errno::EXDEV);
        }
        if target.over_magic_link && request.resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS) != 0 {
            return Err(Errno::ELOOP);
        }
    }
    if let Found::Real(stat) = &target.found {
        return open_real(cx, request, &target, stat.as_ref().map_err(|&error| error));
    }
    if request.has(O_CREAT) && request.has(O_EXCL) {
        return Err(Errno::EEXIST);
    }
    match &target.found {
        Found::Generated(node) => open_generated(cx, request, node, &target).map(Begun::Over),
        Found::Open(open) => {
            if request.has(O_DIRECTORY) && open.downcast::<Directory>().is_none() {
                return Err(Errno::ENOTDIR);
            }
            let file = if request.has(O_PATH) { open.file.clone() } else { open.file.reopen(cx, request.flags)? };
            install(cx, request.flags, file).map(Begun::Over)
        }
        Found::Real(_) => Err(Errno::EIO),
    }
}

/// What is wrong with creating a file behind a loop of links: Linux follows no path that can only be that of a directory.
fn error_of_loop(cx: &Cx, dirfd: i32, mut path: Vec<u8>) -> Errno {
    let mut from = dirfd;
    for _ in 0..namei::MAX_LINKS {
        if !namei::ending(&path).is_empty() {
            return Errno::EISDIR;
        }
        let Ok(link) = namei::lookup_parent(cx, from, &path) else { break };
        let Ok(text) = cx.files().read_link(AT_FDCWD, &link.path) else { break };
        let end = link.path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let directory = if text.starts_with(b"/") { b"" } else { link.path.get(..end).unwrap_or_default() };
        path = [directory, &text].concat();
        from = AT_FDCWD;
    }
    Errno::ELOOP
}

fn install(cx: &Cx, flags: u32, file: Rc<dyn File>) -> Result<Outcome, Errno> {
    let fd = if flags & O_PATH != 0 { cx.install_path(file, flags) } else { cx.install(file, flags) };
    fd.map(|fd| Outcome::Value(fd as u64))
}

fn open_generated(cx: &Cx, request: Request, node: &Inode, target: &Lookup) -> Result<Outcome, Errno> {
    let is_directory = matches!(node, Inode::Directory(_));
    if request.has(O_DIRECTORY) && !is_directory {
        return Err(Errno::ENOTDIR);
    }
    if is_directory && (request.writes() || request.has(O_CREAT)) {
        return Err(Errno::EISDIR);
    }
    let path = target.path.clone();
    if !request.has(O_PATH) {
        let wanted = match request.flags & O_ACCMODE {
            0 => 4,
            O_WRONLY => 2,
            _ => 6,
        };
        permitted(cx, &node.stat(cx, &path), wanted)?;
    }
    match node {
        Inode::Directory(dir) => install(cx, request.flags, Directory::generated(dir.clone(), path)),
        Inode::File(source) => install(cx, request.flags, SeqFile::new(source.clone(), path, request.flags)),
        Inode::Device(device) => open_device(cx, request, *device, target),
        Inode::Link(_) | Inode::MagicLink(_) => Err(Errno::ELOOP),
    }
}

fn open_device(cx: &Cx, request: Request, device: Device, target: &Lookup) -> Result<Outcome, Errno> {
    match device {
        _ if request.has(O_PATH) => open_path(cx, request, target),
        _ if device.is_native() => pass_open(cx, request, target),
        Device::Random | Device::Urandom => install(cx, request.flags, Rc::new(Random(device))),
        _ => install(cx, request.flags, open_terminal(cx).ok_or(Errno::ENXIO)?),
    }
}

fn open_real(cx: &Cx, request: Request, target: &Lookup, stat: Result<&FileStat, Errno>) -> Result<Begun, Errno> {
    let passed = || pass_open(cx, request, target).map(Begun::Over);
    let stat = match stat {
        Ok(stat) => stat,
        Err(Errno::ENOENT) if request.has(O_CREAT) => return create(cx, request, target).map(Begun::Over),
        // It fails. Linux says with which error.
        Err(_) => return pass(cx, *request.call, &[(request.arg, target)]).map(Begun::Over),
    };
    if request.has(O_PATH) {
        if request.has(O_DIRECTORY) && !stat.is(kind::DIRECTORY) {
            return Err(Errno::ENOTDIR);
        }
        return open_path(cx, request, target).map(Begun::Over);
    }
    match stat.mode & kind::MASK {
        kind::REGULAR if !request.writes() && !request.has(O_TRUNC) => {
            // Linux finds it there only if it is the host's.
            if !target.rewritten && target.path.first() == Some(&b'/') && target.tree == Tree::Host {
                cx.kernel.fs.dcache.note_file(&target.path, stat);
            }
            passed()
        }
        kind::REGULAR => {
            let other = request.has(O_DIRECTORY) || request.flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
            if !other && is_busy(cx, stat) {
                return Err(Errno::ETXTBSY);
            }
            let fd = carry_out(cx, *request.call, &[(request.arg, target)])?;
            let number = cx.kernel.fs.virtualized(&cx.kernel, stat).ino;
            if request.has(O_TRUNC) {
                cx.kernel.fs.touched(&cx.kernel, number);
            }
            Ok(Begun::Over(track_file(cx, request, fd, number, stat)))
        }
        kind::DIRECTORY if request.has(TMPFILE) => create(cx, request, target).map(Begun::Over),
        kind::DIRECTORY if !request.writes() && !request.has(O_CREAT) => {
            let fd = carry_out(cx, *request.call, &[(request.arg, target)])?;
            let path = real_path(cx, target, fd);
            if has_name(&path) {
                cx.kernel.fs.note_directory(&path, stat);
            }
            Ok(Begun::Over(track(cx, request, fd, Directory::real(cx, stat, path, request.flags))))
        }
        kind::FIFO if request.has(O_DIRECTORY) => Err(Errno::ENOTDIR),
        kind::FIFO => {
            let virtualized = cx.kernel.fs.virtualized(&cx.kernel, stat);
            let (path, real) = (target.path.clone(), path_outside(cx, request, target));
            Ok(Begun::Fifo(Box::new(Fifo { flags: request.flags, stat: virtualized, path, real })))
        }
        kind::CHARACTER => match device::of(stat) {
            Some(device) => open_device(cx, request, device, target).map(Begun::Over),
            None => Err(Errno::ENXIO),
        },
        kind::BLOCK | kind::SOCKET => Err(Errno::ENXIO),
        _ => passed(),
    }
}

/// Lets the real Linux open a file that is its own alone.
fn pass_open(cx: &Cx, request: Request, target: &Lookup) -> Result<Outcome, Errno> {
    if !target.rewritten {
        return Ok(request.opened_by_host());
    }
    let fd = carry_out(cx, *request.call, &[(request.arg, target)])?;
    cx.enter_host(fd as i32, request.has(O_CLOEXEC));
    Ok(Outcome::Value(fd))
}

/// Lets the real Linux open a file by name alone (`O_PATH`).
fn open_path(cx: &Cx, request: Request, target: &Lookup) -> Result<Outcome, Errno> {
    let fd = carry_out(cx, *request.call, &[(request.arg, target)])?;
    Ok(track(cx, request, fd, Rc::new(NativeFile::untracked())))
}

/// Flags that open a directory, but no link to one.
const DIRECTORY_ITSELF: u32 = O_DIRECTORY | O_NOFOLLOW;

/// Opens a directory by its name in another one, and looks at it afterwards. Anything else fails with `ENOTDIR`.
fn open_in_directory(cx: &Cx, request: Request, parent: &RealParent, name: &[u8]) -> Result<Outcome, Errno> {
    let path = parent.path_of(cx, name);
    let fd = cx.native(request.call.number, request.call.args)?;
    let stat = cx.task.guest.stat(fd as i32, b"", 0)?;
    if cx.kernel.fs.is_foreign(cx, stat.dev) {
        cx.native(__NR_close.into(), [fd, 0, 0, 0, 0, 0])?;
        return Err(Errno::EACCES);
    }
    let fs = &cx.kernel.fs;
    fs.dcache.note_opened(parent.number(), name, &stat, fs.changes());
    let path = path.unwrap_or_else(|| path_of(cx, fd));
    Ok(track(cx, request, fd, Directory::real(cx, &stat, path, request.flags)))
}

fn path_of(cx: &Cx, fd: u64) -> Vec<u8> {
    // One without a path is not the root of a generated file system, and nothing else counts.
    cx.files().proc_link(&alloc::format!("fd/{fd}")).unwrap_or_default()
}

/// The path of a directory that has just been opened.
fn real_path(cx: &Cx, target: &Lookup, fd: u64) -> Vec<u8> {
    if target.path.first() == Some(&b'/') && !target.rewritten {
        return target.path.clone();
    }
    path_of(cx, fd)
}

/// Notes a real descriptor in the table.
fn track(cx: &Cx, request: Request, fd: u64, file: Rc<dyn File>) -> Outcome {
    let open = OpenFile::new(cx, file, request.flags);
    cx.task.files.borrow().set(fd as i32, open, request.has(O_CLOEXEC));
    Outcome::Value(fd)
}

/// The same for a regular file that was opened for more than reading.
fn track_file(cx: &Cx, request: Request, fd: u64, number: u64, real: &FileStat) -> Outcome {
    let writes = request.writes().then(|| cx.kernel.fs.written.begin(real));
    track(cx, request, fd, Rc::new(NativeFile { ino: number, writes }))
}

/// Creates a file, or one without a name (`O_TMPFILE`).
fn create(cx: &Cx, request: Request, target: &Lookup) -> Result<Outcome, Errno> {
    let (kernel, fs) = (&cx.kernel, &cx.kernel.fs);
    let fd = carry_out(cx, *request.call, &[(request.arg, target)])?;
    let real = cx.task.guest.stat(fd as i32, b"", 0)?;
    let number = fs.created(kernel, &real);
    if !request.has(TMPFILE)
        && let Some(parent) = target.parent(cx)
    {
        fs.touched(kernel, parent);
    }
    Ok(track_file(cx, request, fd, number, &real))
}

/// The real path of a file that isn't the run's own, if it is known.
fn path_outside(cx: &Cx, request: Request, target: &Lookup) -> Option<Vec<u8>> {
    let path = &target.path;
    if target.tree != Tree::Host {
        None
    } else if path.first() == Some(&b'/') {
        Some(cx.kernel.mounts.real(path).into_owned())
    } else {
        let in_cwd = request.arg.dirfd(&request.call.args) == AT_FDCWD && !target.rewritten;
        let cwd = cx.task.guest.proc_link("cwd").ok().filter(|_| in_cwd)?;
        Some([&*cwd, b"/", path].concat())
    }
}

/// Opens a named pipe: an end without `O_NONBLOCK` waits until the other one has been opened (fifo(7)).
pub async fn open_fifo(cx: Cx, fifo: Box<Fifo>) -> SysResult {
    let Fifo { flags, stat, path, real } = *fifo;
    let wanted = match flags & O_ACCMODE {
        0 => 4,
        O_WRONLY => 2,
        _ => 6,
    };
    permitted(&cx, &stat, wanted)?;
    let pipe = cx.kernel.fs.fifo(&cx.kernel, stat.ino);
    let nonblocking = flags & O_NONBLOCK != 0;
    if wanted == 2 && nonblocking && !pipe.ends().0 {
        return Err(Errno::ENXIO);
    }
    // An end that was opened and closed while this one slept counts, too.
    let others = |(readers, writers): (u64, u64)| if wanted == 4 { writers } else { readers };
    let before = others(pipe.opened());
    let end = End::open(&pipe, flags);
    let waits = wanted != 6 && !nonblocking;
    let there = |(readers, writers): (bool, bool)| if wanted == 4 { writers } else { readers };
    let arrived = || there(pipe.ends()) || others(pipe.opened()) != before;
    if waits && !arrived() {
        let outsider = real.and_then(|path| Outsider::awaited(&cx, &path, wanted == 2));
        let came = outsider.as_ref().map_or_else(WaitQueue::default, |outsider| outsider.came.clone());
        while !arrived() && !outsider.as_ref().is_some_and(|it| it.has_come(&cx)) {
            let _awaits = cx.await_streams(outsider.iter().map(Outsider::wanted));
            match cx.sleep(&[pipe.changed(), &came], None).await {
                Woken::Signal => return Err(Errno::ERESTARTSYS),
                Woken::Event | Woken::Timeout => {}
            }
        }
        if let Some(outsider) = outsider.filter(|_| !arrived()) {
            drop(end);
            let end = outsider.open(&cx, flags);
            return install(&cx, flags, fifo::Fifo::new(end, path, stat, Some(Rc::new(outsider))));
        }
    }
    install(&cx, flags, fifo::Fifo::new(end, path, stat, None))
}
