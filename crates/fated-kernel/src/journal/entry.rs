//! What a journal consists of: one entry a line.
//!
//! A line has a number, a word that says what it is, and what belongs to that. The number is for people: entries count by their
//! order.

use crate::errno::Errno;
use crate::fs::inode::FileStat;
use crate::journal::words::{Hex, Quoted, Words, Wrong};
use crate::sched::choice::{Choice, Entropy};
use crate::time::timers::SECOND;
use alloc::{format, vec::Vec};
use core::fmt;

/// What a run decided, or what came to it from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One of some possibilities was chosen.
    Chosen {
        /// What was decided.
        what: Choice,
        /// The number of what was chosen, from 0 on.
        chosen: u64,
        /// How many possibilities there were.
        among: u64,
    },
    /// A guest got random bytes.
    Drawn {
        /// Which.
        kind: Entropy,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// What kind of file a standard stream is.
    Stat {
        /// The stream.
        fd: i32,
        /// What guests see of it: mode, user, group and device.
        result: Result<[u64; 4], Errno>,
    },
    /// The readiness of a stream has changed since the kernel last looked.
    Ready {
        /// The stream.
        fd: i32,
        /// `POLL*`.
        bits: u32,
        /// When the kernel looked, in nanoseconds since the epoch.
        at: u64,
    },
    /// So has the number of bytes that have come in (`FIONREAD`).
    Queued {
        /// The stream.
        fd: i32,
        /// How many bytes.
        bytes: Result<u32, Errno>,
        /// As above.
        at: u64,
    },
    /// A stream was read.
    Read {
        /// The stream.
        fd: i32,
        /// What came; nothing at the end.
        result: Result<Vec<u8>, Errno>,
    },
    /// A stream didn't take all that was written.
    Short {
        /// The stream.
        fd: i32,
        /// Which write to it this was, from 0 on.
        write: u64,
        /// How many bytes it took.
        result: Result<u64, Errno>,
    },
    /// ioctl(2) on a stream.
    Ioctl {
        /// The stream.
        fd: i32,
        /// What was asked.
        request: u32,
        /// The value, and the argument if that was changed.
        result: Result<(i64, Vec<u8>), Errno>,
    },
    /// The user sent a signal.
    Signal {
        /// Its number.
        signal: i32,
        /// When it was sent to the foreground group, in nanoseconds since the epoch.
        at: u64,
    },
    /// The run was over.
    End,
}

/// A moment, as the log of calls has it: in seconds since the epoch.
struct Moment(u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}.{:09}", self.0 / SECOND, self.0 % SECOND)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Chosen { what, chosen, among } => write!(f, "{} {chosen}/{among}", what.word()),
            Entry::Drawn { kind, bytes } => write!(f, "{} {}", kind.word(), Hex(bytes)),
            Entry::Stat { fd, result: Ok([mode, uid, gid, rdev]) } => {
                write!(f, "stat {fd} {mode:07o} {uid} {gid} {rdev:x}")
            }
            Entry::Ready { fd, bits, at } => write!(f, "ready {fd} {bits:#x} {}", Moment(*at)),
            Entry::Queued { fd, bytes: Ok(bytes), at } => write!(f, "queued {fd} {bytes} {}", Moment(*at)),
            Entry::Queued { fd, bytes: Err(errno), at } => write!(f, "queued {fd} {errno} {}", Moment(*at)),
            Entry::Read { fd, result: Ok(bytes) } => write!(f, "read {fd} {}", Quoted(bytes)),
            Entry::Short { fd, write, result: Ok(len) } => write!(f, "short {fd} {write} {len}"),
            Entry::Short { fd, write, result: Err(errno) } => write!(f, "short {fd} {write} {errno}"),
            Entry::Ioctl { fd, request, result: Ok((value, arg)) } => {
                write!(f, "ioctl {fd} {request:#x} {value} {}", Hex(arg))
            }
            Entry::Ioctl { fd, request, result: Err(errno) } => write!(f, "ioctl {fd} {request:#x} {errno}"),
            Entry::Stat { fd, result: Err(errno) } => write!(f, "stat {fd} {errno}"),
            Entry::Read { fd, result: Err(errno) } => write!(f, "read {fd} {errno}"),
            Entry::Signal { signal, at } => write!(f, "signal {signal} {}", Moment(*at)),
            Entry::End => f.write_str("end"),
        }
    }
}

