//! The first line of a script (Linux: `fs/binfmt_script.c`).

/// How much of a file says what kind of program it is (`BINPRM_BUF_SIZE`).
pub const HEAD: usize = 256;

/// What the first line of a script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The path of the interpreter. It may be empty.
    pub interpreter: &'a [u8],
    /// All that follows it: one argument, whatever blanks are in it.
    pub argument: Option<&'a [u8]>,
}

/// Whether a file that begins so is a script.
#[must_use]
pub fn is_script(head: &[u8; HEAD]) -> bool {
    head.starts_with(b"#!")
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A string of C: up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

/// Parses the first line of a script, of which `head` is the beginning, with zeros behind its end. `None`: it names no interpreter, or the
/// name may be cut off.
#[must_use]
pub fn parse(head: &[u8; HEAD]) -> Option<Line<'_>> {
    const LAST: usize = HEAD - 1;
    let (_, line) = head.split_at(2);
    let line = match line.iter().position(|&byte| byte == b'\n') {
        Some(end) => &line[..end],
        None => {
            let begin = line.iter().position(|&byte| !is_blank(byte))?;
            // The path is complete only if something ends it.
            if !line[begin..].iter().any(|&byte| is_blank(byte) || byte == 0) {
                return None;
            }
            &line[..LAST - 2]
        }
    };
    let end = line.iter().rposition(|&byte| !is_blank(byte))? + 1;
    let line = &line[..end];
    let line = &line[line.iter().position(|&byte| !is_blank(byte))?..];
    let end = line.iter().position(|&byte| is_blank(byte) || byte == 0).unwrap_or(line.len());
    let (interpreter, rest) = line.split_at(end);
    let argument = match rest.first() {
        None | Some(0) => None,
        Some(_) => rest.iter().position(|&byte| !is_blank(byte)).map(|at| text(&rest[at..])),
    };
    Some(Line { interpreter, argument })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    #[track_caller]
    fn check(file: &[u8], expected: Option<(&[u8], Option<&[u8]>)>) {
        let mut head = [0; HEAD];
        let len = file.len().min(HEAD);
        head[..len].copy_from_slice(&file[..len]);
        assert!(is_script(&head));
        assert_eq!(parse(&head), expected.map(|(interpreter, argument)| Line { interpreter, argument }));
    }

    #[test]
    fn the_rest_of_a_line_is_one_argument() {
        check(b"#!/bin/sh\necho", Some((b"/bin/sh", None)));
        check(b"#! \t/bin/sh  -e  -x \t\n", Some((b"/bin/sh", Some(b"-e  -x"))));
        check(b"#!/bin/sh -e\r\n", Some((b"/bin/sh", Some(b"-e\r"))));
        check(b"#!/bin/sh\r\n", Some((b"/bin/sh\r", None)));
        check(b"#!/bin/sh \n", Some((b"/bin/sh", None)));
        check(b"#!/bin/sh", Some((b"/bin/sh", None)));
        check(b"#!/bin/sh -x ", Some((b"/bin/sh", Some(b"-x "))));
    }

    #[test]
    fn a_nul_ends_what_it_stands_in() {
        check(b"#!/bin/sh\0 -x\n", Some((b"/bin/sh", None)));
        check(b"#!/bin/sh -x\0y\n", Some((b"/bin/sh", Some(b"-x"))));
        check(b"#!/bin/sh \0\n", Some((b"/bin/sh", Some(b""))));
    }

    #[test]
    fn a_line_without_an_interpreter_is_none() {
        check(b"#!\n/bin/sh", None);
        check(b"#! \t \n", None);
        check(b"#!", Some((b"", None)));
        check(b"#! \0\n", Some((b"", None)));
        check(&[b"#!".as_slice(), &[b' '; HEAD]].concat(), None);
    }

    #[test]
    fn a_long_line_is_cut_but_not_within_the_path() {
        let line = |path: usize, rest: &[u8]| -> Vec<u8> { [b"#!", vec![b'p'; path].as_slice(), rest].concat() };
        check(&line(300, b"\n"), None);
        check(&line(254, b""), None);
        check(&line(253, b""), Some((&[b'p'; 253], None)));
        check(&line(253, b"\n"), Some((&[b'p'; 253], None)));
        check(&line(250, b" abcdef\n"), Some((&[b'p'; 250], Some(b"ab"))));
    }
}
