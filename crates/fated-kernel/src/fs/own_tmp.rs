//! The directories for temporary files that a run has of its own: what earlier runs and other programs have left in the host's is no input.
//!
//! Their files are real ones, at another place: the real path of `/tmp/x` is `/tmp/x` below a *root*, a directory that whoever starts the run has made
//! for it. Paths of the kernel and of guests are never those below the root. Some names are the *host's* all the same: those that the user has named.
//!
//! Invariant: within one [`Tree`], a real path continues as the guest's does, so Linux resolves a path that stays in one by itself.

use alloc::{borrow::Cow, vec::Vec};

/// The directories.
pub const DIRECTORIES: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Where the run's own directories are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTmp {
    /// The real directory below which they are: its absolute path without links.
    pub root: Vec<u8>,
    /// Names in them that lead to the host's files, as `/tmp/work`.
    pub host: Vec<Vec<u8>>,
}

/// Where a path is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tree {
    /// Where the host has it.
    #[default]
    Host,
    /// In one of [`DIRECTORIES`], by its index.
    Own(usize),
}

/// What of `path` is below `directory`; empty for the directory itself.
fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

/// Whether `path` is one of the directories.
#[must_use]
pub fn is_directory(path: &[u8]) -> bool {
    DIRECTORIES.iter().any(|it| it.as_bytes() == path)
}

impl OwnTmp {
    /// Where `path` is, an absolute path without links.
    #[must_use]
    pub fn tree(&self, path: &[u8]) -> Tree {
        let index = DIRECTORIES.iter().position(|it| below(path, it.as_bytes()).is_some());
        match index {
            Some(index) if !self.is_host(path) => Tree::Own(index),
            _ => Tree::Host,
        }
    }

    /// Whether a path leads to a file of the host because the user has named it.
    #[must_use]
    pub fn is_host(&self, path: &[u8]) -> bool {
        self.host.iter().any(|it| below(path, it).is_some())
    }

    /// The real path of `path`, an absolute path without links.
    #[must_use]
    pub fn real<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        match self.tree(path) {
            Tree::Host => Cow::Borrowed(path),
            Tree::Own(_) => Cow::Owned([&self.root, path].concat()),
        }
    }

    /// What guests call a real path.
    #[must_use]
    pub fn shown<'a>(&self, real: &'a [u8]) -> &'a [u8] {
        match below(real, &self.root) {
            Some(b"") => b"/",
            Some(rest) => rest,
            None => real,
        }
    }

    /// Whether what is in the directory `path` is at another place than the directory itself, or may be.
    #[must_use]
    pub fn is_border(path: &[u8]) -> bool {
        let is_parent = |it: &&str| it.rsplit_once('/').is_some_and(|(parent, _)| parent.as_bytes() == path);
        is_directory(path) || DIRECTORIES.iter().any(is_parent)
    }

    /// The host's names in the directory `path`.
    pub fn host_names<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let name = move |it: &'a Vec<u8>| it.strip_prefix(path)?.strip_prefix(b"/");
        self.host.iter().filter_map(name).filter(|name| !name.contains(&b'/'))
    }

    /// Whether guests must not see a path of the host: that of the root.
    #[must_use]
    pub fn hides(&self, path: &[u8]) -> bool {
        below(path, &self.root).is_some() && self.tree(path) == Tree::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnTmp {
        OwnTmp { root: b"/tmp/fated-1".to_vec(), host: [b"/tmp/work".to_vec()].into() }
    }

    #[test]
    fn paths_below_are_at_the_root_but_for_the_hosts() {
        let own = own();
        for (path, real) in [
            ("/", "/"),
            ("/tmp", "/tmp/fated-1/tmp"),
            ("/tmp/a/b", "/tmp/fated-1/tmp/a/b"),
            ("/tmpfile", "/tmpfile"),
            ("/var/tmp/x", "/tmp/fated-1/var/tmp/x"),
            ("/tmp/work", "/tmp/work"),
            ("/tmp/work/a", "/tmp/work/a"),
            ("/tmp/workshop", "/tmp/fated-1/tmp/workshop"),
            ("/home/tmp", "/home/tmp"),
        ] {
            assert_eq!(&*own.real(path.as_bytes()), real.as_bytes());
            assert_eq!(own.shown(real.as_bytes()), path.as_bytes());
        }
        assert_eq!(own.shown(b"/tmp/fated-1"), b"/");
        assert_eq!(own.shown(b"/tmp/fated-12/x"), b"/tmp/fated-12/x");
    }

    #[test]
    fn names_in_some_directories_are_elsewhere() {
        for border in ["", "/var", "/dev", "/tmp", "/var/tmp", "/dev/shm"] {
            assert!(OwnTmp::is_border(border.as_bytes()), "{border}");
        }
        for other in ["/home", "/va", "/tmp/x", "/var/lib"] {
            assert!(!OwnTmp::is_border(other.as_bytes()), "{other}");
        }
        let own = own();
        assert_eq!(own.host_names(b"/tmp").collect::<Vec<_>>(), [b"work"]);
        assert_eq!(own.host_names(b"/var/tmp").count(), 0);
    }

    #[test]
    fn the_root_is_hidden_where_the_host_has_it() {
        let mut own = own();
        assert!(!own.hides(b"/tmp/fated-1"), "that is a name in the run's own directory");
        own.root = b"/home/u/fated-1".to_vec();
        assert!(own.hides(b"/home/u/fated-1") && own.hides(b"/home/u/fated-1/tmp") && !own.hides(b"/home/u"));
    }
}
