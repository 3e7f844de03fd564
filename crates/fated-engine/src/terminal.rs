//! The settings of the user's terminal, such as echo and line mode, which a killed guest can't restore itself.

/// The saved settings of the terminal behind standard input.
pub struct Terminal {
    saved: Option<libc::termios>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("is_terminal", &self.saved.is_some()).finish()
    }
}

impl Terminal {
    /// Saves the settings, if standard input is a terminal.
    #[must_use]
    pub fn save() -> Terminal {
        // SAFETY: all bytes zero are a valid `termios`.
        let mut attributes: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: `attributes` is what the call fills.
        let done = unsafe { libc::tcgetattr(0, &raw mut attributes) } == 0;
        Terminal { saved: done.then_some(attributes) }
    }

    /// Restores the settings, unless another process group has the terminal now.
    pub fn restore(&self) {
        let Some(attributes) = &self.saved else { return };
        // SAFETY: both take and give numbers. In the background, setting the terminal would stop fated.
        let ours = unsafe { libc::tcgetpgrp(0) == libc::getpgrp() };
        if ours {
            // It fails if the terminal is gone, and then there is nothing to restore.
            // SAFETY: `attributes` are those of a terminal.
            let _ = unsafe { libc::tcsetattr(0, libc::TCSADRAIN, &raw const *attributes) };
        }
    }
}
