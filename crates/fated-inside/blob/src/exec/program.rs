//! exec: opens what a guest may execute, and carries out a plan of the kernel's: replaces the image by the blob itself, which goes on where
//! the kernel was and loads the program.

use alloc::rc::Rc;
use core::any::Any;
use core::cell::RefCell;

use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::process::exec::plan::{Exec, ExecError, Image as Planned, ProgramFile};
use linux_raw_sys::general::*;

use crate::enter::gate;
use crate::exec::load;
use crate::host::host;
use crate::process::descriptors;
use crate::process::files;
use crate::process::task;
use crate::process::task::Inside;
use crate::process::{self, Image, Process};
use crate::rewrite::cpuid::Identity;
use crate::sys;

/// A file that stays open, in the process that has opened it, until it has been loaded.
pub struct File {
    pub fd: i32,
    pub identity: Identity,
    stat: FileStat,
    process: &'static Process,
}

impl core::fmt::Debug for File {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "File({})", self.fd)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // The descriptors of a process that ends are closed by that.
        if !self.process.is_ending() {
            self.process.enter();
            sys::close(self.fd);
        }
    }
}

impl ProgramFile for File {
    fn stat(&self) -> &FileStat {
        &self.stat
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if self.process.is_ending() {
            return Err(Errno::ESRCH);
        }
        self.process.enter();
        sys::read_at(self.fd, buf, offset)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The file of a planned image.
pub fn file(image: &Planned) -> Result<&File, Errno> {
    image.file.as_any().downcast_ref().ok_or(Errno::EIO)
}

const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Opens what the process that has the turn may execute; `None` if it may not be read.
pub fn open(
    process: &'static Process,
    dirfd: i32,
    path: &[u8],
    flags: u32,
) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
    let opened = if path.is_empty() {
        if descriptors::guarded(dirfd as u64) {
            return Err(Errno::EBADF);
        }
        if dirfd == AT_FDCWD {
            return Err(Errno::EACCES);
        }
        let not_there = |errno| if errno == Errno::ENOENT { Errno::EBADF } else { errno };
        sys::open(AT_FDCWD, alloc::format!("/proc/self/fd/{dirfd}").as_bytes(), O_RDONLY | O_NONBLOCK | O_NOCTTY)
            .map_err(not_there)
    } else {
        let nofollow = if flags & AT_SYMLINK_NOFOLLOW != 0 { O_NOFOLLOW } else { 0 };
        // A named pipe must not block here; the check for regular files comes next.
        sys::open(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | nofollow)
    };
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::EACCES) if may_execute(dirfd, path, flags) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let checked = files::stat(fd, b"", 0).and_then(|stat| {
        if stat.mode & KIND != REGULAR {
            return Err(Errno::EACCES);
        }
        access(fd, b"", AT_EMPTY_PATH).map(|()| stat)
    });
    match checked {
        Ok(stat) => Ok(Some(Rc::new(File { fd, identity: Identity::of(&stat), stat, process }))),
        Err(errno) => {
            sys::close(fd);
            Err(errno)
        }
    }
}

/// Whether a path leads to a regular file that may be executed.
fn may_execute(dirfd: i32, path: &[u8], flags: u32) -> bool {
    let flags = flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    let regular = files::stat(dirfd, path, flags).is_ok_and(|stat| stat.mode & KIND == REGULAR);
    regular && access(dirfd, path, flags).is_ok()
}

fn access(dirfd: i32, path: &[u8], flags: u32) -> Result<(), Errno> {
    const X_OK: u64 = 1;
    let path = sys::c_path(path)?;
    let flags = u64::from(flags | AT_EACCESS);
    sys::ask(__NR_faccessat2, [dirfd as u64, path.as_ptr() as u64, X_OK, flags, 0, 0]).map(drop)
}

/// Replaces the image of the process, in which this runs, and sets the task up to begin.
pub fn start(task: &Inside, exec: Exec) -> Result<(), ExecError> {
    let Exec { plan, random, .. } = exec;
    let descriptors = &task.process.descriptors;
    let [_, blob, _] = descriptors.all();
    let argv = descriptors.arguments();
    let env = [0_u64];
    let sp = host().kernel_sp.get();
    let flags = u64::from(AT_EMPTY_PATH);
    host().huge.count();
    process::unwatch();
    // SAFETY: the kernel's stack lies in the arena; in the new image it is taken up again (`crate::start`).
    let result = unsafe { gate::gate_exec(sp, blob as u64, c"".as_ptr().cast(), argv.as_ptr(), env.as_ptr(), flags) };
    if let Some(errno) = Errno::of_return(result) {
        process::watch();
        return Err(ExecError::Refused(errno));
    }
    let process = task.process;
    // There is no way back any more.
    let loaded = load::load(&plan, &random).map_err(|_| ExecError::Lost)?;
    const PR_SET_NAME: u64 = 15;
    let base = plan.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut comm = [0_u8; 16];
    let len = base.len().min(15);
    comm[..len].copy_from_slice(&base[..len]);
    sys::call(__NR_prctl, [PR_SET_NAME, comm.as_ptr() as u64, 0, 0, 0, 0]);
    // The link of an open file can be read; were it not so, the path that was asked for is the best there is.
    let exe = file(&plan.program)
        .and_then(|file| sys::read_link(AT_FDCWD, alloc::format!("/proc/self/fd/{}", file.fd).as_bytes()));
    let (exe, auxv) = (exe.unwrap_or(plan.name), loaded.auxv);
    let texts = RefCell::new(process.image.borrow().texts.take());
    process.image.replace(Rc::new(Image { exe, auxv, texts, ..Image::default() }));
    task.context.regs.set(Regs {
        rip: loaded.entry,
        rsp: loaded.stack,
        eflags: 0x202,
        cs: 0x33,
        ss: 0x2b,
        orig_rax: u64::MAX,
        ..Regs::default()
    });
    task.context.called_at.set(0);
    if let Some(frame) = task::fresh_frame() {
        task.frame.replace(frame);
    }
    process.holds.set(core::ptr::null());
    Ok(())
}
