//! The names of files that never had one (`O_TMPFILE`): Linux makes them of real inode numbers.

use alloc::{format, vec::Vec};

/// What Linux appends to the name of a file that has none any more.
const DELETED: &[u8] = b" (deleted)";

/// Whether a name may be one that Linux has made of an inode number.
pub(crate) fn is_nameless(name: &[u8]) -> bool {
    name.ends_with(DELETED) && name.rsplit(|&byte| byte == b'/').next().is_some_and(|last| last.first() == Some(&b'#'))
}

/// The name of a file, with another number in place of its inode's if Linux has made it of that: `#NUMBER (deleted)`.
pub(crate) fn virtual_name(name: Vec<u8>, real: u64, number: u64) -> Vec<u8> {
    match name.strip_suffix(format!("/#{real} (deleted)").as_bytes()) {
        Some(folder) => [folder, format!("/#{number} (deleted)").as_bytes()].concat(),
        None => name,
    }
}
