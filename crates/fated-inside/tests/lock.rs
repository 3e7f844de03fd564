//! The blob has a lock file of its own. A fresh clone that has fetched what the workspace needs, and then is offline, must
//! be able to build it.

use std::collections::BTreeSet;

/// Name and version of everything that comes from a registry.
fn packages(lock: &'static str) -> BTreeSet<(&'static str, &'static str)> {
    let field = |package: &'static str, name: &str| -> &'static str {
        let line = package.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_matches(['"', ' ', '='])
    };
    let packages = lock.split("[[package]]").filter(|package| package.contains("\nsource = "));
    packages.map(|package| (field(package, "name = "), field(package, "version = "))).collect()
}

#[test]
fn the_blob_needs_nothing_that_the_workspace_does_not() {
    let blob = packages(include_str!("../blob/Cargo.lock"));
    let workspace = packages(include_str!("../../../Cargo.lock"));
    assert!(blob.iter().any(|(name, _)| *name == "bitflags"), "{blob:?}");
    let more: Vec<_> = blob.difference(&workspace).collect();
    assert!(more.is_empty(), "only in blob/Cargo.lock: {more:?}; run cargo update --precise there");
}
