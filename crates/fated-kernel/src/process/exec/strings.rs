//! The arguments and the environment of a new program, with the limits of Linux (`bprm_stack_limits` and `copy_strings` in `fs/exec.c`).

use crate::errno::Errno;
use crate::ports::Memory;
use alloc::vec::Vec;

/// The longest single string, its NUL included (`MAX_ARG_STRLEN`).
const LONGEST: usize = 128 << 10;
/// What is always allowed, whatever the limit on the stack is (`ARG_MAX`).
const LEAST: u64 = 128 << 10;
/// What is never exceeded: three quarters of the default stack.
const MOST: u64 = 6 << 20;
const POINTER: u64 = 8;
const PAGE: usize = 4096;

/// Arguments and environment.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    /// The arguments.
    pub argv: Vec<Vec<u8>>,
    /// The environment.
    pub env: Vec<Vec<u8>>,
    /// How many more bytes there is room for.
    room: u64,
}

impl Strings {
    /// Those of the first program, which no guest has passed.
    #[must_use]
    pub fn given(argv: Vec<Vec<u8>>, env: Vec<Vec<u8>>) -> Strings {
        Strings { argv, env, room: MOST }
    }

    /// Copies them from the memory of a guest. `name` is the name of the program, which takes room too.
    pub fn read(memory: &dyn Memory, argv: u64, envp: u64, stack_limit: u64, name: &[u8]) -> Result<Strings, Errno> {
        let mut window = Window { memory, page: [0; PAGE], base: 0, len: 0 };
        let argv = window.pointers(argv)?;
        let env = window.pointers(envp)?;
        let pointers = (argv.len().max(1) + env.len()) as u64 * POINTER;
        let room = (stack_limit / 4).clamp(LEAST, MOST).checked_sub(pointers).filter(|&room| room > 0);
        let mut strings = Strings { argv: Vec::new(), env: Vec::new(), room: room.ok_or(Errno::E2BIG)? };
        strings.take(name.len())?;
        strings.env = strings.copy(&mut window, &env)?;
        strings.argv = strings.copy(&mut window, &argv)?;
        Ok(strings)
    }

    fn copy(&mut self, window: &mut Window<'_>, pointers: &[u64]) -> Result<Vec<Vec<u8>>, Errno> {
        let mut copies = Vec::with_capacity(pointers.len());
        for &pointer in pointers {
            let text = window.string(pointer)?;
            self.take(text.len())?;
            copies.push(text);
        }
        Ok(copies)
    }

    /// Takes the room of a string and its NUL.
    fn take(&mut self, len: usize) -> Result<(), Errno> {
        self.room = self.room.checked_sub(len as u64 + 1).ok_or(Errno::E2BIG)?;
        Ok(())
    }

    /// Puts an interpreter before the script `name`, which takes the place of the first argument.
    pub(crate) fn interpret(&mut self, name: &[u8], interpreter: &[u8], argument: Option<&[u8]>) -> Result<(), Errno> {
        if let Some(first) = self.argv.first() {
            self.room += first.len() as u64 + 1;
        }
        let new: Vec<&[u8]> = [Some(interpreter), argument, Some(name)].into_iter().flatten().collect();
        new.iter().try_for_each(|text| self.take(text.len()))?;
        let replaced = self.argv.len().min(1);
        self.argv.splice(..replaced, new.into_iter().map(<[u8]>::to_vec));
        Ok(())
    }

    /// A program always has a first argument (since Linux 5.18).
    pub(crate) fn complete(&mut self) {
        if self.argv.is_empty() {
            self.argv.push(Vec::new());
        }
    }
}

/// Guest memory, read a page at a time: vectors and strings stand side by side.
struct Window<'a> {
    memory: &'a dyn Memory,
    page: [u8; PAGE],
    base: u64,
    len: usize,
}

