//! A terminal, as state: who has it and how it is set. It knows nothing of the files that are devices of it.
//!
//! Invariant: it controls one session at most, and has a foreground group only while it controls one. There is an exception: as long
//! as no guest can open the terminal that fated runs on, since none of its streams is one, the first process group is in the foreground of
//! it, so that the user's Ctrl-C reaches it.

use crate::id::{Pgid, Sid};
use core::cell::Cell;

/// A terminal.
#[derive(Debug, Default)]
pub struct Terminal {
    session: Cell<Option<Sid>>,
    foreground: Cell<Option<Pgid>>,
    /// The settings that the real terminal obeys, as they were read or set last.
    local_modes: Cell<u32>,
}

/// The size of the kernel's `struct termios`.
pub const TERMIOS: usize = 36;
/// Where its local modes (`c_lflag`) are.
const LOCAL_MODES: usize = 12;
/// Local mode: writes from the background stop (`TOSTOP`).
const TOSTOP: u32 = 0o400;

impl Terminal {
    /// The session that it controls.
    #[must_use]
    pub fn session(&self) -> Option<Sid> {
        self.session.get()
    }

    /// The foreground process group.
    #[must_use]
    pub fn foreground(&self) -> Option<Pgid> {
        self.foreground.get()
    }

    /// Whether it controls `session`.
    #[must_use]
    pub fn controls(&self, session: Option<Sid>) -> bool {
        session.is_some() && session == self.session.get()
    }

    /// Makes it the controlling terminal of a session, with a foreground group.
    pub(crate) fn give_to(&self, session: Option<Sid>, foreground: Option<Pgid>) {
        self.session.set(session);
        self.foreground.set(foreground);
    }

    /// Changes the foreground group.
    pub(super) fn set_foreground(&self, group: Pgid) {
        self.foreground.set(Some(group));
    }

    /// No session has it any more; returns the group that was in the foreground.
    pub(super) fn take_away(&self) -> Option<Pgid> {
        self.session.set(None);
        self.foreground.take()
    }

    /// Notes its settings: a `struct termios`, or one of its longer kin, which begin alike.
    pub(super) fn note_settings(&self, termios: &[u8]) {
        let mut modes = [0; 4];
        if let Some(bytes) = termios.get(LOCAL_MODES..LOCAL_MODES + 4) {
            modes.copy_from_slice(bytes);
            self.local_modes.set(u32::from_le_bytes(modes));
        }
    }

    /// Whether background groups are stopped when they write to it.
    #[must_use]
    pub fn stops_background_output(&self) -> bool {
        self.local_modes.get() & TOSTOP != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_modes_say_what_becomes_of_background_output() {
        let terminal = Terminal::default();
        let mut termios = [0xff; TERMIOS];
        terminal.note_settings(&termios[..8]);
        assert!(!terminal.stops_background_output(), "no whole settings");
        terminal.note_settings(&termios);
        assert!(terminal.stops_background_output());
        termios[13] = !1;
        terminal.note_settings(&termios);
        assert!(!terminal.stops_background_output());
    }

    #[test]
    fn a_terminal_controls_no_session_that_is_none() {
        let terminal = Terminal::default();
        assert!(!terminal.controls(None));
        terminal.give_to(Sid::new(7), Pgid::new(8));
        assert!(terminal.controls(Sid::new(7)));
        assert_eq!(terminal.take_away(), Pgid::new(8));
        assert!(!terminal.controls(Sid::new(7)));
    }
}
