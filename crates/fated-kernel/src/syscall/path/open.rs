//! open(2), creat(2), openat(2), openat2(2).

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::devtmpfs;
use crate::fs::devtmpfs::Device;
use crate::fs::devtmpfs::random::Random;
use crate::fs::directory::Directory;
use crate::fs::file::{File, OpenFile};
use crate::fs::generated::Node;
use crate::fs::host::file::NativeFile;
use crate::fs::inode::FileStat;
use crate::fs::inode::kind;
use crate::fs::namei;
use crate::fs::namei::{Place, Target, walk};
use crate::fs::seq_file::Snapshot;
use crate::ipc::fifo::Fifo;
use crate::outcome::{Outcome, Step, SysResult};
use crate::sched::Woken;
use crate::syscall::path::{PathArg, carry_out, is_busy, pass, permitted};
use crate::syscall::{later, now};
use crate::tty::stream::open_terminal;
use alloc::{boxed::Box, rc::Rc, vec::Vec};
use linux_raw_sys::general::{
    __NR_close, __NR_creat, __NR_open, __NR_openat, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_TRUNC,
    RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};
use linux_raw_sys::general::{O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_WRONLY};

/// `__O_TMPFILE`.
const TMPFILE: u32 = 0o20_000_000;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    call: &'a Call,
    arg: PathArg,
    flags: u32,
    resolve: u32,
}

impl<'a> Request<'a> {
    #[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
    fn decode(cx: &Cx, call: &'a Call) -> Result<Request<'a>, Errno> {
        let a = &call.args;
        let request = |arg, flags: u64| Request { call, arg, flags: flags as u32, resolve: 0 };
        Ok(match call.number as u32 {
            __NR_open => request(PathArg::plain(0), a[1]),
            __NR_creat => request(PathArg::plain(0), (O_CREAT | O_WRONLY | O_TRUNC).into()),
            __NR_openat => request(PathArg::at(0), a[2]),
            _ => {
                // struct open_how: flags, mode, resolve.
                const SIZE: u64 = 24;
                match a[3] {
                    0..SIZE => return Err(Errno::EINVAL),
                    4097.. => return Err(Errno::E2BIG),
                    _ => {}
                }
                let [flags, _, resolve] = cx.read_words(a[2])?;
                Request { resolve: resolve as u32, ..request(PathArg::at(0), flags) }
            }
        })
    }

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

    fn follows(&self) -> bool {
        !self.has(O_NOFOLLOW) && self.flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL
    }
}

/// open(2) and its kin.
pub fn open(cx: &Cx, call: &Call) -> Step {
    match begin(cx, call) {
        Ok(Begun::Over(outcome)) => now(Ok(outcome)),
        Ok(Begun::Fifo(fifo)) => {
            let (flags, stat, path) = *fifo;
            later(cx, open_fifo(cx.clone(), flags, stat, path))
        }
        Err(error) => Step::Failed(error),
    }
}

/// An open after its first look.
enum Begun {
    Over(Outcome),
    /// A named pipe waits for its other end.
    Fifo(Box<(u32, FileStat, Vec<u8>)>),
}

fn begin(cx: &Cx, call: &Call) -> Result<Begun, Errno> {
    let request = Request::decode(cx, call)?;
    let path = request.arg.read(cx, &call.args)?;
    let dirfd = request.arg.dirfd(&call.args);
    if request.only_reads() && !request.has(O_DIRECTORY) && namei::is_plain(cx, dirfd, &path) {
        return Ok(Begun::Over(Outcome::Pass));
    }
    if request.only_reads()
        && request.flags & DIRECTORY_ITSELF == DIRECTORY_ITSELF
        && let Some(parent) = namei::parent_of(cx, dirfd, &path)
    {
        let known = namei::name_in(cx, dirfd, &path).flatten();
        return open_in_directory(cx, request, (parent, &path), known).map(Begun::Over);
    }
    let target = walk(cx, dirfd, &path, request.follows())?;
    if target.detour || !matches!(target.place, Place::Real(_)) {
        if request.resolve & (RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0 {
            return Err(Errno::EXDEV);
        }
        if target.jumped && request.resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS) != 0 {
            return Err(Errno::ELOOP);
        }
    }
    if let Place::Real(stat) = &target.place {
        return open_real(cx, request, &target, stat.as_ref().map_err(|&error| error));
    }
    if request.has(O_CREAT) && request.has(O_EXCL) {
        return Err(Errno::EEXIST);
    }
    match &target.place {
        Place::Made(node) => open_made(cx, request, node, &target).map(Begun::Over),
        Place::Open(open) => {
            if request.has(O_DIRECTORY) && open.downcast::<Directory>().is_none() {
                return Err(Errno::ENOTDIR);
            }
            let file = if request.has(O_PATH) { open.file.clone() } else { open.file.reopen(cx, request.flags)? };
            install(cx, request.flags, file).map(Begun::Over)
        }
        Place::Real(_) => Err(Errno::EIO),
    }
}

fn install(cx: &Cx, flags: u32, file: Rc<dyn File>) -> Result<Outcome, Errno> {
    cx.install(file, flags).map(|fd| Outcome::Value(fd as u64))
}

fn open_made(cx: &Cx, request: Request, node: &Node, target: &Target) -> Result<Outcome, Errno> {
    let is_directory = matches!(node, Node::Directory(_));
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
        Node::Directory(dir) => install(cx, request.flags, Directory::made(dir.clone(), path)),
        Node::File(source) => install(cx, request.flags, Snapshot::new(source.clone(), path, request.flags)),
        Node::Device(device) => open_device(cx, request, *device, target),
        Node::Link(_) | Node::Jump(_) => Err(Errno::ELOOP),
    }
}