impl Window<'_> {
    /// The readable bytes from `addr` to the end of its page; none if it is a bad address.
    fn at(&mut self, addr: u64) -> &[u8] {
        let offset = addr as usize % PAGE;
        let base = addr - offset as u64;
        if self.len == 0 || base != self.base {
            self.base = base;
            self.len = self.memory.read(base, &mut self.page);
        }
        self.page.get(offset..self.len).unwrap_or_default()
    }

    /// The pointers of a vector that ends with a null pointer. A vector that isn't there is empty.
    fn pointers(&mut self, mut addr: u64) -> Result<Vec<u64>, Errno> {
        let mut pointers = Vec::new();
        if addr == 0 {
            return Ok(pointers);
        }
        loop {
            let mut word = [0; POINTER as usize];
            self.fill(addr, &mut word)?;
            match u64::from_le_bytes(word) {
                0 => return Ok(pointers),
                pointer => pointers.push(pointer),
            }
            if pointers.len() as u64 * POINTER > MOST {
                return Err(Errno::E2BIG);
            }
            addr = addr.wrapping_add(POINTER);
        }
    }

    fn fill(&mut self, addr: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < buf.len() {
            let there = self.at(addr.wrapping_add(done as u64));
            let len = there.len().min(buf.len() - done);
            if len == 0 {
                return Err(Errno::EFAULT);
            }
            buf[done..done + len].copy_from_slice(&there[..len]);
            done += len;
        }
        Ok(())
    }

    fn string(&mut self, addr: u64) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        loop {
            let there = self.at(addr.wrapping_add(text.len() as u64));
            if there.is_empty() {
                return Err(Errno::EFAULT);
            }
            let end = crate::cx::end_of_text(there);
            text.extend_from_slice(&there[..end.unwrap_or(there.len())]);
            if text.len() >= LONGEST {
                return Err(Errno::E2BIG);
            }
            if end.is_some() {
                return Ok(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// Memory from this address on.
    #[derive(Debug)]
    struct Bytes(Vec<u8>);
    const BASE: u64 = 0x1_0000;

    impl Memory for Bytes {
        fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
            let from = addr.checked_sub(BASE).and_then(|at| self.0.get(at as usize..)).unwrap_or_default();
            let len = from.len().min(buf.len());
            buf[..len].copy_from_slice(&from[..len]);
            len
        }
        fn write(&self, _: u64, _: &[u8]) -> usize {
            0
        }
    }

    /// A vector of `pointers` at the base, and `text` behind it.
    fn memory(pointers: &[u64], text: &[u8]) -> Bytes {
        let vector: Vec<u8> = pointers.iter().chain([&0]).flat_map(|word| word.to_le_bytes()).collect();
        Bytes([&vector, text].concat())
    }

    #[test]
    fn vectors_and_strings_are_copied() {
        let memory = memory(&[BASE + 24, BASE + 26], b"a\0bc\0");
        let strings = Strings::read(&memory, BASE, BASE + 16, 8 << 20, b"name").unwrap();
        assert_eq!(strings.argv, [b"a".to_vec(), b"bc".to_vec()]);
        assert!(strings.env.is_empty());
        assert_eq!(strings.room, (2 << 20) - 16 - 5 - 2 - 3);
        assert!(Strings::read(&memory, 0, 0, 8 << 20, b"").unwrap().argv.is_empty());
        assert_eq!(Strings::read(&memory, 8, 0, 8 << 20, b"").unwrap_err(), Errno::EFAULT);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let read = |len: usize, count: usize, stack: u64| {
            let pointers = vec![BASE + 8 * (count as u64 + 1); count];
            let memory = memory(&pointers, &[vec![b'x'; len], vec![0]].concat());
            Strings::read(&memory, BASE, 0, stack, b"n").map(drop)
        };
        assert_eq!(read(LONGEST - 1, 1, 8 << 20), Ok(()));
        assert_eq!(read(LONGEST, 1, 8 << 20), Err(Errno::E2BIG));
        assert_eq!(read(100_000, 20, 8 << 20), Ok(()));
        assert_eq!(read(100_000, 21, 8 << 20), Err(Errno::E2BIG));
        assert_eq!(read(100_000, 1, 0), Ok(()), "some is always allowed");
        assert_eq!(read(100_000, 62, u64::MAX), Ok(()));
        assert_eq!(read(100_000, 63, u64::MAX), Err(Errno::E2BIG), "and more than 6 MiB never");
    }

    #[test]
    fn a_script_takes_the_place_of_the_first_argument() {
        let mut strings = Strings::given(vec![b"arg0".to_vec(), b"1".to_vec()], Vec::new());
        strings.interpret(b"./script", b"/bin/sh", Some(b"-e")).unwrap();
        assert_eq!(strings.argv, [&b"/bin/sh"[..], b"-e", b"./script", b"1"]);
        let mut none = Strings::given(Vec::new(), Vec::new());
        none.complete();
        none.interpret(b"s", b"i", None).unwrap();
        assert_eq!(none.argv, [b"i", b"s"]);
    }
}
