//! Files as a task sees them. fated reads them itself, and reaches the task's working directory and descriptors through `/proc/TID`.
//!
//! Invariant: nothing here changes a file or blocks.

use crate::sys::{self, Os, RealTid};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::process::exec::plan::ProgramFile;
use std::any::Any;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

/// A directory and a path, as `*at` calls take them.
#[derive(Debug)]
pub(crate) struct At {
    dir: Option<OwnedFd>,
    path: CString,
}

impl At {
    /// `path` relative to `dirfd` of the task. An empty path stands for `dirfd` itself.
    pub(crate) fn new(tid: RealTid, dirfd: i32, path: &[u8]) -> Os<At> {
        let own = own_path(tid, path);
        let path = own.as_deref().unwrap_or(path);
        let from = if path.first() == Some(&b'/') {
            None
        } else if dirfd == libc::AT_FDCWD {
            Some(proc_path(tid, "cwd")?)
        } else {
            Some(proc_path(tid, &format!("fd/{dirfd}"))?)
        };
        let dir = from.map(|from| sys::open(libc::AT_FDCWD, &from, libc::O_PATH)).transpose().map_err(no_descriptor)?;
        Ok(At { dir, path: CString::new(path).map_err(|_| Errno::EINVAL)? })
    }

    fn fd(&self) -> i32 {
        self.dir.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd)
    }

    /// statx(2).
    pub(crate) fn stat(&self, flags: i32) -> Os<FileStat> {
        sys::statx(self.fd(), &self.path, flags | libc::AT_EMPTY_PATH)
    }

    /// readlink(2).
    pub(crate) fn read_link(&self) -> Os<Vec<u8>> {
        sys::read_link(self.fd(), &self.path)
    }

    /// open(2).
    pub(crate) fn open(&self, flags: i32) -> Os<OwnedFd> {
        if self.path.is_empty() {
            // The magic link of an O_PATH descriptor opens the file for reading.
            return sys::open(libc::AT_FDCWD, &c_string(format!("/proc/self/fd/{}", self.fd()))?, flags);
        }
        sys::open(self.fd(), &self.path, flags)
    }

    /// Checks whether the file may be executed.
    pub(crate) fn executable(&self) -> Os<()> {
        if self.path.is_empty() {
            return sys::access(libc::AT_FDCWD, &c_string(format!("/proc/self/fd/{}", self.fd()))?, libc::X_OK);
        }
        sys::access(self.fd(), &self.path, libc::X_OK)
    }
}

/// An open program. Its first page usually holds all that the plan of an exec needs, and is read once.
#[derive(Debug)]
struct Program {
    file: OwnedFd,
    stat: FileStat,
    page: Vec<u8>,
}

impl Program {
    const PAGE: usize = 4096;

    fn new(file: OwnedFd, stat: FileStat) -> Os<Program> {
        let mut page = vec![0; Program::PAGE];
        let len = sys::read_at(file.as_raw_fd(), &mut page, 0)?;
        page.truncate(len);
        Ok(Program { file, stat, page })
    }
}

