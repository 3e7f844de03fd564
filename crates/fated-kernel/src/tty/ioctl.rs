//! ioctl_tty(2) on the devices of a terminal.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::id::{Pgid, Sid};
use crate::ports::Console;
use crate::signal::nr;
use crate::tty::terminal::{TERMIOS, Terminal};
use linux_raw_sys::ioctl as c;

/// The size of the kernel's `struct termios2`.
const TERMIOS2: usize = 44;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// A device of a terminal whose line is one of the standard streams.
pub(super) struct TerminalDevice<'a> {
    pub terminal: &'a Terminal,
    pub console: &'a dyn Console,
    /// The number of the stream.
    pub number: i32,
}

impl TerminalDevice<'_> {
    /// Carries out a request.
    pub(super) fn ioctl(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        match request {
            c::TCGETS => self.pass::<TERMIOS>(cx, request, arg, Way::Out),
            c::TCGETS2 => self.pass::<TERMIOS2>(cx, request, arg, Way::Out),
            c::TIOCGWINSZ => self.pass::<8>(cx, request, arg, Way::Out),
            c::TIOCOUTQ | c::TIOCGETD => self.pass::<4>(cx, request, arg, Way::Out),
            c::TCSETS | c::TCSETSW | c::TCSETSF => self.set::<TERMIOS>(cx, request, arg),
            c::TCSETS2 | c::TCSETSW2 | c::TCSETSF2 => self.set::<TERMIOS2>(cx, request, arg),
            c::TIOCSWINSZ => self.pass::<8>(cx, request, arg, Way::In),
            // A write returns when its output is out, and flow control is the real terminal's.
            c::TCSBRK | c::TCSBRKP | c::TCXONC | c::TCFLSH => {
                self.terminal.check_background(cx, nr::TTOU)?;
                Ok(0)
            }
            c::TIOCGPGRP | c::TIOCSPGRP | c::TIOCGSID | c::TIOCSCTTY | c::TIOCNOTTY => self.control(cx, request, arg),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// Passes a request with an argument of `N` bytes on to the real terminal.
    fn pass<const N: usize>(&self, cx: &Cx, request: u32, arg: u64, way: Way) -> Result<u64, Errno> {
        let mut bytes = match way {
            Way::In => cx.read_array::<N>(arg)?,
            Way::Out => [0; N],
        };
        let value = self.console.ioctl(self.number, request, &mut bytes)?;
        if way == Way::Out {
            cx.write(arg, &bytes)?;
        }
        Ok(value as u64)
    }

    /// Changes the settings.
    fn set<const N: usize>(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        self.terminal.check_background(cx, nr::TTOU)?;
        let mut bytes = cx.read_array::<N>(arg)?;
        let value = self.console.ioctl(self.number, request, &mut bytes)?;
        self.terminal.note_settings(&bytes);
        Ok(value as u64)
    }

    /// Requests on the controlling session and the foreground group, which are this kernel's. The real terminal controls fated.
    fn control(&self, cx: &Cx, request: u32, arg: u64) -> Result<u64, Errno> {
        let terminal = self.terminal;
        match request {
            c::TIOCSPGRP => {
                // In an orphaned group, all other requests fail with EIO.
                let orphaned = |error| if error == Errno::EIO { Errno::ENOTTY } else { error };
                terminal.check_background(cx, nr::TTOU).map_err(orphaned)?;
                if !terminal.is_of(cx) {
                    return Err(Errno::ENOTTY);
                }
                let group = cx.read_u32(arg)?;
                if (group as i32) < 0 {
                    return Err(Errno::EINVAL);
                }
                terminal.put_in_foreground(cx, Pgid::new(group).ok_or(Errno::ESRCH)?)?;
            }
            c::TIOCSCTTY => terminal.acquire(cx)?,
            _ if !terminal.is_of(cx) => return Err(Errno::ENOTTY),
            c::TIOCGPGRP => cx.write_u32(arg, terminal.foreground().map_or(0, Pgid::get))?,
            c::TIOCGSID => cx.write_u32(arg, terminal.session().map_or(0, Sid::get))?,
            _ => terminal.give_up(cx),
        }
        Ok(0)
    }
}
