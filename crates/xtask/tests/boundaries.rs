//! Who may import whom within a crate, and how large circles of imports may be. The blob has none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use xtask::imports::Imports;

const KERNEL: &str = "crates/fated-kernel/src";
const BLOB: &str = "crates/fated-inside/blob/src";

/// What only some files may import, and why.
struct Boundary {
    /// The sources of the crate.
    source: &'static str,
    /// A file or folder of the crate.
    what: &'static str,
    /// Parts of it that anyone may import.
    open: &'static [&'static str],
    /// Who may import it, besides itself.
    by: &'static [&'static str],
    why: &'static str,
}

const BOUNDARIES: &[Boundary] = &[
    Boundary {
        source: KERNEL,
        what: "syscall",
        open: &["syscall/table.rs", "syscall/table/calls.rs"],
        by: &["run.rs", "lib.rs"],
        why: "a call's file decodes and encodes; what it does stands in its subsystem",
    },
    Boundary {
        source: KERNEL,
        what: "run.rs",
        open: &[],
        by: &["lib.rs"],
        why: "the run loop drives a host, nothing in a host drives the loop",
    },
    Boundary {
        source: KERNEL,
        what: "sched/rng.rs",
        open: &[],
        by: &["sched/choose.rs", "sched/mod.rs"],
        why: "every decision goes through one chooser, so that a journal has all of them",
    },
    Boundary {
        source: KERNEL,
        what: "fs/proc",
        open: &[],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone",
    },
    Boundary {
        source: KERNEL,
        what: "fs/devtmpfs",
        open: &["fs/devtmpfs/device.rs", "fs/devtmpfs/random.rs"],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone; its devices also have nodes elsewhere",
    },
    Boundary {
        source: KERNEL,
        what: "fs/sysfs",
        open: &[],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone",
    },
    Boundary {
        source: KERNEL,
        what: "fs/tmpfs",
        open: &[],
        by: &["fs/filesystems.rs", "fs/mod.rs"],
        why: "a file system is reached through the walk alone",
    },
    Boundary {
        source: KERNEL,
        what: "net/unix",
        open: &["net/unix/rights.rs"],
        by: &["net", "syscall", "host.rs"],
        why: "who has a socket doesn't know of which family it is",
    },
    Boundary {
        source: BLOB,
        what: "host.rs",
        open: &[],
        by: &["init.rs"],
        why: "a module has its own part of the state and reaches it by itself; host.rs only puts the parts into the arena",
    },
    Boundary {
        source: BLOB,
        what: "supervisor.rs",
        open: &[],
        by: &["enter/entry.rs", "exec/new_image.rs", "init.rs", "main.rs", "host.rs"],
        why: "what a task does must not depend on whoever answers for the outside: the kernel asks through its ports",
    },
    Boundary {
        source: BLOB,
        what: "enter/entry.rs",
        open: &[],
        by: &["exec/new_image.rs", "init.rs"],
        why: "guests enter the kernel through it, nothing in the engine does",
    },
    Boundary {
        source: BLOB,
        what: "enter/turn.rs",
        open: &[],
        by: &["enter/entry.rs", "supervisor.rs", "init.rs", "host.rs"],
        why: "what serves one task doesn't ask which one the kernel has let run",
    },
    Boundary {
        source: BLOB,
        what: "exec",
        open: &["exec/vdso.rs"],
        by: &["main.rs", "host.rs", "process/task.rs"],
        why: "an exec is asked of a task",
    },
];

#[test]
fn nobody_imports_what_is_not_for_him() {
    let mut problems = Vec::new();
    for boundary in BOUNDARIES {
        let imports = Imports::read(Path::new(boundary.source));
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
    /// The sources of the crate.
    source: &'static str,
    files: &'static [&'static str],
    why: &'static str,
}

const CIRCLES: &[Circle] = &[
    Circle {
        source: KERNEL,
        files: &["host.rs", "cx.rs", "process/task.rs", "process/thread_group.rs", "fs/file.rs"],
        why: "a task has open files, a file's operations take the context of a call, the context has the host, and the host has the \
              tasks",
    },
    Circle {
        source: KERNEL,
        files: &["syscall/dispatch.rs", "syscall/exit.rs", "syscall/handlers.rs"],
        why: "exit is in the log before what it does, so it writes its line itself",
    },
    Circle {
        source: KERNEL,
        files: &["journal/header.rs", "journal/mod.rs"],
        why: "the header is checked when a journal is opened",
    },
    Circle { source: KERNEL, files: &["syscall/table.rs", "syscall/table/calls.rs"], why: "one table, types and rows" },
];

#[test]
fn circles_are_small_and_known() {
    let mut problems = Vec::new();
    for source in [KERNEL, BLOB] {
        for circle in Imports::read(Path::new(source)).circles() {
            let known = CIRCLES.iter().filter(|it| it.source == source).any(|it| {
                let files: BTreeSet<PathBuf> = it.files.iter().map(PathBuf::from).collect();
                circle.is_subset(&files)
            });
            if !known {
                let files: Vec<_> = circle.iter().map(|file| file.display().to_string()).collect();
                problems.push(format!("{} files of {source} import each other: {}", files.len(), files.join(", ")));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The reasons are read by people; a circle that is gone has to leave the list.
#[test]
fn known_circles_are_there() {
    for known in CIRCLES {
        let circles = Imports::read(Path::new(known.source)).circles();
        let files: BTreeSet<PathBuf> = known.files.iter().map(PathBuf::from).collect();
        assert!(circles.contains(&files), "no longer a circle: {} ({})", known.files.join(", "), known.why);
    }
}
