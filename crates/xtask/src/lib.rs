//! The rules of this repository live in this crate's tests; here is what they and other crates' tests share.

pub mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("this crate lies two levels below the root").to_owned()
}

/// Every file of the repository whose name ends with `.` and `extension`, relative to the root, in order.
#[must_use]
pub fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository is readable") {
            let entry = entry.expect("a folder of the repository is readable");
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path.strip_prefix(root()).expect("found below the root").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The text of a file of the repository.
#[must_use]
#[track_caller]
pub fn text(path: &Path) -> String {
    match fs::read_to_string(root().join(path)) {
        Ok(text) => text,
        Err(error) => panic!("failed to read {}: {error}", path.display()),
    }
}

/// Checks that a generated file of the repository is up to date; with `FATED_BLESS=1` in the environment, writes it.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "how a developer asks tests to write their files")]
pub fn check_generated(path: &str, content: &str) {
    if std::env::var_os("FATED_BLESS").is_some_and(|it| it == "1") {
        fs::write(root().join(path), content).expect("the repository is writable");
        return;
    }
    let there = fs::read_to_string(root().join(path)).unwrap_or_default();
    let line = there.lines().zip(content.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or(there.lines().count().min(content.lines().count())) + 1;
    assert!(there == content, "{path} is out of date from line {line} on: run its test again with FATED_BLESS=1");
}
