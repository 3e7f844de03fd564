//! Names of regular files that have been opened before: who opens one again, to read it, needs no look at what stands there.
//!
//! Invariant: a path is kept only as long as its file keeps all its names and no directory moves. Whatever may take a name away
//! from a file says so ([`PathCache::forget`]), by the file, since more than one path may lead to it. What stands at a kept path is no
//! link, no pipe and no device, so that the real Linux may open it unseen; whether it may be read is Linux's to say.

use crate::fs::inode::FileStat;
use alloc::{collections::BTreeMap, rc::Rc};

/// The real device and inode of a file.
type Inode = (u64, u64);

/// Some such names, one a file.
#[derive(Debug, Default)]
pub struct PathCache {
    paths: BTreeMap<Rc<[u8]>, Inode>,
    files: BTreeMap<Inode, Rc<[u8]>>,
}

impl PathCache {
    /// Whether a regular file is known to stand at `path`, which is absolute.
    #[must_use]
    pub fn has(&self, path: &[u8]) -> bool {
        self.paths.contains_key(path)
    }

    /// The regular file `real` stands at `path`, which is absolute and leads over no link.
    pub fn note(&mut self, path: &[u8], real: &FileStat) {
        /// A run that opens more files opens few of them again.
        const KEPT: usize = 4096;
        if self.files.len() >= KEPT {
            self.clear();
        }
        self.forget(real);
        let path = Rc::from(path);
        if let Some(other) = self.paths.insert(Rc::clone(&path), (real.dev, real.ino)) {
            self.files.remove(&other);
        }
        self.files.insert((real.dev, real.ino), path);
    }

    /// A name of `real` may have been taken away.
    pub fn forget(&mut self, real: &FileStat) {
        if let Some(path) = self.files.remove(&(real.dev, real.ino)) {
            self.paths.remove(&path);
        }
    }

    /// Any path may lead elsewhere.
    pub fn clear(&mut self) {
        self.paths.clear();
        self.files.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(ino: u64) -> FileStat {
        FileStat { dev: 1, ino, ..FileStat::default() }
    }

    #[test]
    fn a_file_is_known_by_the_last_of_its_paths_until_it_loses_a_name() {
        let mut plain = PathCache::default();
        plain.note(b"/a", &file(1));
        plain.note(b"/b", &file(2));
        assert!(plain.has(b"/a") && plain.has(b"/b") && !plain.has(b"/c"));
        plain.note(b"/c", &file(1));
        assert!(!plain.has(b"/a") && plain.has(b"/c"));
        plain.forget(&file(1));
        assert!(!plain.has(b"/c") && plain.has(b"/b"));
        plain.forget(&FileStat { dev: 2, ..file(2) });
        assert!(plain.has(b"/b"), "that is another file");
        plain.note(b"/b", &file(3));
        plain.forget(&file(2));
        assert!(plain.has(b"/b"), "it has another file now");
        plain.clear();
        assert!(!plain.has(b"/b"));
    }

    #[test]
    fn few_are_kept() {
        let mut plain = PathCache::default();
        (0..100_000_u64).for_each(|ino| plain.note(&ino.to_le_bytes(), &file(ino)));
        assert!(plain.paths.len() <= 4096 && plain.files.len() == plain.paths.len());
        assert!(plain.has(&99_999_u64.to_le_bytes()));
    }
}
