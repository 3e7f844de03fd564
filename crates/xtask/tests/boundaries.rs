//! Who may import whom within a crate, and how large circles of imports may be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use xtask::imports::Imports;

const KERNEL: &str = "crates/fated-kernel/src";

/// What only some files may import, and why.
struct Boundary {
    /// A file or folder of the kernel.
    what: &'static str,
    /// Parts of it that anyone may import.
    open: &'static [&'static str],
    /// Who may import it, besides itself.
    by: &'static [&'static str],
    why: &'static str,
}

const BOUNDARIES: &[Boundary] = &[
    Boundary {
        what: "syscall",
        open: &["syscall/table.rs", "syscall/table/calls.rs"],
        by: &["run.rs", "lib.rs"],
        why: "a call's file decodes and encodes; what it does stands in its subsystem",
    },
    Boundary {
        what: "run.rs",
        open: &[],
        by: &["lib.rs"],
        why: "the run loop drives a host, nothing in a host drives the loop",
    },
    Boundary {
        what: "sched/rng.rs",
        open: &[],
        by: &["sched/choose.rs", "sched/mod.rs"],
        why: "every decision goes through one chooser, so that a journal has all of them",
    },
    Boundary {
        what: "fs/proc",
        open: &[],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone",
    },
    Boundary {
        what: "fs/devtmpfs",
        open: &["fs/devtmpfs/device.rs", "fs/devtmpfs/random.rs"],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone; its devices also have nodes elsewhere",
    },
    Boundary {
        what: "fs/sysfs",
        open: &[],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone",
    },
    Boundary {
        what: "fs/tmpfs",
        open: &[],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone",
    },
    Boundary {
        what: "net/unix",
        open: &["net/unix/rights.rs"],
        by: &["net", "syscall", "host.rs"],
        why: "who has a socket doesn't know of which family it is",
    },
];

#[test]
fn nobody_imports_what_is_not_for_him() {
    let imports = Imports::read(Path::new(KERNEL));
    let mut problems = Vec::new();
    for boundary in BOUNDARIES {
        let is_one_of = |file: &Path, list: &[&str]| list.iter().any(|it| file.starts_with(it));
        for (file, targets) in &imports.files {
            if is_one_of(file, &[boundary.what]) || is_one_of(file, boundary.by) {
                continue;
            }
            for target in targets.iter().filter(|it| is_one_of(it, &[boundary.what]) && !is_one_of(it, boundary.open)) {
                problems.push(format!("{} imports {}: {}", file.display(), target.display(), boundary.why));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// A circle that is as it should be, and why. One of more files, or of others, is a problem.
struct Circle {
    files: &'static [&'static str],
    why: &'static str,
}

const CIRCLES: &[Circle] = &[
    Circle {
        files: &["host.rs", "cx.rs", "process/task.rs", "process/thread_group.rs", "fs/file.rs"],
        why: "a task has open files, a file's operations take the context of a call, the context has the host, and the host has the \
              tasks",
    },
    Circle {
        files: &["syscall/dispatch.rs", "syscall/exit.rs", "syscall/handlers.rs"],
        why: "exit is in the log before what it does, so it writes its line itself",
    },
    Circle { files: &["journal/header.rs", "journal/mod.rs"], why: "the header is checked when a journal is opened" },
    Circle { files: &["syscall/table.rs", "syscall/table/calls.rs"], why: "one table, types and rows" },
];

#[test]
fn circles_are_small_and_known() {
    let mut problems = Vec::new();
    for circle in Imports::read(Path::new(KERNEL)).circles() {
        let known = CIRCLES.iter().any(|it| {
            let files: BTreeSet<PathBuf> = it.files.iter().map(PathBuf::from).collect();
            circle.is_subset(&files)
        });
        if !known {
            let files: Vec<_> = circle.iter().map(|file| file.display().to_string()).collect();
            problems.push(format!("{} files of {KERNEL} import each other: {}", files.len(), files.join(", ")));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The reasons are read by people; a circle that is gone has to leave the list.
#[test]
fn known_circles_are_there() {
    let circles = Imports::read(Path::new(KERNEL)).circles();
    for known in CIRCLES {
        let files: BTreeSet<PathBuf> = known.files.iter().map(PathBuf::from).collect();
        assert!(circles.contains(&files), "no longer a circle: {} ({})", known.files.join(", "), known.why);
    }
}
