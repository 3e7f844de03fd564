//! The directory of the host that has a run's own `/tmp`, `/var/tmp` and `/dev/shm`: made before the run, removed behind it.
//!
//! Its name has fated's pid, and fated locks it. What a killed fated has left is removed by the next run of the same user.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use fated_engine::Launch;
use fated_engine::sys::effective_uid;
use fated_kernel::fs::own_tmp::{DIRECTORIES, OwnTmp, Tree};

use crate::stderr;

/// The directory. Dropping it removes it.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    /// The user wants the files.
    kept: bool,
    /// Locked as long as this lasts.
    _lock: Option<File>,
}

impl Scratch {
    /// Makes the directory: `keep` or, without, one in `$TMPDIR` or `/tmp`. The directories in it are as old as a run that begins at `epoch_ns`
    /// expects of old files.
    pub fn new(keep: Option<&Path>, epoch_ns: u64) -> anyhow::Result<Scratch> {
        let mut scratch = match keep {
            Some(path) => Scratch { root: prepare(path)?, kept: true, _lock: None },
            None => {
                let parent = std::env::temp_dir();
                remove_stale(&parent);
                let root = make_in(&parent).with_context(|| {
                    format!("failed to create a directory in {}; set TMPDIR, or take --tmp host", parent.display())
                })?;
                let lock = lock(&root);
                Scratch { root, kept: false, _lock: lock }
            }
        };
        let context = || "failed to make the run's own directories for temporary files";
        scratch.root = fs::canonicalize(&scratch.root).with_context(context)?;
        scratch.fill(epoch_ns).with_context(context)?;
        Ok(scratch)
    }

    fn fill(&self, epoch_ns: u64) -> io::Result<()> {
        const OLD: Duration = Duration::from_secs(60);
        let time = UNIX_EPOCH + Duration::from_nanos(epoch_ns).saturating_sub(OLD);
        for directory in DIRECTORIES {
            let path = self.path(directory);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o1777))?;
            File::open(&path)?.set_modified(time)?;
        }
        Ok(())
    }

    fn path(&self, directory: &str) -> PathBuf {
        self.root.join(directory.trim_start_matches('/'))
    }

    /// For the kernel; `host` are the names of the host's files.
    #[must_use]
    pub fn own_tmp(&self, host: Vec<Vec<u8>>) -> OwnTmp {
        OwnTmp { root: self.root.as_os_str().as_bytes().to_vec(), host }
    }

    /// How many files and directories are left, and in which of the directories.
    fn left(&self) -> (usize, Vec<&'static str>) {
        let counts = DIRECTORIES.map(|directory| (count(&self.path(directory)), directory));
        let places = counts.iter().filter(|(count, _)| *count > 0).map(|(_, directory)| *directory).collect();
        (counts.iter().map(|(count, _)| count).sum(), places)
    }

    /// The line for the user about what is left, if anything is.
    #[must_use]
    pub fn report(&self) -> Option<String> {
        let (count, places) = self.left();
        let things = if count == 1 { "1 file or directory".into() } else { format!("{count} files and directories") };
        let places = places.join(" and ");
        match (count, self.kept) {
            (0, _) => None,
            (_, true) => {
                Some(format!("what the run has left in its own {places} is in {}: {things}", self.root.display()))
            }
            (_, false) => Some(format!(
                "what the run has left in its own {places} is dropped: {things}; --keep-tmp DIR keeps it, and with \
                 --tmp host the host's is used"
            )),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.kept {
            // The kernel's own link, and directories that nothing is left in.
            for link in ["i", "ii"] {
                let _ = fs::remove_file(self.root.join(link));
            }
            for directory in DIRECTORIES.iter().chain(&["/var", "/dev"]) {
                let _ = fs::remove_dir(self.path(directory));
            }
        } else if let Err(error) = remove(&self.root) {
            stderr::say(format_args!("failed to remove {}: {error}; remove it yourself", self.root.display()));
        }
    }
}