fn open_device(cx: &Cx, request: Request, device: Device, target: &Target) -> Result<Outcome, Errno> {
    match device {
        _ if device.is_native() => pass(cx, *request.call, &[(request.arg, target)]),
        Device::Random | Device::Urandom => install(cx, request.flags, Rc::new(Random(device))),
        _ => install(cx, request.flags, open_terminal(cx).ok_or(Errno::ENXIO)?),
    }
}

fn open_real(cx: &Cx, request: Request, target: &Target, stat: Result<&FileStat, Errno>) -> Result<Begun, Errno> {
    let passed = || pass(cx, *request.call, &[(request.arg, target)]).map(Begun::Over);
    let stat = match stat {
        Ok(stat) => stat,
        Err(Errno::ENOENT) if request.has(O_CREAT) => return create(cx, request, target).map(Begun::Over),
        // Linux knows best why.
        Err(_) => return passed(),
    };
    if request.has(O_PATH) {
        return passed();
    }
    match stat.mode & kind::MASK {
        kind::REGULAR if !request.writes() && !request.has(O_TRUNC) => {
            if !target.detour && target.path.first() == Some(&b'/') {
                cx.kernel.fs.note_plain(&target.path, stat);
            }
            passed()
        }
        kind::REGULAR => {
            let other = request.has(O_DIRECTORY) || request.flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
            if !other && is_busy(cx, stat) {
                return Err(Errno::ETXTBSY);
            }
            let fd = carry_out(cx, *request.call, &[(request.arg, target)])?;
            let number = cx.kernel.fs.mend(&cx.kernel, stat).ino;
            if request.has(O_TRUNC) {
                cx.kernel.fs.touched(&cx.kernel, number);
            }
            Ok(Begun::Over(track_file(cx, request, fd, number, stat)))
        }
        kind::DIRECTORY if request.has(TMPFILE) => create(cx, request, target).map(Begun::Over),
        kind::DIRECTORY if !request.writes() && !request.has(O_CREAT) => {
            let fd = carry_out(cx, *request.call, &[(request.arg, target)])?;
            let path = real_path(cx, target, fd);
            if namei::has_name(&path) {
                cx.kernel.fs.note_directory(&path, stat);
            }
            Ok(Begun::Over(track(cx, request, fd, Directory::real(cx, stat, path, request.flags))))
        }
        kind::FIFO if request.has(O_DIRECTORY) => Err(Errno::ENOTDIR),
        kind::FIFO => {
            let mended = cx.kernel.fs.mend(&cx.kernel, stat);
            Ok(Begun::Fifo(Box::new((request.flags, mended, target.path.clone()))))
        }
        kind::CHARACTER => match devtmpfs::of(stat) {
            Some(device) => open_device(cx, request, device, target).map(Begun::Over),
            None => Err(Errno::ENXIO),
        },
        kind::BLOCK | kind::SOCKET => Err(Errno::ENXIO),
        _ => passed(),
    }
}

