//! Dentries: what is remembered of the names of real files, so that a path need not be looked at again.
//!
//! Three things are kept: paths that are directories and no links, paths of regular files that have been opened, and the status of the
//! directory that was opened last. Only the run itself changes names while it lasts, so each change says here what it makes wrong.
//!
//! Invariants: a path of a file is kept only as long as the file keeps all its names and no directory moves. Whatever may take a name
//! away from a file says so by the file (`Dcache::forget_file`), since more than one path may lead to it. What stands at such a path is
//! no link, no pipe and no device, so that the real Linux may open it without a look; whether it may be read is Linux's to say.

use crate::fs::inode::FileStat;
use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};

/// The dentries of a host.
#[derive(Debug, Default)]
pub struct Dcache {
    /// Paths of directories, with the number of their inode. Only a rename or the removal of a directory can make one of
    /// them something else.
    directories: RefCell<BTreeMap<Vec<u8>, u64>>,
    files: RefCell<PathCache>,
    last_opened: RefCell<LastOpened>,
    moves: Cell<u64>,
    generation: Cell<u64>,
}

/// The directory that was opened last by its name in another one. Who opens one like that then makes sure that the name still stands
/// for it.
#[derive(Debug, Default)]
struct LastOpened {
    /// The number of the other one.
    parent: u64,
    name: Vec<u8>,
    /// Its status then, and how many changes the run had made until then. `None` once it has been taken.
    status: Option<(FileStat, u64)>,
}

impl Dcache {
    /// The number of the directory at `path`, if one is known to stand there. The root is the empty path.
    pub(crate) fn directory(&self, path: &[u8]) -> Option<u64> {
        self.directories.borrow().get(path).copied()
    }

    /// The directory with this number stands at `path`, which leads over no link.
    pub(crate) fn note_directory(&self, path: &[u8], number: u64) {
        /// A run that looks at more directories looks at some of them again.
        const KEPT: usize = 1 << 16;
        let mut directories = self.directories.borrow_mut();
        if directories.len() >= KEPT {
            directories.clear();
        }
        directories.insert(path.to_vec(), number);
    }

    /// The directory at `path` has been removed.
    pub(crate) fn forget_directory(&self, path: &[u8]) {
        self.directories.borrow_mut().remove(path);
        self.generation.set(self.generation.get() + 1);
    }

    /// A directory has moved, or a directory of unknown path has been removed: any path may mean something else now.
    pub(crate) fn clear(&self) {
        self.directories.borrow_mut().clear();
        self.files.borrow_mut().clear();
        self.moves.set(self.moves.get() + 1);
        self.generation.set(self.generation.get() + 1);
    }

    /// How often directories have moved: the paths of directories that have not been removed are the same as long as this is.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.get()
    }

    /// How often directories have moved or been removed: all paths of directories are the same as long as this is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Whether a regular file is known to stand at `path`, which is absolute.
    pub(crate) fn is_file(&self, path: &[u8]) -> bool {
        self.files.borrow().has(path)
    }

    /// The regular file `real` stands at `path`, which is absolute and leads over no link.
    pub(crate) fn note_file(&self, path: &[u8], real: &FileStat) {
        self.files.borrow_mut().note(path, real);
    }

    /// A name of `real` may have been taken away.
    pub(crate) fn forget_file(&self, real: &FileStat) {
        self.files.borrow_mut().forget(real);
    }

    /// The directory with this status has just been opened by its name in another one. `changes`: how many changes the run has made.
    pub(crate) fn note_opened(&self, parent: u64, name: &[u8], status: &FileStat, changes: u64) {
        let mut last = self.last_opened.borrow_mut();
        (last.parent, last.status) = (parent, Some((*status, changes)));
        last.name.clear();
        last.name.extend_from_slice(name);
    }

    /// The status of the directory that was opened last, if it was by this name and nothing can have changed since. It is given once: who
    /// asks twice looks for changes by others.
    pub(crate) fn take_opened(&self, parent: u64, name: &[u8], changes: u64) -> Option<FileStat> {
        let mut last = self.last_opened.borrow_mut();
        let (status, then) = last.status.filter(|_| last.parent == parent && last.name == name)?;
        last.status = None;
        (then == changes).then_some(status)
    }
}

/// The real device and inode of a file.
type Inode = (u64, u64);

/// Paths of regular files, one a file.
#[derive(Debug, Default)]
struct PathCache {
    paths: BTreeMap<Rc<[u8]>, Inode>,
    files: BTreeMap<Inode, Rc<[u8]>>,
}

impl PathCache {
    /// Whether a regular file is known to stand at `path`, which is absolute.
    fn has(&self, path: &[u8]) -> bool {
        self.paths.contains_key(path)
    }

    /// The regular file `real` stands at `path`, which is absolute and leads over no link.
    fn note(&mut self, path: &[u8], real: &FileStat) {
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
    fn forget(&mut self, real: &FileStat) {
        if let Some(path) = self.files.remove(&(real.dev, real.ino)) {
            self.paths.remove(&path);
        }
    }

    /// Any path may lead elsewhere.
    fn clear(&mut self) {
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
        let mut cache = PathCache::default();
        cache.note(b"/a", &file(1));
        cache.note(b"/b", &file(2));
        assert!(cache.has(b"/a") && cache.has(b"/b") && !cache.has(b"/c"));
        cache.note(b"/c", &file(1));
        assert!(!cache.has(b"/a") && cache.has(b"/c"));
        cache.forget(&file(1));
        assert!(!cache.has(b"/c") && cache.has(b"/b"));
        cache.forget(&FileStat { dev: 2, ..file(2) });
        assert!(cache.has(b"/b"), "that is another file");
        cache.note(b"/b", &file(3));
        cache.forget(&file(2));
        assert!(cache.has(b"/b"), "it has another file now");
        cache.clear();
        assert!(!cache.has(b"/b"));
    }

    #[test]
    fn few_are_kept() {
        let mut cache = PathCache::default();
        (0..100_000_u64).for_each(|ino| cache.note(&ino.to_le_bytes(), &file(ino)));
        assert!(cache.paths.len() <= 4096 && cache.files.len() == cache.paths.len());
        assert!(cache.has(&99_999_u64.to_le_bytes()));
    }

    #[test]
    fn a_path_of_a_directory_lasts_until_one_is_moved() {
        let dcache = Dcache::default();
        dcache.note_directory(b"/a", 7);
        dcache.note_directory(b"/b", 8);
        let before = (dcache.moves(), dcache.generation());
        dcache.forget_directory(b"/a");
        assert_eq!((dcache.directory(b"/a"), dcache.directory(b"/b")), (None, Some(8)));
        assert!(dcache.moves() == before.0 && dcache.generation() != before.1);
        dcache.clear();
        assert!(dcache.directory(b"/b").is_none() && dcache.moves() != before.0);
    }

    #[test]
    fn a_status_is_given_once() {
        let dcache = Dcache::default();
        dcache.note_opened(2, b"d", &file(1), 5);
        assert_eq!(dcache.take_opened(2, b"e", 5), None);
        assert_eq!(dcache.take_opened(2, b"d", 5), Some(file(1)));
        assert_eq!(dcache.take_opened(2, b"d", 5), None);
        dcache.note_opened(2, b"d", &file(1), 5);
        assert_eq!(dcache.take_opened(2, b"d", 6), None, "something has changed");
    }
}
