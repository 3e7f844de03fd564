//! Files below `/proc/self` of the process that runs, without the engine's entries.

use alloc::vec::Vec;

use fated_kernel::errno::Errno;
use linux_raw_sys::general::AT_FDCWD;

use crate::exec::vdso;
use crate::memory::reserved::is_reserved;
use crate::{process, sys};

/// The bytes of `/proc/self/NAME`.
pub fn proc_file(name: &str) -> Result<Vec<u8>, Errno> {
    if is_own("fdinfo/", name) {
        return Err(Errno::ENOENT);
    }
    let bytes = sys::read_all(alloc::format!("/proc/self/{name}").as_bytes())?;
    if name == "maps" {
        return Ok(bytes
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| !hidden(line))
            .flat_map(|line| vdso::line(line).unwrap_or_else(|| line.to_vec()))
            .collect());
    }
    Ok(bytes)
}

/// Whether a line of maps is a mapping of the engine's.
fn hidden(line: &[u8]) -> bool {
    let end = line.iter().position(|&byte| byte == b'-').unwrap_or(0);
    let begin = core::str::from_utf8(&line[..end]).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
    begin.is_some_and(|begin| is_reserved(begin, 1))
}

/// The target of the link `/proc/self/NAME`.
pub fn proc_link(name: &str) -> Result<Vec<u8>, Errno> {
    if is_own("fd/", name) {
        return Err(Errno::ENOENT);
    }
    sys::read_link(AT_FDCWD, alloc::format!("/proc/self/{name}").as_bytes())
}

/// Whether a name in this folder of `/proc/self` is one of the engine's descriptors.
fn is_own(folder: &str, name: &str) -> bool {
    let number = name.strip_prefix(folder).and_then(|rest| rest.parse().ok());
    number.is_some_and(process::is_own)
}