/// What lets a directory be opened, but no link to one.
const DIRECTORY_ITSELF: u32 = O_DIRECTORY | O_NOFOLLOW;

/// Opens a directory by its name in another one, whose number stands before it, and looks at it then; what is none fails. Its path is
/// `path` if that is known.
fn open_in_directory(
    cx: &Cx,
    request: Request,
    (parent, name): (u64, &[u8]),
    path: Option<Vec<u8>>,
) -> Result<Outcome, Errno> {
    let fd = cx.native(request.call.number, request.call.args)?;
    let stat = cx.task.guest.stat(fd as i32, b"", 0)?;
    if cx.kernel.fs.is_foreign(cx, stat.dev) {
        cx.native(__NR_close.into(), [fd, 0, 0, 0, 0, 0])?;
        return Err(Errno::EACCES);
    }
    cx.kernel.fs.note_named(parent, name, &stat);
    let path = path.unwrap_or_else(|| path_of(cx, fd));
    Ok(track(cx, request, fd, Directory::real(cx, &stat, path, request.flags)))
}

fn path_of(cx: &Cx, fd: u64) -> Vec<u8> {
    // One so far down that it has no path is no root, and that is all that counts.
    cx.task.guest.proc_link(&alloc::format!("fd/{fd}")).unwrap_or_default()
}

/// The path of a directory that has just been opened.
fn real_path(cx: &Cx, target: &Target, fd: u64) -> Vec<u8> {
    if target.path.first() == Some(&b'/') && !target.detour {
        return target.path.clone();
    }
    path_of(cx, fd)
}

/// Takes note of a real descriptor.
fn track(cx: &Cx, request: Request, fd: u64, file: Rc<dyn File>) -> Outcome {
    let open = OpenFile::new(cx, file, request.flags);
    cx.task.files.borrow().set(fd as i32, open, request.has(O_CLOEXEC));
    Outcome::Value(fd)
}

/// The same for a regular file that was opened for more than reading.
fn track_file(cx: &Cx, request: Request, fd: u64, vino: u64, real: &FileStat) -> Outcome {
    let writes = request.writes().then(|| cx.kernel.fs.written.begin(real));
    track(cx, request, fd, Rc::new(NativeFile { vino, writes }))
}

/// Makes a file that isn't there, or one without a name.
fn create(cx: &Cx, request: Request, target: &Target) -> Result<Outcome, Errno> {
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

/// Opens a named pipe: an end without `O_NONBLOCK` waits until the other one has been opened (fifo(7)).
async fn open_fifo(cx: Cx, flags: u32, stat: FileStat, path: Vec<u8>) -> SysResult {
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
    // An end that came and went while this one slept has been there, too.
    let others = |(readers, writers): (u64, u64)| if wanted == 4 { writers } else { readers };
    let before = others(pipe.opened());
    let end = pipe.open(flags);
    let waits = wanted != 6 && !nonblocking;
    let there = |(readers, writers): (bool, bool)| if wanted == 4 { writers } else { readers };
    while waits && !there(pipe.ends()) && others(pipe.opened()) == before {
        match cx.sleep(&[pipe.changed()], None).await {
            Woken::Signal => return Err(Errno::ERESTARTSYS),
            Woken::Event | Woken::Timeout => {}
        }
    }
    install(&cx, flags, Fifo::new(end, path, stat))
}
