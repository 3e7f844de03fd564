//! Remembers the sites of files from run to run: to search a compiler's text takes as long as to start it.
//!
//! Nothing depends on whether a file is remembered: what is remembered is confirmed, and what isn't is searched. A file is known by its device,
//! inode, size and times. One that was changed just before the run isn't remembered, since it could change again without a new time.
//!
//! Invariant: only what this user has written is read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::sys;

/// The file is begun anew beyond this size.
const MOST: u64 = 256 << 10;
/// A clock of a file system doesn't go in larger steps.
const CLOCK_STEP_NS: u64 = 2_000_000_000;

/// Names the way in which sites are found: what another version of fated has found isn't read.
const VERSION: u64 = {
    let sources: [&[u8]; 5] = [
        include_bytes!("elf.rs"),
        include_bytes!("find.rs"),
        include_bytes!("functions.rs"),
        include_bytes!("length.rs"),
        include_bytes!("mod.rs"),
    ];
    let (mut hash, mut source) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while source < sources.len() {
        let mut at = 0;
        while at < sources[source].len() {
            hash = (hash ^ sources[source][at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        source += 1;
    }
    hash
};

/// What a run uses of a cache.
#[derive(Debug)]
pub struct Cache {
    /// `None` if there is no directory, or if others could write to it.
    file: Option<PathBuf>,
    /// When it was opened, in nanoseconds since 1970.
    opened: u64,
}

impl Cache {
    /// The cache in `directory`, which is made if need be.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "it is compared with times of the host's files")]
    pub fn open(directory: Option<&Path>) -> Cache {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Cache { file: directory.and_then(file_in), opened: now.as_nanos() as u64 }
    }

    /// What earlier runs have found, for [`Sites::remembering`](super::Sites::remembering).
    #[must_use]
    pub fn load(&self) -> Vec<u8> {
        let Some(path) = &self.file else { return Vec::new() };
        let small = fs::symlink_metadata(path).is_ok_and(|status| status.is_file() && status.len() <= MOST);
        if small { fs::read(path).unwrap_or_default() } else { Vec::new() }
    }

    /// Adds what this run has found. What can't be written is searched again.
    pub fn save(&self, found: &[u8]) {
        let Some(path) = &self.file else { return };
        let lines = found.split_inclusive(|&byte| byte == b'\n').filter(|line| self.is_settled(line));
        let lines: Vec<u8> = lines.flatten().copied().collect();
        if lines.is_empty() || lines.len() as u64 > MOST {
            return;
        }
        if fs::metadata(path).map_or(true, |status| status.len() + lines.len() as u64 > MOST) {
            remove_all_beside(path);
        }
        // One write, so that runs at the same time don't mix their lines.
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).mode(0o600).open(path) {
            let _ = file.write_all(&lines);
        }
    }

    /// Whether the file of a line was changed so long ago that another change would have given it another time.
    fn is_settled(&self, line: &[u8]) -> bool {
        let number = |word| u64::from_str_radix(core::str::from_utf8(word).ok()?, 16).ok();
        let mut times = line.split(|&byte| byte == b' ' || byte == b'\n').skip(3).take(2).map(number);
        times.all(|time| time.is_some_and(|time| time.saturating_add(CLOCK_STEP_NS) < self.opened))
    }
}

/// The file in `directory`.
fn file_in(directory: &Path) -> Option<PathBuf> {
    // It may exist.
    let _ = DirBuilder::new().mode(0o700).create(directory);
    let status = fs::symlink_metadata(directory).ok()?;
    let own = status.is_dir() && status.uid() == sys::effective_uid() && status.mode() & 0o022 == 0;
    own.then(|| directory.join(format!("sites-{VERSION:016x}")))
}

/// Removes the files of all versions.
fn remove_all_beside(path: &Path) {
    let entries = path.parent().and_then(|directory| fs::read_dir(directory).ok());
    for entry in entries.into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b"sites-") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_run_finds_what_another_one_has_saved() {
        const SECOND: u64 = 1_000_000_000;
        let directory = std::env::temp_dir().join(format!("fated-cache-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let open = || Cache { opened: 11 * SECOND, ..Cache::open(Some(&directory)) };
        assert_eq!(open().load(), b"");
        // Times in hexadecimal: one nanosecond, and ten seconds.
        open().save(b"1 1 1 1 1 10\n1 2 1 1 2540be400\n");
        assert_eq!(open().load(), b"1 1 1 1 1 10\n", "the second file was changed just before");
        open().save(b"1 3 1 1 1\n");
        assert_eq!(open().load(), b"1 1 1 1 1 10\n1 3 1 1 1\n");
        let line = |index: u64| format!("1 {index:0200x} 1 1 1\n");
        let many: String = (0..MOST / 250).map(line).collect();
        open().save(many.as_bytes());
        open().save(many.as_bytes());
        assert_eq!(open().load(), many.as_bytes(), "it is begun anew when it is full");
        assert_eq!(Cache::open(None).load(), b"");
        fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).expect("it is ours");
        assert_eq!(open().load(), b"", "others could have written that");
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
