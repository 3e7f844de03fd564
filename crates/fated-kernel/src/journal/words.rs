//! The words of a line, and how bytes are written as text.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::fmt::{self, Write as _};

/// What is wrong with a line, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The column, from 1 on.
    pub column: usize,
    /// What was expected there.
    pub why: String,
}

/// A line that is read word by word.
#[derive(Debug)]
pub struct Words<'a> {
    line: &'a str,
    at: usize,
    /// Where the word begins that was read last.
    begin: usize,
}

impl<'a> Words<'a> {
    /// From the begin of `line`.
    #[must_use]
    pub fn new(line: &'a str) -> Words<'a> {
        Words { line, at: 0, begin: 0 }
    }

    fn skip_blanks(&mut self) -> &'a str {
        let rest = self.line.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches(' ');
        self.at += rest.len() - trimmed.len();
        self.begin = self.at;
        trimmed
    }

    /// An error at the word that was read last.
    #[must_use]
    pub fn wrong(&self, why: impl Into<String>) -> Wrong {
        let before = self.line.get(..self.begin).unwrap_or_default();
        Wrong { column: before.chars().count() + 1, why: why.into() }
    }

    /// The next word, up to a blank or `end`; `expected` says what it should be.
    pub fn until(&mut self, end: char, expected: &str) -> Result<&'a str, Wrong> {
        let rest = self.skip_blanks();
        let len = rest.find([' ', end]).unwrap_or(rest.len());
        let (word, _) = rest.split_at(len);
        self.at += len;
        if word.is_empty() { Err(self.wrong(format!("expected {expected}"))) } else { Ok(word) }
    }

    /// The next word.
    pub fn word(&mut self, expected: &str) -> Result<&'a str, Wrong> {
        self.until(' ', expected)
    }

    /// Whether something is left.
    pub fn is_over(&mut self) -> bool {
        self.skip_blanks().is_empty()
    }

    /// There must be nothing left.
    pub fn end(&mut self) -> Result<(), Wrong> {
        if self.is_over() { Ok(()) } else { Err(self.wrong("expected the end of the line")) }
    }

    /// This text must come next.
    pub fn literal(&mut self, text: &str) -> Result<(), Wrong> {
        if self.skip_blanks().starts_with(text) {
            self.at += text.len();
            Ok(())
        } else {
            Err(self.wrong(format!("expected {text:?}")))
        }
    }

    /// Whether this text comes next, which then has been read.
    pub fn has(&mut self, text: &str) -> bool {
        self.literal(text).is_ok()
    }

    /// A decimal number, up to a blank or `end`.
    pub fn number_until<T: core::str::FromStr>(&mut self, end: char, expected: &str) -> Result<T, Wrong> {
        let word = self.until(end, expected)?;
        word.parse().map_err(|_| self.wrong(format!("expected {expected}, found {word:?}")))
    }

    /// A decimal number.
    pub fn number<T: core::str::FromStr>(&mut self, expected: &str) -> Result<T, Wrong> {
        self.number_until(' ', expected)
    }

    /// A number in base `radix`.
    pub fn digits(&mut self, radix: u32, expected: &str) -> Result<u64, Wrong> {
        let word = self.word(expected)?;
        u64::from_str_radix(word, radix).map_err(|_| self.wrong(format!("expected {expected}, found {word:?}")))
    }

    /// Bytes as pairs of hexadecimal digits; a single `-` stands for none.
    pub fn hex(&mut self) -> Result<Vec<u8>, Wrong> {
        let word = self.word("bytes as hexadecimal digits")?;
        if word == "-" {
            return Ok(Vec::new());
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let (pairs, rest) = word.as_bytes().as_chunks();
        let bytes: Option<Vec<u8>> = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
        bytes.filter(|_| rest.is_empty()).ok_or_else(|| self.wrong("expected an even number of hexadecimal digits"))
    }

    /// Bytes in quotes, as [`Quoted`] writes them.
    pub fn quoted(&mut self) -> Result<Vec<u8>, Wrong> {
        self.literal("\"")?;
        let mut bytes = Vec::new();
        loop {
            self.begin = self.at;
            let rest = self.line.get(self.at..).unwrap_or_default();
            let mut chars = rest.chars();
            match chars.next() {
                None => return Err(self.wrong("the text ends without a quote; the line is cut off")),
                Some('"') => {
                    self.at += 1;
                    return Ok(bytes);
                }
                Some('\\') => bytes.push(self.escaped(chars.as_str())?),
                Some(other) => {
                    let mut utf8 = [0; 4];
                    bytes.extend_from_slice(other.encode_utf8(&mut utf8).as_bytes());
                    self.at += other.len_utf8();
                }
            }
        }
    }

    fn escaped(&mut self, rest: &str) -> Result<u8, Wrong> {
        let simple = |byte| (byte, 2);
        let (byte, len) = match rest.bytes().next() {
            Some(b'n') => simple(b'\n'),
            Some(b't') => simple(b'\t'),
            Some(b'r') => simple(b'\r'),
            Some(byte @ (b'"' | b'\\' | b'\'')) => simple(byte),
            Some(b'x') => {
                let digits = rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (digits.ok_or_else(|| self.wrong("expected two hexadecimal digits behind \\x"))?, 4)
            }
            _ => return Err(self.wrong("there is no such escape; the text may have \\n \\t \\r \\\" \\\\ \\xNN")),
        };
        self.at += len;
        Ok(byte)
    }

    /// An unfinished text of the rest, for messages.
    #[must_use]
    pub fn rest(&mut self) -> String {
        self.skip_blanks().to_owned()
    }
}

/// Bytes in quotes: printable ASCII as it is, the rest escaped.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for &byte in self.0 {
            match byte {
                b'\n' => f.write_str("\\n")?,
                b'\t' => f.write_str("\\t")?,
                b'\r' => f.write_str("\\r")?,
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => f.write_char(byte.into())?,
                byte => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_char('"')
    }
}

/// Bytes as hexadecimal digits; `-` if there are none.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('-');
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
