//! The real files of every puppet.

use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;

/// Where puppets stand.
pub const CWD: &[u8] = b"/home";

/// Paths, and where those that are links lead. Directories end with a slash. The size of a file is its place here.
const TREE: &[(&str, Option<&str>)] = &[
    ("/", None),
    ("/home/", None),
    ("/home/file", None),
    ("/home/inner/", None),
    ("/home/inner/file", None),
    ("/home/inner/up", Some("../file")),
    ("/home/to-file", Some("file")),
    ("/home/to-inner", Some("/home/inner/")),
    ("/home/to-nothing", Some("nothing")),
    ("/home/loop", Some("loop")),
    ("/home/to-proc", Some("/proc")),
    ("/home/over-two", Some("to-proc/self")),
    ("/home/null", Some("/dev/null")),
    ("/home/back", Some("/proc/self/cwd/inner")),
    ("/etc/", None),
    ("/etc/mtab", Some("../proc/self/mounts")),
    ("/proc/", None),
    ("/sys/", None),
    ("/dev/", None),
    ("/dev/null", None),
    ("/dev/shm/", None),
    ("/dev/shm/memory", None),
];

fn find(path: &[u8]) -> Result<usize, Errno> {
    let path = std::str::from_utf8(path).map_err(|_| Errno::ENOENT)?;
    let is_there = |(known, _): &(&str, Option<&str>)| *known == path || known.strip_suffix('/') == Some(path);
    TREE.iter().position(is_there).ok_or(Errno::ENOENT)
}

pub fn stat(path: &[u8]) -> Result<FileStat, Errno> {
    let at = find(path)?;
    let (name, link) = TREE[at];
    let mode = match link {
        Some(_) => 0o120_777,
        None if name.ends_with('/') => 0o040_755,
        None => 0o100_644,
    };
    let dev = if name.starts_with("/proc") { 7 } else { 1 };
    Ok(FileStat { mode, nlink: 1, dev, ino: 1000 + at as u64, size: at as u64, ..FileStat::default() })
}

pub fn read_link(path: &[u8]) -> Result<Vec<u8>, Errno> {
    TREE[find(path)?].1.map(Into::into).ok_or(Errno::EINVAL)
}