impl Entry {
    /// What guests see of a stream's stat(2).
    #[must_use]
    pub fn stat(fd: i32, result: Result<FileStat, Errno>) -> Entry {
        Entry::Stat { fd, result: result.map(|it| [it.mode.into(), it.uid.into(), it.gid.into(), it.rdev]) }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Entry, Wrong> {
        let mut words = Words::new(line);
        let _: u64 = words.number("the number of the entry")?;
        let entry = Entry::parse_words(&mut words)?;
        words.end()?;
        Ok(entry)
    }

    fn parse_words(words: &mut Words<'_>) -> Result<Entry, Wrong> {
        let word = words.word("what the entry is")?;
        if let Some(what) = Choice::ALL.into_iter().find(|what| what.word() == word) {
            let chosen = words.number_until('/', "the number of what was chosen")?;
            let wrong = words.wrong("expected a number below that of the possibilities");
            words.literal("/")?;
            let among = words.number("how many possibilities there were")?;
            return if chosen < among { Ok(Entry::Chosen { what, chosen, among }) } else { Err(wrong) };
        }
        if let Some(kind) = Entropy::ALL.into_iter().find(|kind| kind.word() == word) {
            return Ok(Entry::Drawn { kind, bytes: words.hex()? });
        }
        let unknown = words.wrong(format!("there are no entries of the kind {word:?}"));
        let stream = |words: &mut Words<'_>| words.number("the number of a stream");
        Ok(match word {
            "stat" => Entry::Stat {
                fd: stream(words)?,
                result: or_errno(words, |words| {
                    let mode = words.digits(8, "a mode")?;
                    Ok([mode, words.number("a user")?, words.number("a group")?, words.digits(16, "a device")?])
                })?,
            },
            "ready" => Entry::Ready { fd: stream(words)?, bits: hex_number(words)?, at: moment(words)? },
            "queued" => Entry::Queued {
                fd: stream(words)?,
                bytes: or_errno(words, |words| words.number("how many bytes"))?,
                at: moment(words)?,
            },
            "read" => Entry::Read { fd: stream(words)?, result: or_errno(words, |words| words.quoted())? },
            "short" => Entry::Short {
                fd: stream(words)?,
                write: words.number("which write it was")?,
                result: or_errno(words, |words| words.number("how many bytes"))?,
            },
            "ioctl" => Entry::Ioctl {
                fd: stream(words)?,
                request: hex_number(words)?,
                result: or_errno(words, |words| Ok((words.number("a value")?, words.hex()?)))?,
            },
            "signal" => {
                let signal = words.number("the number of a signal")?;
                if !(1..=64).contains(&signal) {
                    return Err(words.wrong("signals have the numbers from 1 to 64"));
                }
                Entry::Signal { signal, at: moment(words)? }
            }
            "end" => Entry::End,
            _ => return Err(unknown),
        })
    }
}

/// The name of an error, or what `value` reads.
fn or_errno<T>(
    words: &mut Words<'_>,
    value: impl FnOnce(&mut Words<'_>) -> Result<T, Wrong>,
) -> Result<Result<T, Errno>, Wrong> {
    if !words.has("E") {
        return value(words).map(Ok);
    }
    let name = words.word("the name of an error")?;
    let wrong = words.wrong("there is no error of this name");
    let mut errnos = (1..4096).map(Errno::from_number);
    errnos.find(|errno| errno.name().is_some_and(|it| it.strip_prefix('E') == Some(name))).ok_or(wrong).map(Err)
}

fn hex_number(words: &mut Words<'_>) -> Result<u32, Wrong> {
    words.literal("0x")?;
    let value = words.digits(16, "a hexadecimal number")?;
    u32::try_from(value).map_err(|_| words.wrong("the number is too large"))
}

fn moment(words: &mut Words<'_>) -> Result<u64, Wrong> {
    words.literal("@")?;
    let seconds: u64 = words.number_until('.', "seconds")?;
    words.literal(".")?;
    let text = words.word("nine digits")?;
    let nanos = text.parse().ok().filter(|_| text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_digit()));
    let nanos: u64 = nanos.ok_or_else(|| words.wrong("expected nine digits"))?;
    let all = seconds.checked_mul(SECOND).and_then(|it| it.checked_add(nanos));
    all.ok_or_else(|| words.wrong("the moment is too late"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[track_caller]
    fn check(entry: &Entry, text: &str) {
        assert_eq!(entry.to_string(), text);
        assert_eq!(Entry::parse(&format!("12 {text}")).as_ref(), Ok(entry));
    }

    #[test]
    fn entries_are_what_was_written() {
        for what in Choice::ALL {
            check(&Entry::Chosen { what, chosen: 3, among: 5 }, &format!("{} 3/5", what.word()));
        }
        for kind in Entropy::ALL {
            check(&Entry::Drawn { kind, bytes: [0x9f, 0x3a].into() }, &format!("{} 9f3a", kind.word()));
        }
        check(&Entry::Drawn { kind: Entropy::Getrandom, bytes: Vec::new() }, "getrandom -");
        check(&Entry::Stat { fd: 0, result: Ok([0o10600, 1000, 100, 0x8801]) }, "stat 0 0010600 1000 100 8801");
        check(&Entry::Stat { fd: 0, result: Err(Errno::EBADF) }, "stat 0 EBADF");
        check(&Entry::Ready { fd: 0, bits: 0x11, at: 1_000_123_000 }, "ready 0 0x11 @1.000123000");
        check(&Entry::Queued { fd: 0, bytes: Ok(5), at: 7 }, "queued 0 5 @0.000000007");
        check(&Entry::Queued { fd: 0, bytes: Err(Errno::ENOTTY), at: 7 }, "queued 0 ENOTTY @0.000000007");
        let all: Vec<u8> = (0..=255).collect();
        let text = Entry::Read { fd: 0, result: Ok(all.clone()) }.to_string();
        check(&Entry::Read { fd: 0, result: Ok(all) }, &text);
        check(&Entry::Read { fd: 0, result: Ok(b"a \"b\"\n\\".into()) }, r#"read 0 "a \"b\"\n\\""#);
        check(&Entry::Read { fd: 0, result: Err(Errno::EAGAIN) }, "read 0 EAGAIN");
        check(&Entry::Short { fd: 1, write: 3, result: Ok(5) }, "short 1 3 5");
        check(&Entry::Short { fd: 1, write: 3, result: Err(Errno::EPIPE) }, "short 1 3 EPIPE");
        check(&Entry::Ioctl { fd: 1, request: 0x5401, result: Err(Errno::ENOTTY) }, "ioctl 1 0x5401 ENOTTY");
        check(&Entry::Ioctl { fd: 1, request: 0x5413, result: Ok((0, [5, 0].into())) }, "ioctl 1 0x5413 0 0500");
        check(&Entry::Signal { signal: 2, at: 123_000 }, "signal 2 @0.000123000");
        check(&Entry::End, "end");
    }

    #[track_caller]
    fn check_wrong(line: &str, column: usize, why: &str) {
        assert_eq!(Entry::parse(line), Err(Wrong { column, why: why.into() }), "{line}");
    }

    #[test]
    fn errors_name_the_column() {
        check_wrong("", 1, "expected the number of the entry");
        check_wrong("x place 1/2", 1, "expected the number of the entry, found \"x\"");
        check_wrong("1 fate 1/2", 3, "there are no entries of the kind \"fate\"");
        check_wrong("1 place 2/2", 9, "expected a number below that of the possibilities");
        check_wrong("1 place 2", 10, "expected \"/\"");
        check_wrong("1 place 1/2 3", 13, "expected the end of the line");
        check_wrong("1 getrandom 9f3", 13, "expected an even number of hexadecimal digits");
        check_wrong("1 read 0 \"abc", 14, "the text ends without a quote; the line is cut off");
        check_wrong("1 read 0 \"a\\q\"", 12, "there is no such escape; the text may have \\n \\t \\r \\\" \\\\ \\xNN");
        check_wrong("1 read 0 ENOPE", 11, "there is no error of this name");
        check_wrong("1 signal 65 @0.000000000", 10, "signals have the numbers from 1 to 64");
        check_wrong("1 signal 2 @0.5", 15, "expected nine digits");
        check_wrong("1 signal 2 @99999999999.000000000", 25, "the moment is too late");
    }

    #[test]
    fn garbage_is_an_error() {
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let lines =
            ["1 place 3/5", "2 read 0 \"a\\x00é\"", "3 signal 2 @1.000000000", "4 ioctl 1 0x5413 0 0500", "5 auxv 00"];
        let bits = ["\"", "\\", "@", "/", "-", "18446744073709551616", "é", " ", "0x", "E", "\\x"];
        for _ in 0..20_000 {
            let mut text: alloc::string::String = lines[random(lines.len())].into();
            for _ in 0..=random(3) {
                let mut at = random(text.len() + 1);
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                if random(2) == 0 { text.truncate(at) } else { text.insert_str(at, bits[random(bits.len())]) }
            }
            if let Ok(entry) = Entry::parse(&text) {
                assert_eq!(Entry::parse(&format!("1 {entry}")), Ok(entry), "{text}");
            }
        }
    }
}
