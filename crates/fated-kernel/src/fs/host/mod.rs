//! Real files, and what guests may know of them.
//!
//! A real file's name, contents, size, mode and owner are inputs of a run. Its inode number, device and times are not:
//! they differ on a fresh copy of the same files. [`HostFs`] gives each inode a number in the order of first sight, and times
//! that it keeps from then on, so that only what the run itself does can change them.
//!
//! Invariants: no real inode number, device or time leaves this module. A path is looked up by [`crate::fs::namei`] before Linux
//! sees it, so that none leads into the real `/proc`, `/sys` or `/dev`. Two need no look: that of a regular file that has been opened before
//! ([`crate::fs::dcache`]), and a name in a real directory of which nothing but a directory is wanted.

use crate::cx::Cx;
use crate::fs::devtmpfs::device;
use crate::fs::inode::{BLOCK_SIZE, DIRECTORY_SIZE, FileStat, Times, device_number, kind};
use crate::fs::mount::FileSystem;
use crate::host::Kernel;
use crate::ipc::pipe::Pipe;
use crate::ports::AT_FDCWD;
use alloc::rc::{Rc, Weak};
use known::HostFs;

pub mod borrowed;
pub mod carry_out;
pub mod file;
pub mod inodes;
pub mod known;
pub mod nameless;
pub mod text_busy;
mod time_line;
pub mod view;

impl HostFs {
    /// The number of a real inode; the next free one at first sight.
    pub fn number(&self, dev: u64, ino: u64) -> u64 {
        self.inodes.borrow_mut().number(dev, ino)
    }

    /// Notes a file that the run has just created. Its real inode may be one that a removed file had, so it always gets a new number.
    pub fn created(&self, kernel: &Kernel, real: &FileStat) -> u64 {
        let number = self.inodes.borrow_mut().renew(real.dev, real.ino);
        self.set_times(number, Times::all(now(kernel)));
        number
    }

    /// Contents of inode `number` have changed.
    pub fn touched(&self, kernel: &Kernel, number: u64) {
        let now = now(kernel);
        self.update(number, now, |times| (times.mtime_ns, times.ctime_ns) = (now, now));
    }

    /// Mode, owner, name or the like of inode `number` have changed.
    pub fn changed(&self, kernel: &Kernel, number: u64) {
        let now = now(kernel);
        self.update(number, now, |times| times.ctime_ns = now);
    }

    /// utimensat(2): sets what is given.
    pub fn set_explicit(&self, kernel: &Kernel, number: u64, atime_ns: Option<i64>, mtime_ns: Option<i64>) {
        let now = now(kernel);
        self.update(number, now, |times| {
            times.atime_ns = atime_ns.unwrap_or(times.atime_ns);
            times.mtime_ns = mtime_ns.unwrap_or(times.mtime_ns);
            times.ctime_ns = now;
        });
    }

    fn update(&self, number: u64, now: i64, change: impl FnOnce(&mut Times)) {
        self.changes.set(self.changes.get() + 1);
        self.inodes.borrow_mut().times(number, || Times::all(now)).map(change);
    }

    fn set_times(&self, number: u64, new: Times) {
        self.update(number, 0, |times| *times = new);
    }

    /// The times of a file, decided when they are first asked for.
    fn times_of(&self, kernel: &Kernel, number: u64, real_mtime_ns: i64) -> Times {
        if let Some(known) = self.inodes.borrow().known_times(number) {
            return known;
        }
        let first = Times::all(self.first_time(kernel, real_mtime_ns));
        self.inodes.borrow_mut().times(number, || first).copied().unwrap_or(first)
    }

    /// The time of a file at first sight: of one that is newer than the run, the present one. That of an old file is its own, and that of
    /// any other lies in the day before the epoch. So a source file is older than what the run builds from it, and a fresh copy of old
    /// files doesn't show when it was copied.
    fn first_time(&self, kernel: &Kernel, real_mtime_ns: i64) -> i64 {
        let limit = self.epoch_ns.saturating_sub(time_line::ROOM);
        if real_mtime_ns >= self.real_start_ns {
            return now(kernel);
        }
        if real_mtime_ns < limit {
            return real_mtime_ns;
        }
        let (place, moves) = self.time_line.borrow_mut().place(real_mtime_ns);
        if !moves.is_empty() {
            self.inodes.borrow_mut().move_times(limit, &moves);
        }
        limit.saturating_add(place)
    }

