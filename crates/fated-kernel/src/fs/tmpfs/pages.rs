//! The contents of a regular file: pages of memory, and holes where nothing has been written.

use alloc::{boxed::Box, collections::BTreeMap};

/// The size of a page.
pub const PAGE: usize = 4096;

/// Sparse contents. Invariant: bytes behind the size are zero.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    size: u64,
}

/// The page of an offset, and where in it the offset is.
fn place(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}

impl Pages {
    /// The size of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many pages of memory it takes.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.pages.len() as u64
    }

    /// How many more pages a write of `len` bytes at `offset` takes.
    #[must_use]
    pub fn needed(&self, offset: u64, len: usize) -> u64 {
        let Some(last) = offset.checked_add(len as u64).and_then(|end| end.checked_sub(1)).filter(|_| len > 0) else {
            return 0;
        };
        let (first, last) = (place(offset).0, place(last).0);
        last - first + 1 - self.pages.range(first..=last).count() as u64
    }

    /// Reads into `to`, up to the end of the file; returns how many bytes.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> usize {
        let len = to.len().min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX));
        let mut done = 0;
        while let Some(rest) = to.get_mut(done..len).filter(|rest| !rest.is_empty()) {
            let (page, at) = place(offset + done as u64);
            let count = rest.len().min(PAGE - at);
            let Some(rest) = rest.get_mut(..count) else { break };
            match self.pages.get(&page).and_then(|page| page.get(at..at + count)) {
                Some(bytes) => rest.copy_from_slice(bytes),
                None => rest.fill(0),
            }
            done += count;
        }
        done
    }

    /// Writes all of `from`, which the caller has made sure ends before the largest offset.
    pub fn write(&mut self, offset: u64, from: &[u8]) {
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            let (page, at) = place(offset.saturating_add(done as u64));
            let count = rest.len().min(PAGE - at);
            let page = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            if let (Some(to), Some(from)) = (page.get_mut(at..at + count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            done += count;
        }
        if !from.is_empty() {
            self.size = self.size.max(offset.saturating_add(from.len() as u64));
        }
    }

    /// Sets the size; what is beyond it is gone.
    pub fn truncate(&mut self, size: u64) {
        if size < self.size {
            let (page, at) = place(size);
            drop(self.pages.split_off(&(page + u64::from(at > 0))));
            if let Some(rest) = self.pages.get_mut(&page).and_then(|page| page.get_mut(at..)) {
                rest.fill(0);
            }
        }
        self.size = size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::rng::Rng;
    use alloc::{vec, vec::Vec};

    #[test]
    fn contents_are_those_of_a_plain_vector() {
        let rng = Rng::new(7, 7);
        let (mut pages, mut plain) = (Pages::default(), Vec::new());
        for round in 0..2000_u32 {
            let (offset, len) = (rng.below(6 * PAGE as u64), rng.below(2 * PAGE as u64) as usize);
            match rng.below(3) {
                0 => {
                    let bytes = vec![round as u8; len];
                    let before = pages.count();
                    let needed = pages.needed(offset, len);
                    pages.write(offset, &bytes);
                    assert_eq!(pages.count(), before + needed);
                    if len > 0 {
                        plain.resize(plain.len().max(offset as usize + len), 0);
                        plain[offset as usize..offset as usize + len].copy_from_slice(&bytes);
                    }
                }
                1 if rng.below(4) == 0 => {
                    pages.truncate(offset);
                    plain.resize(offset as usize, 0);
                }
                _ => {
                    let mut read = vec![0xee; len];
                    let done = pages.read(offset, &mut read);
                    let expected = plain.get(offset as usize..).unwrap_or_default();
                    assert_eq!(read[..done], expected[..expected.len().min(len)], "round {round}");
                }
            }
            assert_eq!(pages.size(), plain.len() as u64);
        }
    }

    #[test]
    fn holes_take_no_memory() {
        let mut pages = Pages::default();
        pages.write(1 << 40, b"x");
        assert_eq!((pages.size(), pages.count()), ((1 << 40) + 1, 1));
        let mut byte = [1];
        assert_eq!((pages.read(1 << 30, &mut byte), byte), (1, [0]));
        pages.truncate(0);
        assert_eq!(pages.count(), 0);
    }
}