/// The program as an engine starts it: if its working directory is one of the run's own, that is at another place.
#[must_use]
pub fn place(launch: &Launch, cwd: &Path, own: &OwnTmp) -> Launch {
    let mut launch = launch.clone();
    let path = cwd.as_os_str().as_bytes();
    if own.tree(path) != Tree::Host {
        launch.cwd = Some(PathBuf::from(std::ffi::OsStr::from_bytes(&own.real(path))));
        let program = Path::new(&launch.program);
        if program.as_os_str().as_bytes().contains(&b'/') {
            launch.path = Some(cwd.join(program).into_os_string());
        }
    }
    launch
}

/// A directory that the user wants to keep files in: nothing may be there yet.
fn prepare(path: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(path).with_context(|| format!("failed to create {} for --keep-tmp", path.display()))?;
    let mut entries = fs::read_dir(path).with_context(|| format!("failed to read {}", path.display()))?;
    if entries.next().is_some() {
        bail!("failed to keep temporary files in {}: it isn't empty; name another directory", path.display());
    }
    Ok(path.to_owned())
}

/// `fated-PID-RANDOM`.
fn make_in(parent: &Path) -> io::Result<PathBuf> {
    const ATTEMPTS: u32 = 100;
    for attempt in 1.. {
        let mut random = [0_u8; 4];
        // SAFETY: the buffer is as long as said.
        unsafe { libc::getrandom(random.as_mut_ptr().cast(), random.len(), 0) };
        let name = format!("fated-{}-{:08x}", std::process::id(), u32::from_le_bytes(random));
        let path = parent.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => {}
            result => return result.map(|()| path),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The pid in the name of such a directory.
fn owner(name: &str) -> Option<i32> {
    let (pid, random) = name.strip_prefix("fated-")?.split_once('-')?;
    let is_random = random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    pid.parse().ok().filter(|&pid| is_random && pid > 0)
}

/// Locks a directory, if nobody else has.
fn lock(path: &Path) -> Option<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    // SAFETY: a plain call on a descriptor of our own.
    let locked = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
    locked.then_some(file)
}

/// Removes what fated has left when it was killed. A process of another container may have any pid, but it holds the lock.
fn remove_stale(parent: &Path) {
    let own = effective_uid();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(owner) else { continue };
        // SAFETY: no signal is sent.
        let is_gone =
            unsafe { libc::kill(pid, 0) } < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        let is_own = || entry.metadata().is_ok_and(|it| it.is_dir() && it.uid() == own);
        if is_gone
            && is_own()
            && let Some(_lock) = lock(&entry.path())
        {
            // Another run may be about to do the same.
            let _ = remove(&entry.path());
        }
    }
}

/// Removes a directory with all in it, whatever its permissions are.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path).or_else(|_| {
        open_up(path);
        fs::remove_dir_all(path)
    })
}

/// Permits everything in a directory.
fn open_up(path: &Path) {
    // What fails here fails again when it is removed.
    let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// How many files and directories are in a directory.
fn count(path: &Path) -> usize {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| 1 + if entry.file_type().is_ok_and(|it| it.is_dir()) { count(&entry.path()) } else { 0 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_whose_it_is() {
        assert_eq!(owner("fated-12-0123abcd"), Some(12));
        for other in ["fated-fresh-12", "fated-12", "fated-x-0123abcd", "fated-12-0123abcd.old", "fated-0-0123abcd"] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_left_is_counted_and_removed() {
        let scratch = Scratch::new(None, 60_000_000_000).unwrap();
        let root = scratch.root.clone();
        assert_eq!((scratch.report(), fs::metadata(root.join("var/tmp")).unwrap().mtime()), (None, 0));
        fs::create_dir_all(root.join("tmp/a/b")).unwrap();
        fs::write(root.join("dev/shm/c"), "").unwrap();
        fs::set_permissions(root.join("tmp/a"), Permissions::from_mode(0o000)).unwrap();
        assert!(scratch.report().unwrap().contains("/tmp and /dev/shm"));
        drop(scratch);
        assert!(!root.exists());
    }
}
