//! Guest memory, through process_vm_readv(2) and process_vm_writev(2).
//!
//! Invariant: only memory that the guest itself could read or write is accessed. On x86, what may be written may be read, and what may be
//! executed, too, unless protection keys are in use. The task may be stopped anywhere.

use crate::files;
use crate::sys::{self, Os, RealTid};
use fated_kernel::mm::map_line::MapLine;
use libc::iovec;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;

/// Copies guest memory at `addr` to `buf`; returns how many bytes could be read before a bad address.
pub(crate) fn read(tid: RealTid, addr: u64, buf: &mut [u8]) -> usize {
    let len = buf.len();
    let mut done = transfer(addr, len, |from, done| sys::read_memory(tid, from, &mut buf[done..]));
    while done < len {
        let at = addr.wrapping_add(done as u64);
        let Some(count) = read_unreadable(tid, at, &mut buf[done..]) else { break };
        done += count;
        done += transfer(at.wrapping_add(count as u64), len - done, |from, more| {
            sys::read_memory(tid, from, &mut buf[done + more..])
        });
    }
    done
}

/// A task's memory as a file. Unlike the calls above, it permits access to memory that the task itself may not read or write.
pub(crate) fn file(tid: RealTid) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(format!("/proc/{tid}/mem"))
}

/// The same for memory that may be written or executed but not read, which process_vm_readv(2) refuses. Nothing else is looked at.
fn read_unreadable(tid: RealTid, addr: u64, buf: &mut [u8]) -> Option<usize> {
    let maps = files::proc_file(tid, "maps").ok()?;
    let mut mappings = std::str::from_utf8(&maps).ok()?.lines().filter_map(MapLine::parse);
    let end = mappings.find(|it| it.range.contains(&addr) && is_readable(it.perms))?.range.end;
    let len = buf.len().min(usize::try_from(end - addr).unwrap_or(usize::MAX));
    file(tid).ok()?.read_at(&mut buf[..len], addr).ok().filter(|&count| count > 0)
}

fn is_readable(perms: &str) -> bool {
    perms.starts_with("-w") || perms.starts_with("--x") && !has_protection_keys()
}

/// Whether Linux uses protection keys (`OSPKE`): with them, it makes memory that may only be executed unreadable.
fn has_protection_keys() -> bool {
    core::arch::x86_64::__cpuid_count(7, 0).ecx & 1 << 4 != 0
}

/// Copies `data` to guest memory at `addr`; returns how many bytes could be written before a bad address.
pub(crate) fn write(tid: RealTid, addr: u64, data: &[u8]) -> usize {
    transfer(addr, data.len(), |to, done| sys::write_memory(tid, to, &data[done..]))
}

/// Linux copies page by page and stops before the first bad one. After a short copy, the rest is tried again.
fn transfer(addr: u64, len: usize, mut copy: impl FnMut(&[iovec], usize) -> Os<usize>) -> usize {
    let mut done = 0;
    while done < len {
        let Some(at) = addr.checked_add(done as u64) else { break };
        match copy(&[sys::remote(at, len - done)], done) {
            Ok(count) if count > 0 => done += count,
            _ => break,
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> RealTid {
        RealTid::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn counts_end_at_the_bad_page() {
        const PAGE: usize = 4096;
        // SAFETY: a fresh mapping of ours; its second page is given back at once.
        let base = unsafe {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(std::ptr::null_mut(), 2 * PAGE, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            assert_eq!(libc::munmap(base.byte_add(PAGE), PAGE), 0);
            base.addr() as u64
        };
        let mut buf = [0; 100];
        assert_eq!(read(own(), base + 4096 - 10, &mut buf), 10);
        assert_eq!(write(own(), base + 4096 - 10, &buf), 10);
        assert_eq!(read(own(), base + 4096, &mut buf), 0);
    }

    #[test]
    fn unmapped_addresses_read_nothing() {
        let mut buf = [0; 16];
        assert_eq!(read(own(), 0, &mut buf), 0);
        assert_eq!(read(own(), u64::MAX - 4, &mut buf), 0);
        assert_eq!(write(own(), 1 << 63, &buf), 0);
        assert_eq!(read(own(), 8, &mut []), 0);
    }
}
