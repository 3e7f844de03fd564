//! How large a process is, by its real memory map (`/proc/PID/maps`), which is the same in every run but for what Linux and the engine
//! add.

use crate::machine::MEMORY_BYTES;
use crate::mm::map_line::MapLine;
use crate::process::task::Task;
use alloc::string::String;
use core::ops::Range;

/// How large a process is, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// All mappings.
    pub total: u64,
    /// The part that counts as resident: how much of the memory really is differs from run to run.
    pub resident: u64,
    /// The part of that which is a file's and not written to.
    pub resident_file: u64,
    /// Writable private mappings.
    pub data: u64,
    /// The stack.
    pub stack: u64,
    /// Executable mappings of files.
    pub text: u64,
}

/// Whether the real Linux maps it into each program by itself. The vDSO is fated's and isn't hidden; the others differ between versions.
#[must_use]
pub fn is_hidden(name: &str) -> bool {
    name == "[vsyscall]" || name.starts_with("[vvar")
}

/// The mappings that guests see.
fn mappings(map: &str) -> impl Iterator<Item = MapLine<'_>> {
    map.lines().filter_map(MapLine::parse).filter(|it| !is_hidden(it.name))
}

/// How much of a mapping counts as resident: all of it if it can be accessed, but nothing of one that is larger than the machine's memory.
#[must_use]
pub fn resident(bytes: u64, perms: &str) -> u64 {
    if perms.starts_with("---") || bytes > MEMORY_BYTES { 0 } else { bytes }
}

fn map_of(task: &Task) -> String {
    String::from_utf8_lossy(&task.guest.proc_file("maps").unwrap_or_default()).into_owned()
}

/// Sums up the mappings of a task; zero for one that has ended.
#[must_use]
pub fn sizes(task: &Task) -> Sizes {
    let mut sizes = Sizes::default();
    for mapping in mappings(&map_of(task)) {
        let (bytes, MapLine { perms, name, .. }) = (mapping.size(), mapping);
        sizes.total += bytes;
        let resident = resident(bytes, perms);
        sizes.resident += resident;
        if name.starts_with('/') && !perms.starts_with("rw") {
            sizes.resident_file += resident;
        }
        if name == "[stack]" {
            sizes.stack += bytes;
        } else if perms.contains('x') {
            sizes.text += bytes;
        } else if perms.starts_with("rw") && perms.ends_with('p') {
            sizes.data += bytes;
        }
    }
    sizes.resident = sizes.resident.min(MEMORY_BYTES);
    sizes.resident_file = sizes.resident_file.min(sizes.resident);
    sizes
}

/// The same, and takes it into the account of the process. What came since the last look are page faults of this task.
pub fn look(task: &Task) -> Sizes {
    let sizes = sizes(task);
    if sizes.total > 0 {
        let faults = task.process.memory.seen(sizes.total, sizes.resident);
        task.counts.borrow_mut().minflt += faults;
    }
    sizes
}

/// Where the vDSO is mapped.
#[must_use]
pub fn vdso(task: &Task) -> Option<Range<u64>> {
    mappings(&map_of(task)).find(|it| it.name == "[vdso]").map(|it| it.range)
}

/// How much memory is locked, in bytes, which the real Linux counts.
#[must_use]
pub fn locked(task: &Task) -> u64 {
    let real = task.guest.proc_file("status").unwrap_or_default();
    let real = String::from_utf8_lossy(&real).into_owned();
    let field = real.lines().find_map(|line| line.strip_prefix("VmLck:"));
    field.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}
