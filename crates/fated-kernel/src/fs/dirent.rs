//! Directory entries in the format of getdents64(2): records in one piece of memory, which guests get as they are but for two numbers.

use alloc::vec::Vec;

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name, without a slash.
    pub name: &'a [u8],
    /// The inode number.
    pub ino: u64,
    /// `DT_*`.
    pub kind: u8,
}

/// A record begins with inode, offset of the next, its own length and a kind. Then comes the name, with zeros up to a full word,
/// one at least.
const LEN_AT: usize = 16;
const KIND_AT: usize = 18;
const NAME_AT: usize = 19;
/// A record has at least so many bytes.
const SHORTEST: usize = 24;

/// The prefixes of the names `.` and `..`, which come before all others.
const DOT: u128 = 0x2e << 88;
const DOT_DOT: u128 = 0x2e2e << 80;

/// How many bits of a key are a place.
const PLACE_BITS: u32 = u32::BITS;

/// All entries of a directory.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    records: Vec<u8>,
    /// The entries in order. Each is the first twelve bytes of its name, which nearly always differ, and then where its record
    /// begins: numbers are sorted faster than anything else.
    keys: Vec<u128>,
}

impl Listing {
    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        let len = (NAME_AT + entry.name.len() + 1).next_multiple_of(size_of::<u64>());
        let begin = self.records.len();
        self.records.extend_from_slice(&entry.ino.to_le_bytes());
        self.records.extend_from_slice(&[0; 8]);
        self.records.extend_from_slice(&(len as u16).to_le_bytes());
        self.records.push(entry.kind);
        self.records.extend_from_slice(entry.name);
        self.records.resize(begin + len, 0);
        self.index(begin);
    }

    /// Adds what getdents64(2) has written.
    pub fn push_records(&mut self, records: &[u8]) {
        let mut begin = self.records.len();
        self.records.extend_from_slice(records);
        self.keys.reserve(records.len() / SHORTEST);
        while let Some(len) = self.index(begin) {
            begin += len;
        }
        self.records.truncate(begin);
    }

    /// Indexes the record that begins there, and clears the bytes that Linux leaves behind its name. Returns its length; `None` if
    /// none stands there.
    fn index(&mut self, begin: usize) -> Option<usize> {
        let rest = self.records.get_mut(begin..)?;
        let len = usize::from(len_of(rest));
        let (words, []) = rest.get_mut(..len)?.as_chunks_mut() else { return None };
        let shortest = words.len() * size_of::<u64>() == SHORTEST;
        let last = words.last_mut().filter(|_| len >= SHORTEST)?;
        // In the shortest records, something else comes before the name.
        let others = if shortest { 0xff_ffff } else { 0 };
        let word = u64::from_le_bytes(*last);
        *last = (word & before_nul(word | others)).to_le_bytes();
        let word = |index: usize| words.get(index).map_or(0, |&word| u128::from(u64::from_be_bytes(word)));
        // Five bytes of the one and seven of the other.
        let prefix = match (word(2) & 0xff_ffff_ffff) << 56 | word(3) >> 8 {
            DOT | DOT_DOT => 0,
            prefix => prefix,
        };
        self.keys.push(prefix << PLACE_BITS | u128::from(u32::try_from(begin).ok()?));
        Some(len)
    }

    /// Sorts the entries by name, in bytes; `.` and `..` come before all other names that can be.
    pub fn sort(&mut self) {
        let Listing { records, keys } = self;
        keys.sort_unstable();
        for alike in keys.chunk_by_mut(|a, b| a >> PLACE_BITS == b >> PLACE_BITS).filter(|alike| alike.len() > 1) {
            let name = |&key: &u128| name_of(record(records, key));
            alike.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        }
    }

    /// Removes the entry of this name.
    pub fn remove(&mut self, name: &[u8]) {
        let Listing { records, keys } = self;
        keys.retain(|&key| name_of(record(records, key)) != name);
    }

    /// The length of all records.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.records.len()
    }

    /// Replaces each inode number, in order.
    pub fn renumber(&mut self, mut number: impl FnMut(u64) -> u64) {
        for &key in &self.keys {
            if let Some(ino) = self.records.get_mut(place(key)..).and_then(<[u8]>::first_chunk_mut) {
                *ino = number(u64::from_le_bytes(*ino)).to_le_bytes();
            }
        }
    }

    /// The records from the one with index `from` on.
    pub fn records(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        self.keys.get(from..).unwrap_or_default().iter().map(|&key| record(&self.records, key))
    }
}

