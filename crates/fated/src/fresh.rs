//! A copy of a directory for one run. It is always at the same path beside the original, and is removed when the run is over.
//!
//! Names, contents, symbolic links, permissions and modification times are copied; owners and hard links aren't. The copy
//! is made before the run begins, so that its files count as older than the run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::stderr;
use anyhow::{Context as _, bail};

/// The copy; dropping it removes the directory.
#[derive(Debug)]
pub struct Fresh {
    path: PathBuf,
}

impl Fresh {
    /// Copies `original`.
    pub fn copy_of(original: &Path) -> anyhow::Result<Fresh> {
        let full = fs::canonicalize(original).with_context(|| format!("failed to find {}", original.display()))?;
        let Some(name) = full.file_name() else {
            bail!("failed to copy {}: choose a smaller directory", full.display())
        };
        let mut copy_name = name.to_owned();
        copy_name.push(".fated");
        let path = full.with_file_name(copy_name);
        fs::create_dir(&path).with_context(|| {
            format!("failed to create {} for --fresh; if a killed run has left it there, remove it", path.display())
        })?;
        let fresh = Fresh { path };
        copy_entries(&full, &fresh.path)?;
        Ok(fresh)
    }

    /// The path of the copy.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            stderr::say(format_args!("failed to remove {}: {error}; remove it yourself", self.path.display()));
        }
    }
}

fn copy_entries(from: &Path, to: &Path) -> anyhow::Result<()> {
    let reading = || format!("failed to read {}", from.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(from).with_context(reading)? {
        names.push(entry.with_context(reading)?.file_name());
    }
    names.sort();
    for name in names {
        copy(&from.join(&name), &to.join(&name))?;
    }
    let meta = fs::metadata(from).with_context(reading)?;
    fs::File::open(to)
        .and_then(|copy| copy.set_modified(meta.modified()?))
        .and_then(|()| fs::set_permissions(to, fs::Permissions::from_mode(meta.permissions().mode())))
        .with_context(|| format!("failed to set time and permissions of {}", to.display()))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let context = || format!("failed to copy {} to {}", from.display(), to.display());
    let meta = fs::symlink_metadata(from).with_context(context)?;
    if meta.is_dir() {
        fs::create_dir(to).with_context(context)?;
        copy_entries(from, to)
    } else if meta.is_symlink() {
        fs::read_link(from).and_then(|target| std::os::unix::fs::symlink(target, to)).with_context(context)
    } else if meta.is_file() {
        fs::copy(from, to).and_then(|_| fs::File::open(to)?.set_modified(meta.modified()?)).with_context(context)
    } else {
        bail!("failed to copy {}: --fresh copies files, directories and symbolic links only", from.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_cleans_up() {
        let original = std::env::temp_dir().join(format!("fated-fresh-{}", std::process::id()));
        fs::create_dir_all(original.join("sub/empty")).unwrap();
        fs::write(original.join("sub/file"), "text").unwrap();
        fs::set_permissions(original.join("sub/file"), fs::Permissions::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink("sub/file", original.join("link")).unwrap();

        let fresh = Fresh::copy_of(&original).unwrap();
        let copy = fresh.path().to_owned();
        assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("sub/file"));
        assert_eq!(fs::read_to_string(copy.join("link")).unwrap(), "text");
        let (old, new) =
            (fs::metadata(original.join("sub/file")).unwrap(), fs::metadata(copy.join("sub/file")).unwrap());
        assert_eq!(new.permissions().mode() & 0o7777, 0o750);
        assert_eq!(new.modified().unwrap(), old.modified().unwrap());
        assert!(copy.join("sub/empty").is_dir());
        assert!(Fresh::copy_of(&original).is_err(), "two copies at once");

        drop(fresh);
        assert!(!copy.exists());
        fs::remove_dir_all(original).unwrap();
    }
}
