//! What the standard streams look like to guests: whether they are pipes, a terminal or `/dev/null` may not depend on how fated was
//! started.
//!
//! Invariant: but for [`Stdio::Inherit`], no answer tells what kind of file the real stream is. Output goes to the real stream, whatever
//! it looks like.

use crate::sys;
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::fs::poll;
use fated_kernel::ports::{Console, FifoRequest};
use std::cell::RefCell;
use std::rc::Rc;

/// What the standard streams look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdio {
    /// What they are.
    Inherit,
    /// Pipes.
    #[default]
    Pipe,
    /// A terminal, set as a new one is.
    Tty,
    /// `/dev/null`: there is no input.
    Null,
}

/// Streams of which the standard ones look like something.
#[derive(Debug)]
pub struct Shown {
    streams: Rc<dyn Console>,
    stdio: Stdio,
    terminal: RefCell<Terminal>,
}

/// The settings of the terminal.
#[derive(Debug)]
struct Terminal {
    /// `struct termios2`.
    termios: [u8; 44],
    /// `struct winsize`.
    size: [u8; 8],
}

impl Default for Terminal {
    /// As Linux makes it (`tty_std_termios`), and of the usual size.
    fn default() -> Terminal {
        const FLAGS: [u32; 4] = [0x500, 0x5, 0xbf, 0x8a3b];
        const CHARACTERS: [u8; 19] = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];
        const SPEED: u32 = 38_400;
        let mut termios = [0; 44];
        termios[..16].copy_from_slice(FLAGS.map(u32::to_le_bytes).as_flattened());
        termios[17..36].copy_from_slice(&CHARACTERS);
        termios[36..].copy_from_slice([SPEED; 2].map(u32::to_le_bytes).as_flattened());
        Terminal { termios, size: [24, 0, 80, 0, 0, 0, 0, 0] }
    }
}

impl Shown {
    /// `streams`, looking like `stdio`.
    #[must_use]
    pub fn new(streams: Rc<dyn Console>, stdio: Stdio) -> Shown {
        Shown { streams, stdio, terminal: RefCell::default() }
    }

    /// What a stream looks like. Those from 3 on are what they are.
    fn look(&self, fd: i32) -> Stdio {
        if fd > 2 { Stdio::Inherit } else { self.stdio }
    }

    /// The stream that input comes from: a terminal's devices all read what is typed.
    fn input(&self, fd: i32) -> i32 {
        if self.look(fd) == Stdio::Tty { 0 } else { fd }
    }

    fn terminal_ioctl(&self, request: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        let mut terminal = self.terminal.borrow_mut();
        let Terminal { termios, size } = &mut *terminal;
        let give = |arg: &mut [u8], from: &[u8]| {
            let len = arg.len().min(from.len());
            arg[..len].copy_from_slice(&from[..len]);
        };
        match libc::Ioctl::from(request) {
            libc::TCGETS | libc::TCGETS2 => give(arg, termios),
            libc::TIOCGWINSZ => give(arg, size),
            libc::TIOCOUTQ | libc::TIOCGETD => arg.fill(0),
            libc::TIOCSWINSZ => give(size, arg),
            libc::TCSETS | libc::TCSETSW | libc::TCSETSF | libc::TCSETS2 | libc::TCSETSW2 | libc::TCSETSF2 => {
                give(termios, arg);
                // Where somebody types at a real terminal, it obeys. What else the stream is doesn't show.
                let _ = self.streams.ioctl(0, request, &mut arg.to_vec());
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

impl Console for Shown {
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        if self.look(fd) == Stdio::Null { Ok(0) } else { self.streams.read(self.input(fd), buf) }
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno> {
        self.streams.write(fd, data)
    }

    fn poll(&self, fd: i32, want: u64) -> u32 {
        if self.look(fd) == Stdio::Null { poll::IN } else { self.streams.poll(self.input(fd), want) }
    }

    fn stat(&self, fd: i32) -> Result<FileStat, Errno> {
        let (mode, rdev) = match self.look(fd) {
            Stdio::Inherit => return self.streams.stat(fd),
            Stdio::Pipe => (libc::S_IFIFO | 0o600, 0),
            Stdio::Tty => (libc::S_IFCHR | 0o620, libc::makedev(136, 0)),
            Stdio::Null => (libc::S_IFCHR | 0o666, libc::makedev(1, 3)),
        };
        let (uid, gid) = sys::user();
        Ok(FileStat { mode, rdev, uid, gid, nlink: 1, blksize: 4096, ..FileStat::default() })
    }

    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno> {
        match self.look(fd) {
            Stdio::Inherit => self.streams.ioctl(fd, request, arg),
            Stdio::Null => Err(Errno::ENOTTY),
            _ if libc::Ioctl::from(request) == libc::FIONREAD => self.streams.ioctl(self.input(fd), request, arg),
            Stdio::Tty => self.terminal_ioctl(request, arg),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn fifo(&self, number: i32, request: &FifoRequest<'_>) -> bool {
        self.streams.fifo(number, request)
    }
}
