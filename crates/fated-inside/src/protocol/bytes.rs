//! The encoding of values: numbers, bytes with their length, lists.

use alloc::string::String;
use alloc::vec::Vec;

/// Encodes values.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Adds a number.
    pub fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Adds bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
    /// Adds a list.
    pub fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Writer, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| each(self, item));
    }
}

/// Decodes values. Missing bytes read as zeros: both sides are built together.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// Takes a number.
    pub fn number(&mut self) -> u64 {
        let Some((head, tail)) = self.0.split_first_chunk::<8>() else { return 0 };
        self.0 = tail;
        u64::from_le_bytes(*head)
    }
    /// Takes bytes.
    pub fn bytes(&mut self) -> Vec<u8> {
        let len = (self.number() as usize).min(self.0.len());
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        head.to_vec()
    }
    /// Takes a text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
    /// Takes a list.
    pub fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.number()).map(|_| each(self)).collect()
    }
}