/// Decodes a record.
#[must_use]
pub fn entry(record: &[u8]) -> Entry<'_> {
    let ino = record.first_chunk().map_or(0, |ino| u64::from_le_bytes(*ino));
    Entry { name: name_of(record), ino, kind: record.get(KIND_AT).copied().unwrap_or_default() }
}

/// Where the record of a key begins.
fn place(key: u128) -> usize {
    key as u32 as usize
}

fn record(records: &[u8], key: u128) -> &[u8] {
    let rest = records.get(place(key)..).unwrap_or_default();
    rest.get(..len_of(rest).into()).unwrap_or_default()
}

/// What the record at the beginning says of its length.
fn len_of(records: &[u8]) -> u16 {
    records.get(LEN_AT..).and_then(<[u8]>::first_chunk).map_or(0, |len| u16::from_le_bytes(*len))
}

/// The name in a record, which ends before the zeros of the last word.
fn name_of(record: &[u8]) -> &[u8] {
    let zeros = record.last_chunk().map_or(0, |last| u64::from_le_bytes(*last).leading_zeros()) / u8::BITS;
    record.get(NAME_AT..record.len() - zeros as usize).unwrap_or_default()
}

/// The bits of the bytes that come before the first NUL of a word.
fn before_nul(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let zeros = word.wrapping_sub(ONES) & !word & ONES << 7;
    let first = zeros & zeros.wrapping_neg();
    (first >> 7).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_in_order_of_name_behind_the_two_that_each_directory_has() {
        let mut listing = Listing::default();
        for (ino, name) in [
            (1, &b"b"[..]),
            (2, b".."),
            (3, b"a"),
            (4, b"."),
            (5, b"!"),
            (6, b".a"),
            (7, b"ab"),
            (8, b"a long name b"),
            (9, b"a long name a"),
        ] {
            listing.push(Entry { name, ino, kind: 8 });
        }
        listing.sort();
        let names: Vec<&[u8]> = listing.records(0).map(|record| entry(record).name).collect();
        assert_eq!(names, [&b"."[..], b"..", b"!", b".a", b"a", b"a long name a", b"a long name b", b"ab", b"b"]);
        listing.renumber(|ino| ino * 10);
        let inos: Vec<u64> = listing.records(4).map(|record| entry(record).ino).collect();
        assert_eq!(inos, [30, 90, 80, 70, 10]);
        assert_eq!(listing.records(10).count(), 0);
    }

    #[test]
    fn records_of_linux_are_taken_apart() {
        let record = |ino: u8, name: &[u8], len: u8| {
            let mut bytes = Vec::from([ino, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, len, 0, 4]);
            bytes.extend_from_slice(name);
            bytes.push(0);
            // Linux leaves there what has been there.
            bytes.resize(len.into(), b'x');
            bytes
        };
        let names: Vec<Vec<u8>> = (1..=40).map(|len| Vec::from(&b"abcdefgh".repeat(5)[..len])).collect();
        let mut listing = Listing::default();
        for name in &names {
            let len = (name.len() + 20).next_multiple_of(8) as u8;
            listing.push_records(&[record(name.len() as u8, name, len), record(99, b"next", 24)].concat());
        }
        listing.sort();
        let entries: Vec<Entry> = listing.records(0).map(entry).collect();
        let expected = names.iter().map(|name| Entry { name, ino: name.len() as u64, kind: 4 });
        assert_eq!(entries[..40], expected.collect::<Vec<_>>());
        assert!(entries[40..].iter().all(|&next| next == Entry { name: b"next", ino: 99, kind: 4 }));
        let mut same = Listing::default();
        entries.iter().for_each(|&entry| same.push(entry));
        let without_next = |record: &[u8]| [&record[..8], &record[16..]].concat();
        assert!(
            same.records(0).map(without_next).eq(listing.records(0).map(without_next)),
            "nothing behind a name is told"
        );
        // Not Linux's doing, but no reason to fail.
        let whole = listing.encoded_len();
        for len in [0, 8, 23, 25, 200] {
            listing.push_records(&record(1, b"a", 24).iter().copied().take(16).chain([len; 14]).collect::<Vec<u8>>());
        }
        assert_eq!((listing.records(80).count(), listing.encoded_len()), (0, whole));
    }
}