    /// The number that stands for a real device.
    pub fn device(&self, real: u64) -> u64 {
        const MAJOR: u64 = 8;
        let mut devices = self.devices.borrow_mut();
        let index = devices.iter().position(|&known| known == real).unwrap_or_else(|| {
            devices.push(real);
            devices.len() - 1
        });
        device_number(MAJOR, 1 + index as u64)
    }

    /// The status of a real file as guests may see it.
    pub fn virtualized(&self, kernel: &Kernel, real: &FileStat) -> FileStat {
        let mut stat = *real;
        self.virtualize_in_place(kernel, &mut stat);
        stat
    }

    /// Replaces what guests may not see of a real status.
    pub fn virtualize_in_place(&self, kernel: &Kernel, stat: &mut FileStat) {
        if let Some(device) = device::of(stat)
            && self.is_in_dev(stat.dev)
        {
            *stat = device.stat(kernel);
            return;
        }
        let ino = self.number(stat.dev, stat.ino);
        let times = self.times_of(kernel, ino, stat.mtime_ns);
        if stat.is(kind::DIRECTORY) {
            stat.size = DIRECTORY_SIZE;
        }
        // Links are short enough to stand in their inode.
        let inline = stat.is(kind::LINK);
        stat.blocks = if inline { 0 } else { stat.size.div_ceil(u64::from(BLOCK_SIZE)).saturating_mul(8) };
        stat.blksize = BLOCK_SIZE;
        (stat.dev, stat.ino) = (self.device(stat.dev), ino);
        (stat.attributes, stat.attributes_mask) = (0, 0);
        (stat.atime_ns, stat.mtime_ns, stat.ctime_ns) = (times.atime_ns, times.mtime_ns, times.ctime_ns);
        stat.btime_ns = Some(times.btime_ns);
    }

    /// Whether a real device is one that no guest may see: that of the real `/proc` or `/sys`, wherever it is mounted.
    pub(crate) fn is_foreign(&self, cx: &Cx, device: u64) -> bool {
        let covered = self.covered.get_or_init(|| {
            let device = |path: &[u8]| cx.task.guest.stat(AT_FDCWD, path, 0).ok().map(|stat| stat.dev);
            let root = device(b"/");
            let mounts = cx.kernel.mounts.generated();
            let covered = mounts.filter_map(|mount| Some((mount.fs, device(mount.path.as_bytes())?)));
            covered.filter(|&(_, device)| Some(device) != root).collect()
        });
        covered.iter().any(|&(fs, hidden)| hidden == device && fs != FileSystem::Devtmpfs)
    }

    /// Whether a real file is a node in the host's `/dev`, whose attributes are not for guests to change.
    pub(crate) fn is_device_of_host(&self, cx: &Cx, real: &FileStat) -> bool {
        // Looking for any hidden device finds out which ones are covered.
        let _ = self.is_foreign(cx, 0);
        real.is(kind::CHARACTER) && self.is_in_dev(real.dev)
    }

    /// Whether a node may be one of the real `/dev`, which stand for the kernel's own. Guests make others elsewhere.
    fn is_in_dev(&self, device: u64) -> bool {
        let dev = self.covered.get().and_then(|covered| covered.iter().find(|(fs, _)| *fs == FileSystem::Devtmpfs));
        dev.is_none_or(|&(_, dev)| dev == device)
    }

    /// How many changes the run has made to files, names and attributes included.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// The directory `real` stands at `path`, which leads over no link. Returns its number.
    pub(crate) fn note_directory(&self, path: &[u8], real: &FileStat) -> u64 {
        let number = self.number(real.dev, real.ino);
        self.dcache.note_directory(path, number);
        number
    }

    /// The pipe behind the named pipe `number`.
    pub(crate) fn fifo(&self, kernel: &Kernel, number: u64) -> Rc<Pipe> {
        let mut fifos = self.fifos.borrow_mut();
        if let Some(pipe) = fifos.get(&number).and_then(Weak::upgrade) {
            return pipe;
        }
        fifos.retain(|_, pipe| pipe.strong_count() > 0);
        let pipe = Pipe::new(kernel.next_serial(), kernel.timers.now());
        fifos.insert(number, Rc::downgrade(&pipe));
        pipe
    }
}

fn now(kernel: &Kernel) -> i64 {
    i64::try_from(kernel.timers.now()).unwrap_or(i64::MAX)
}

/// Whether `path`, which Linux says is that of a directory, leads to it. It doesn't if the directory has been removed or is deeper than
/// any path can be long.
pub(crate) fn has_name(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && !path.ends_with(b" (deleted)")
}
