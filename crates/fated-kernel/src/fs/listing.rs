//! What is in a directory, its names in one piece of memory.

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

#[derive(Clone, Copy, Debug)]
struct Row {
    /// The first bytes of the name as a number, by which most names are told apart. `.` and `..` have 0: they come before all
    /// other names that can be.
    prefix: u64,
    ino: u64,
    /// Where the name begins in [`Listing::names`].
    at: u32,
    len: u16,
    kind: u8,
}

/// All entries of a directory.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    rows: Vec<Row>,
}

impl Listing {
    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        // A name has at most 255 bytes.
        let (Ok(at), Ok(len)) = (u32::try_from(self.names.len()), u16::try_from(entry.name.len())) else { return };
        self.names.extend_from_slice(entry.name);
        self.rows.push(Row { prefix: prefix(entry.name), ino: entry.ino, at, len, kind: entry.kind });
    }

    /// Adds what getdents64(2) has written: of each entry inode, offset of the next, length of the record, kind, and name with a
    /// NUL.
    pub fn push_records(&mut self, mut records: &[u8]) {
        const NAME: usize = 19;
        /// Records are filled up to a multiple of this.
        const ROUND: usize = 8;
        self.names.reserve(records.len());
        self.rows.reserve(records.len() / (NAME + 5));
        while let Some((head, tail)) = records.split_at_checked(NAME) {
            let len = usize::from(u16::from_le_bytes([head[16], head[17]])).max(NAME);
            let ino = head[..8].try_into().map_or(0, u64::from_le_bytes);
            // The end of the name is near that of its record.
            let sure = (len - NAME).saturating_sub(ROUND).min(tail.len());
            let rest = tail.get(sure..).unwrap_or_default();
            let end = sure + rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
            self.push(Entry { name: tail.get(..end).unwrap_or_default(), ino, kind: head[18] });
            records = records.get(len..).unwrap_or_default();
        }
    }

    /// Sorts the entries by name, in bytes; `.` and `..` come before all other names that can be.
    pub fn sort(&mut self) {
        let names = &self.names;
        self.rows
            .sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix).then_with(|| name_of(names, a).cmp(name_of(names, b))));
    }

    /// At least as many bytes as getdents64(2) has to tell.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        const LONGEST_REST: usize = 27;
        self.names.len() + self.rows.len() * LONGEST_REST
    }

    /// Replaces each inode number, in order.
    pub fn renumber(&mut self, mut number: impl FnMut(u64) -> u64) {
        self.rows.iter_mut().for_each(|row| row.ino = number(row.ino));
    }

    /// The entries from the one with index `from` on.
    pub fn entries(&self, from: usize) -> impl Iterator<Item = Entry<'_>> {
        let rows = self.rows.get(from..).unwrap_or_default();
        rows.iter().map(|row| Entry { name: name_of(&self.names, row), ino: row.ino, kind: row.kind })
    }
}

fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    if !matches!(name, b"." | b"..") {
        bytes.iter_mut().zip(name).for_each(|(to, &byte)| *to = byte);
    }
    u64::from_be_bytes(bytes)
}

fn name_of<'a>(names: &'a [u8], row: &Row) -> &'a [u8] {
    let begin = row.at as usize;
    names.get(begin..begin + usize::from(row.len)).unwrap_or_default()
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
        let names: Vec<&[u8]> = listing.entries(0).map(|entry| entry.name).collect();
        assert_eq!(names, [&b"."[..], b"..", b"!", b".a", b"a", b"a long name a", b"a long name b", b"ab", b"b"]);
        listing.renumber(|ino| ino * 10);
        let inos: Vec<u64> = listing.entries(4).map(|entry| entry.ino).collect();
        assert_eq!(inos, [30, 90, 80, 70, 10]);
        assert_eq!(listing.entries(10).count(), 0);
    }

    #[test]
    fn records_of_linux_are_taken_apart() {
        let record = |ino: u8, name: &[u8], len: u8| {
            let mut bytes = Vec::from([ino, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, len, 0, 4]);
            bytes.extend_from_slice(name);
            bytes.resize(len.into(), 0);
            bytes
        };
        let mut listing = Listing::default();
        listing.push_records(&[record(5, b"four", 24), record(6, b"longer name", 32)].concat());
        let entries: Vec<Entry> = listing.entries(0).collect();
        assert_eq!(
            entries,
            [Entry { name: b"four", ino: 5, kind: 4 }, Entry { name: b"longer name", ino: 6, kind: 4 }]
        );
        // Not Linux's doing, but no reason to fail.
        listing.push_records(&[0; 30]);
        assert_eq!(listing.entries(2).count(), 1);
    }
}
