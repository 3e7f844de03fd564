//! getdents(2) and getdents64(2).

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::directory::Directory;
use crate::fs::readdir::open_directory;
use alloc::vec::Vec;
use core::ops::Range;
use linux_raw_sys::general::__NR_getdents64;

/// Both calls.
pub fn getdents(cx: &Cx, call: Call) -> Result<u64, Errno> {
    let [fd, to, size, ..] = call.args;
    let open = open_directory(cx, fd as i32)?;
    let directory = open.downcast::<Directory>().ok_or(Errno::ENOTDIR)?;
    let listing = directory.list(cx, fd as i32)?;
    let from = usize::try_from(directory.position()).unwrap_or(usize::MAX);
    let is_new = call.number as u32 == __NR_getdents64;
    let size = size as u32 as usize;
    let mut bytes = Vec::with_capacity(size.min(listing.encoded_len()));
    let mut position = directory.position();
    for record in listing.records(from) {
        if bytes.len() + record.len() > size {
            if bytes.is_empty() {
                return Err(Errno::EINVAL);
            }
            break;
        }
        position += 1;
        encode(record, position, is_new, &mut bytes);
    }
    cx.write(to, &bytes)?;
    directory.set_position(position);
    Ok(bytes.len() as u64)
}

/// Adds a record with the offset of the next: a `struct linux_dirent64`, or the older `struct linux_dirent`, in which the kind
/// stands behind the name, in the last byte.
fn encode(record: &[u8], next: u64, is_new: bool, to: &mut Vec<u8>) {
    const NEXT: Range<usize> = 8..16;
    const KIND: usize = 18;
    let begin = to.len();
    to.extend_from_slice(record);
    let Some(record) = to.get_mut(begin..) else { return };
    if let Some(place) = record.get_mut(NEXT) {
        place.copy_from_slice(&next.to_le_bytes());
    }
    if !is_new && let Some(rest) = record.get_mut(KIND..) {
        rest.rotate_left(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::dirent::{Entry, Listing};

    #[test]
    fn records_have_linuxs_layout() {
        let mut listing = Listing::default();
        listing.push(Entry { name: b"name", ino: 5, kind: 8 });
        let record = listing.records(0).next().expect("it has one");
        let (mut new, mut old) = (Vec::new(), Vec::new());
        encode(record, 3, true, &mut new);
        encode(record, 3, false, &mut old);
        assert_eq!((new.len(), new[0], new[8], new[16], new[18]), (24, 5, 3, 24, 8));
        assert_eq!(&new[19..24], b"name\0");
        assert_eq!((old.len(), old[16], old[23]), (24, 24, 8));
        assert_eq!(&old[18..23], b"name\0");
    }
}