impl ProgramFile for Program {
    fn stat(&self) -> &FileStat {
        &self.stat
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Os<usize> {
        let in_page = usize::try_from(offset).ok().and_then(|at| self.page.get(at..at.checked_add(buf.len())?));
        if let Some(bytes) = in_page {
            buf.copy_from_slice(bytes);
            return Ok(buf.len());
        }
        sys::read_at(self.file.as_raw_fd(), buf, offset)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Opens a regular file that the task may execute. `None`: the task may not read it.
pub(crate) fn open_program(tid: RealTid, dirfd: i32, path: &[u8], flags: u32) -> Os<Option<Rc<dyn ProgramFile>>> {
    let at = At::new(tid, dirfd, path)?;
    let stat = at.stat(flags.cast_signed() & libc::AT_SYMLINK_NOFOLLOW)?;
    match stat.mode & libc::S_IFMT {
        libc::S_IFREG => {}
        libc::S_IFLNK => return Err(Errno::ELOOP),
        _ => return Err(Errno::EACCES),
    }
    at.executable()?;
    match at.open(libc::O_RDONLY | libc::O_NONBLOCK) {
        Ok(file) => Ok(Some(Rc::new(Program::new(file, stat)?))),
        Err(Errno::EACCES) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Replaces `self` in a path by the task's id, since `self` would name fated.
fn own_path(tid: RealTid, path: &[u8]) -> Option<Vec<u8>> {
    let own = [(&b"/proc/self"[..], ""), (b"/proc/thread-self", ""), (b"/dev/fd", "/fd")];
    let (rest, below) = own.iter().find_map(|(prefix, below)| Some((path.strip_prefix(*prefix)?, below)))?;
    let whole = rest.is_empty() || rest[0] == b'/';
    whole.then(|| [format!("/proc/{tid}{below}").as_bytes(), rest].concat())
}

fn no_descriptor(errno: Errno) -> Errno {
    if errno == Errno::ENOENT { Errno::EBADF } else { errno }
}

fn c_string(text: String) -> Os<CString> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

fn proc_path(tid: RealTid, name: &str) -> Os<CString> {
    c_string(format!("/proc/{tid}/{name}"))
}

/// Lists the real directory behind descriptor `fd` of the task.
pub(crate) fn list(tid: RealTid, fd: i32) -> Os<Listing> {
    let dir = At::new(tid, fd, b"")?.open(libc::O_RDONLY | libc::O_DIRECTORY)?;
    let mut listing = Listing::default();
    let mut buf = vec![0; 32 * 1024];
    loop {
        let len = sys::getdents(&dir, &mut buf)?;
        if len == 0 {
            return Ok(listing);
        }
        listing.push_records(&buf[..len]);
    }
}

/// The content of `/proc/TID/NAME`.
pub(crate) fn proc_file(tid: RealTid, name: &str) -> Os<Vec<u8>> {
    let file = sys::open(libc::AT_FDCWD, &proc_path(tid, name)?, libc::O_RDONLY)?;
    let mut bytes = Vec::new();
    let mut buf = [0; 16 * 1024];
    loop {
        match sys::read(file.as_raw_fd(), &mut buf) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&buf[..count]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The file mode creation mask of a task.
pub(crate) fn umask(tid: RealTid) -> Os<u32> {
    let status = proc_file(tid, "status")?;
    status_field(&status, "Umask:", 8).and_then(|mask| u32::try_from(mask).ok()).ok_or(Errno::EIO)
}

/// The number in the line of `/proc/TID/status` that begins with `name`.
pub(crate) fn status_field(status: &[u8], name: &str, radix: u32) -> Option<u64> {
    let text = String::from_utf8_lossy(status);
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(value.trim(), radix).ok()
}

/// The target of the link `/proc/TID/NAME`.
pub(crate) fn proc_link(tid: RealTid, name: &str) -> Os<Vec<u8>> {
    sys::read_link(libc::AT_FDCWD, &proc_path(tid, name)?)
}

/// Fields of `/proc/TID/stat`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskStat {
    /// `R`, `S`, `t`, `Z`…
    pub(crate) state: u8,
    /// Its processor time in clock ticks.
    pub(crate) cpu_ticks: u64,
}

/// Reads `/proc/TID/stat`.
pub(crate) fn task_stat(tid: RealTid) -> Os<TaskStat> {
    // `/proc/TID/stat` of a thread group's leader sums up all threads.
    let bytes = proc_file(tid, &format!("task/{tid}/stat"))?;
    parse_stat(&bytes).ok_or(Errno::EIO)
}

/// The name stands in parentheses and may contain any byte, so the fields begin after the last parenthesis.
fn parse_stat(bytes: &[u8]) -> Option<TaskStat> {
    let behind_name = bytes.iter().rposition(|&byte| byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&bytes[behind_name..]).ok()?.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(TaskStat { state: *fields.first()?.as_bytes().first()?, cpu_ticks: ticks(11)? + ticks(12)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fated_kernel::fs::dirent;

    fn own() -> RealTid {
        RealTid::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn a_directory_is_listed_whole() {
        let dir = std::fs::File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        let listing = list(own(), dir.as_raw_fd()).unwrap();
        let names: Vec<_> = listing.records(0).map(|record| dirent::entry(record).name.to_vec()).collect();
        for expected in ["Cargo.toml", "src", "."] {
            assert!(names.iter().any(|name| name == expected.as_bytes()), "{expected} in {names:?}");
        }
    }

    #[test]
    fn paths_are_the_tasks_own() {
        let dir = std::fs::File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        let at = |dirfd, path: &str| At::new(own(), dirfd, path.as_bytes()).and_then(|at| at.stat(0));
        let manifest = at(dir.as_raw_fd(), "Cargo.toml").unwrap();
        assert_eq!(manifest.mode & libc::S_IFMT, libc::S_IFREG);
        assert_eq!(at(libc::AT_FDCWD, "Cargo.toml").unwrap(), manifest, "tests run in the package's directory");
        assert_eq!(at(dir.as_raw_fd(), "").unwrap().mode & libc::S_IFMT, libc::S_IFDIR);
        assert_eq!(at(-7, "x"), Err(Errno::EBADF));
        assert_eq!(at(libc::AT_FDCWD, "/no/such"), Err(Errno::ENOENT));
    }

    #[test]
    fn a_name_may_contain_parentheses() {
        let line = b"7 (a) R (b) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 1 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.state, stat.cpu_ticks), (b'S', 42));
        assert!(parse_stat(b"").is_none());
    }
}
