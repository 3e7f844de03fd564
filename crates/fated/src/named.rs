//! The files of the host's `/tmp`, `/var/tmp` and `/dev/shm` that a run has all the same: those that the user names. A name counts up to its first
//! component below the directory, whether there is such a file or not.
//!
//! A name may stand anywhere in an argument (`--out=/tmp/x`, `sh -c 'cd /tmp/work && make > /tmp/log'`), so arguments are taken apart at the
//! characters that end a word in a shell. A name too many does no harm: it shows what the host has there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use fated_engine::Launch;
use fated_kernel::fs::own_tmp::DIRECTORIES;

/// Variables that hold paths, with colons between them.
const VARIABLES: [&str; 6] = ["PWD", "OLDPWD", "HOME", "TMPDIR", "PATH", "LD_LIBRARY_PATH"];
/// How many links a name may lead over.
const MAX_LINKS: u32 = 40;

/// The names that have been found.
#[derive(Debug)]
pub struct Names {
    /// Where relative paths begin.
    cwd: Vec<u8>,
    found: BTreeSet<Vec<u8>>,
}

impl Names {
    /// None yet. Relative paths begin in `cwd`.
    #[must_use]
    pub fn new(cwd: &Path) -> Names {
        Names { cwd: cwd.as_os_str().as_bytes().to_vec(), found: BTreeSet::new() }
    }

    /// Adds those of a program: of its arguments, directory and variables. Its standard streams are open, and so need no name: the directory that
    /// output goes to is not for the guest to list, still less to remove.
    pub fn add_launch(&mut self, launch: &Launch) {
        launch.words().for_each(|word| self.add_text(word));
        self.add_path(b".");
        for (_, value) in launch.env.iter().filter(|(name, _)| VARIABLES.iter().any(|it| name == it)) {
            value.as_bytes().split(|&byte| byte == b':').for_each(|path| self.add_path(path));
        }
    }

    /// Adds those in a text.
    pub fn add_text(&mut self, text: &OsStr) {
        const ENDS: &[u8] = b" \t\n\"'`;&|<>()=:,{}$\\*?[]@";
        const PATTERN: &[u8] = b"*?[";
        let text = text.as_bytes();
        self.add_path(text);
        let mut rest = text;
        loop {
            let end = rest.iter().position(|byte| ENDS.contains(byte));
            let (word, ending) = (&rest[..end.unwrap_or(rest.len())], end.map(|at| rest[at]));
            if ending.is_some_and(|it| PATTERN.contains(&it)) {
                self.add_matching(word)
            } else {
                self.add_path(word)
            }
            self.add_option(word);
            match end {
                Some(at) => rest = &rest[at + 1..],
                None => return,
            }
        }
    }

    /// Adds the path in an option like `-I/tmp/x`.
    fn add_option(&mut self, word: &[u8]) {
        if word.first() == Some(&b'-')
            && let Some(at) = word.iter().position(|&byte| byte == b'/')
        {
            self.add_path(&word[at..]);
        }
    }

    /// Adds what a path names, and where it leads.
    pub fn add_path(&mut self, path: &[u8]) {
        let mut path = self.normal(path);
        for _ in 0..MAX_LINKS {
            let Some((directory, name)) = split(&path) else { return };
            let name = [directory.as_bytes(), b"/", name].concat();
            let link = fs::read_link(OsStr::from_bytes(&name));
            if !self.found.insert(name) {
                return;
            }
            let Ok(target) = link else { return };
            let base = Path::new(directory).join(target);
            path = self.normal(base.as_os_str().as_bytes());
        }
    }

    /// Adds what is there and begins like this: a pattern of a shell follows.
    fn add_matching(&mut self, path: &[u8]) {
        let path = self.normal(path);
        let Some((directory, prefix)) = split(&path) else { return };
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(prefix) {
                self.add_path(entry.path().as_os_str().as_bytes());
            }
        }
    }

    /// An absolute path without empty components, `.` and `..`.
    fn normal(&self, path: &[u8]) -> Vec<u8> {
        let base = if path.first() == Some(&b'/') { &[] } else { &self.cwd[..] };
        let mut normal: Vec<&[u8]> = Vec::new();
        for name in base.split(|&byte| byte == b'/').chain(path.split(|&byte| byte == b'/')) {
            match name {
                b"" | b"." => {}
                b".." => drop(normal.pop()),
                name => normal.push(name),
            }
        }
        normal.iter().flat_map(|name| [b"/", *name].concat()).collect()
    }

    /// All of them, in order.
    #[must_use]
    pub fn into_paths(self) -> Vec<Vec<u8>> {
        self.found.into_iter().collect()
    }
}

/// The directory that a path is below, and its first component there.
fn split(path: &[u8]) -> Option<(&'static str, &[u8])> {
    DIRECTORIES.into_iter().find_map(|directory| {
        let rest = path.strip_prefix(directory.as_bytes())?.strip_prefix(b"/")?;
        let name = rest.split(|&byte| byte == b'/').next().filter(|name| !name.is_empty())?;
        Some((directory, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cwd: &str, text: &str, expected: &[&str]) {
        let mut names = Names::new(Path::new(cwd));
        names.add_text(OsStr::new(text));
        let paths = names.into_paths();
        let paths: Vec<_> = paths.iter().map(|path| String::from_utf8_lossy(path)).collect();
        assert_eq!(paths, expected, "{text}");
    }

    #[test]
    fn a_name_may_stand_anywhere_in_a_word() {
        check("/", "/tmp/fated-none", &["/tmp/fated-none"]);
        check("/", "/tmp/fated-none/a/b", &["/tmp/fated-none"]);
        check("/", "--out=/var/tmp/fated-none", &["/var/tmp/fated-none"]);
        check("/", "-I/tmp/fated-none/include", &["/tmp/fated-none"]);
        check("/", "a:/tmp/fated-a:/dev/shm/fated-b", &["/dev/shm/fated-b", "/tmp/fated-a"]);
        check("/", "cd /tmp/fated-a && make >'/tmp/fated-b'", &["/tmp/fated-a", "/tmp/fated-b"]);
        check("/", "file:///tmp//./fated-none", &["/tmp/fated-none"]);
        check("/", "/tmp/fated none/x", &["/tmp/fated", "/tmp/fated none"]);
    }

    #[test]
    fn other_paths_name_nothing() {
        check("/", "/home/u/tmp/x", &[]);
        check("/home", "tmp/x", &[]);
        check("/", "/tmp", &[]);
        check("/", "/tmp/../etc/passwd", &[]);
        check("/", "ls /tmp/*fated-none", &[]);
    }

    #[test]
    fn relative_names_begin_in_the_working_directory() {
        check("/tmp", "./fated-none", &["/tmp/fated-none"]);
        check("/tmp/fated-a/b", "../../fated-none", &["/tmp/fated-none"]);
        check("/home/u", "../../tmp/fated-none", &["/tmp/fated-none"]);
    }
}
