//! Trees of generated files that are the same for every run with the same configuration: those of sysfs, and the system-wide files of
//! proc. A tree is a table of paths; a directory is whatever a path leads through.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::Source;
use alloc::{
    string::{String, ToString},
    vec::Vec,
};

/// A file of such a tree.
pub struct Row {
    /// Where it stands below the root of the file system.
    pub path: &'static str,
    /// Its permissions.
    pub mode: u32,
    /// Makes its contents.
    pub make: fn(&Cx) -> String,
}

impl core::fmt::Debug for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.path)
    }
}

/// Such a file as an inode.
#[derive(Debug)]
pub struct StaticFile(pub &'static Row);

impl Source for StaticFile {
    fn mode(&self) -> u32 {
        self.0.mode
    }

    fn bytes(&self, cx: &Cx) -> Result<Vec<u8>, Errno> {
        Ok((self.0.make)(cx).into_bytes())
    }

    /// Only what stands there already can be set: it is a setting of the whole machine.
    fn write(&self, cx: &Cx, text: &[u8]) -> Result<(), Errno> {
        if self.0.mode & 0o200 == 0 {
            return Err(Errno::EIO);
        }
        let same = (self.0.make)(cx).as_bytes().trim_ascii() == text.trim_ascii();
        if same { Ok(()) } else { Err(Errno::EPERM) }
    }
}

/// Rows of a tree: path, mode, and a function that makes the contents.
macro_rules! rows {
    ($($path:literal $mode:literal $make:expr;)*) => {
        &[$($crate::fs::static_tree::Row { path: $path, mode: $mode, make: $make }),*]
    };
}
pub(crate) use rows;

/// A tree of files.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// Its files.
    pub files: &'static [Row],
    /// Its symbolic links, by path and target. The directory that a link is in has a file, too, or is the root.
    pub links: &'static [(&'static str, &'static str)],
}

/// What stands at a path of a tree.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// A file.
    File(&'static Row),
    /// A directory, with its path.
    Directory(&'static str),
    /// A symbolic link to a path.
    Link(&'static str),
}

/// What of `path` is below the directory `parent`.
fn below<'a>(path: &'a str, parent: &[u8]) -> Option<&'a str> {
    if parent.is_empty() {
        return Some(path);
    }
    let parent = core::str::from_utf8(parent).ok()?;
    path.strip_prefix(parent)?.strip_prefix('/')
}

impl Tree {
    /// What stands at `path`, which is empty for the root. A name behind a file is `ENOTDIR`.
    pub fn lookup(&self, path: &[u8]) -> Result<Node, Errno> {
        if let Some((_, to)) = self.links.iter().find(|(link, _)| link.as_bytes() == path) {
            return Ok(Node::Link(to));
        }
        let mut missing = Errno::ENOENT;
        for row in self.files {
            if row.path.as_bytes() == path {
                return Ok(Node::File(row));
            }
            if below(row.path, path).is_some() {
                return Ok(Node::Directory(row.path.get(..path.len()).unwrap_or_default()));
            }
            if path.strip_prefix(row.path.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")) {
                missing = Errno::ENOTDIR;
            }
        }
        Err(missing)
    }

    /// The names in a directory, in order.
    #[must_use]
    pub fn names(&self, directory: &str) -> Vec<String> {
        let paths = self.files.iter().map(|row| row.path).chain(self.links.iter().map(|(link, _)| *link));
        let first = |path| below(path, directory.as_bytes())?.split('/').next();
        let mut names: Vec<_> = paths.filter_map(first).map(ToString::to_string).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: Tree = Tree {
        files: rows! {
            "a" 0o444 |_| String::new();
            "b/c/d" 0o644 |_| String::new();
            "b/e" 0o444 |_| String::new();
        },
        links: &[("l", "b/e")],
    };

    #[test]
    fn directories_are_what_paths_lead_through() {
        let show = |path: &str| match TREE.lookup(path.as_bytes()) {
            Ok(Node::File(row)) => alloc::format!("file {}", row.path),
            Ok(Node::Directory(path)) => alloc::format!("directory {path}"),
            Ok(Node::Link(to)) => alloc::format!("link {to}"),
            Err(error) => error.to_string(),
        };
        for (path, expected) in [
            ("", "directory "),
            ("a", "file a"),
            ("a/b", "ENOTDIR"),
            ("b", "directory b"),
            ("b/c", "directory b/c"),
            ("b/c/d", "file b/c/d"),
            ("b/x", "ENOENT"),
            ("b/", "ENOENT"),
            ("l", "link b/e"),
        ] {
            assert_eq!(show(path), expected, "{path}");
        }
        assert_eq!(TREE.names(""), ["a", "b", "l"]);
        assert_eq!(TREE.names("b"), ["c", "e"]);
    }
}
