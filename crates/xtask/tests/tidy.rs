//! Rules that the compiler can't check.

use std::path::{Path, PathBuf};

use xtask::{files, root, text};

/// A crate, what of this workspace it may use, and whether it is bare: without std, without unsafe code, without a panic
/// that a guest could reach.
type Layer = (&'static str, &'static [&'static str], bool);

/// From the bottom up.
const LAYERS: &[Layer] = &[
    ("fated-wait", &[], true),
    ("fated-kernel", &["fated-wait"], true),
    ("fated-engine", &["fated-wait", "fated-kernel"], false),
    ("fated-ptrace", &["fated-wait", "fated-kernel", "fated-engine"], false),
    ("fated-inside", &["fated-wait", "fated-kernel", "fated-engine"], false),
    ("fated", &["fated-wait", "fated-kernel", "fated-engine", "fated-ptrace", "fated-inside"], false),
    ("xtask", &[], false),
];

/// What bare crates may use from outside: crates that need neither std nor an operating system.
const BARE: &[&str] = &["bitflags", "linux-raw-sys", "thiserror"];

/// The most lines of a file in a `src` folder, and of one of tests.
const MAX_LINES: (usize, usize) = (500, 700);

/// Fails with all problems at once.
#[track_caller]
fn none(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let lines = files("rs").into_iter().map(|path| (text(&path).lines().count(), path));
    let most = |path: &Path| if path.iter().any(|part| part == "src") { MAX_LINES.0 } else { MAX_LINES.1 };
    none(lines.filter(|(lines, path)| *lines > most(path)).map(|(lines, path)| {
        format!("{} has {lines} lines, more than {}: one file, one concept", path.display(), most(&path))
    }));
}

#[test]
fn dependencies_point_downwards() {
    let mut problems = Vec::new();
    for path in files("toml").into_iter().filter(|path| path.starts_with("crates") && path.components().count() == 3) {
        let Some((krate, below, bare)) = layer(&path) else {
            problems.push(format!("{} is not in LAYERS", path.display()));
            continue;
        };
        let manifest: toml::Table = text(&path).parse().expect("cargo could read it too");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        for name in dependencies.into_iter().flat_map(toml::Table::keys) {
            let ours = LAYERS.iter().any(|(krate, ..)| krate == name);
            let allowed = if ours { below.contains(&name.as_str()) } else { !bare || BARE.contains(&name.as_str()) };
            if !allowed {
                problems.push(format!("{krate} must not depend on {name}"));
            }
        }
    }
    none(problems);
}

fn layer(manifest: &Path) -> Option<&'static Layer> {
    LAYERS.iter().find(|(krate, ..)| manifest == Path::new("crates").join(krate).join("Cargo.toml"))
}

fn bare_crates() -> impl Iterator<Item = PathBuf> {
    LAYERS.iter().filter(|(.., bare)| *bare).map(|(krate, ..)| Path::new("crates").join(krate).join("src"))
}

#[test]
fn bare_crates_have_neither_std_nor_unsafe_code() {
    none(bare_crates().flat_map(|source| {
        let library = text(&source.join("lib.rs"));
        let missing = |attribute: &&str| !library.lines().any(|line| line == *attribute);
        let attributes = ["#![no_std]", "#![forbid(unsafe_code)]"].into_iter().filter(missing);
        attributes.map(|it| format!("{}/lib.rs lacks {it}", source.display())).collect::<Vec<_>>()
    }));
}

/// By text, hence blind to what macros make; tests are at the end of a file, after `#[cfg(test)]`, or in a file of
/// their own.
#[test]
fn bare_crates_do_not_panic() {
    const WORDS: &[&str] = &["todo!", "unimplemented!", "panic!", ".unwrap()", ".expect("];
    let ours: Vec<_> = bare_crates().collect();
    let is_test = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
    let mut problems = Vec::new();
    for path in files("rs").into_iter().filter(|path| ours.iter().any(|it| path.starts_with(it)) && !is_test(path)) {
        let text = text(&path);
        let code = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (index, line) in code.filter(|(_, line)| WORDS.iter().any(|word| line.contains(word))) {
            problems.push(format!(
                "{}:{}: a guest must not make this panic: {}",
                path.display(),
                index + 1,
                line.trim()
            ));
        }
    }
    none(problems);
}

#[test]
fn links_between_documents_resolve() {
    let mut problems = Vec::new();
    for path in files("md") {
        let folder = root().join(&path).parent().expect("a file lies in a folder").to_owned();
        for (index, line) in prose(&text(&path)) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let outside = target.is_empty() || target.contains("://");
                if !outside && !folder.join(target).exists() {
                    problems.push(format!("{}:{}: no {target}", path.display(), index + 1));
                }
            }
        }
    }
    none(problems);
}

/// The lines outside code blocks, with their index.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The lines of a file before its tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// All that is random in a run is decided in one place, where it can be recorded and changed.
#[test]
fn only_the_chooser_draws() {
    let (chooser, rng) =
        (Path::new("crates/fated-kernel/src/sched/choose.rs"), Path::new("crates/fated-kernel/src/sched/rng.rs"));
    let mut problems = Vec::new();
    for path in files("rs").into_iter().filter(|path| path.starts_with("crates/fated-kernel/src")) {
        if path == chooser || path == rng {
            continue;
        }
        let text = text(&path);
        for (index, line) in code(&text).filter(|(_, line)| line.contains("sched::rng") || line.contains("Rng")) {
            let (path, number) = (path.display(), index + 1);
            problems.push(format!("{path}:{number}: only {} uses the generator: {}", chooser.display(), line.trim()));
        }
    }
    none(problems);
}
