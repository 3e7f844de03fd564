//! The user's terminal, which a guest that was ended could leave in a state of its own: without echo, without lines.

/// How the terminal behind standard input was set.
pub struct Terminal {
    saved: Option<libc::termios>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("is_terminal", &self.saved.is_some()).finish()
    }
}

impl Terminal {
    /// Remembers how it is set, if there is one.
    #[must_use]
    pub fn save() -> Terminal {
        // SAFETY: all bytes zero are a valid `termios`.
        let mut attributes: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: `attributes` is what the call fills.
        let done = unsafe { libc::tcgetattr(0, &raw mut attributes) } == 0;
        Terminal { saved: done.then_some(attributes) }
    }

    /// Sets it so again, unless somebody else has it now.
    pub fn restore(&self) {
        let Some(attributes) = &self.saved else { return };
        // SAFETY: both take and give numbers. In the background, setting the terminal would stop fated.
        let ours = unsafe { libc::tcgetpgrp(0) == libc::getpgrp() };
        if ours {
            // A terminal that has gone has no settings.
            // SAFETY: `attributes` are those of a terminal.
            let _ = unsafe { libc::tcsetattr(0, libc::TCSADRAIN, &raw const *attributes) };
        }
    }
}
