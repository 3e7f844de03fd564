//! What names a futex.
//!
//! A private futex is named by its address space and address. A shared one may be mapped at many addresses, and which addresses are
//! the same memory only the real Linux knows. Asking it is slow, and nearly all waits on shared futexes are joins of threads, in one
//! address space. So the real Linux is asked only when a waiter and a waker meet whose addresses differ.

use crate::errno::Errno;
use crate::mm::MmId;
use crate::mm::map_line::MapLine;
use crate::ports::HostFiles;
use core::cell::OnceCell;

/// A byte of a file that is mapped shared: device, inode, offset.
type Byte = (u64, u64, u64);

/// A futex, as a task names it.
#[derive(Clone, Debug)]
pub struct Futex {
    /// Whether other address spaces may have it mapped.
    pub shared: bool,
    /// The address space.
    pub mm: MmId,
    /// The address in it.
    pub addr: u64,
    /// What is mapped there, once that has been looked up; `None` inside for memory that no other address space has.
    byte: OnceCell<Option<Byte>>,
}

impl Futex {
    /// The futex at `addr` of the address space `mm`. It is aligned, and need not be readable.
    pub fn new(mm: MmId, addr: u64, shared: bool) -> Result<Futex, Errno> {
        /// Where addresses of user space end.
        const END: u64 = 0x7fff_ffff_f000;
        if !addr.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if addr >= END {
            return Err(Errno::EFAULT);
        }
        Ok(Futex { shared, mm, addr, byte: OnceCell::new() })
    }

    /// What is mapped there, as a task with this address space sees it.
    pub(super) fn byte(&self, task: &dyn HostFiles) -> Option<Byte> {
        *self.byte.get_or_init(|| mapped_byte(&task.proc_file("maps").unwrap_or_default(), self.addr))
    }

    /// Whether both are the same futex; each comes with a task that has it in its address space.
    pub(super) fn is(&self, task: &dyn HostFiles, other: &Futex, other_task: &dyn HostFiles) -> bool {
        if self.shared != other.shared {
            return false;
        }
        if self.mm == other.mm && self.addr == other.addr {
            return true;
        }
        // The offset within a page is that in the file, so most pairs differ already in this.
        self.shared
            && self.addr % 4096 == other.addr % 4096
            && self.byte(task).is_some_and(|byte| other.byte(other_task) == Some(byte))
    }
}

/// The byte of a shared file mapping at `addr`, out of `/proc/PID/maps`.
fn mapped_byte(maps: &[u8], addr: u64) -> Option<Byte> {
    let mut mappings = core::str::from_utf8(maps).ok()?.lines().filter_map(MapLine::parse);
    let it = mappings.find(|it| it.range.contains(&addr)).filter(|it| it.perms.ends_with('s'))?;
    Some((it.device.0 << 32 | it.device.1, it.inode, it.offset.wrapping_add(addr - it.range.start)))
}

#[cfg(test)]
mod tests {
    use super::mapped_byte;

    const MAPS: &[u8] = b"\
00400000-00402000 r-xp 00001000 08:01 1234                               /bin/x
7f0000000000-7f0000004000 rw-s 00002000 00:01 77                         /dev/zero (deleted)
7f0000004000-7f0000008000 rw-p 00000000 00:00 0
";

    #[test]
    fn only_shared_mappings_have_a_name_in_common() {
        assert_eq!(mapped_byte(MAPS, 0x400010), None);
        assert_eq!(mapped_byte(MAPS, 0x7f00_0000_1008), Some((1, 77, 0x3008)));
        assert_eq!(mapped_byte(MAPS, 0x7f00_0000_4000), None);
        assert_eq!(mapped_byte(MAPS, 0x10), None);
        assert_eq!(mapped_byte(b"\xff", 0x10), None);
    }
}
