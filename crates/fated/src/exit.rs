//! How the command ends, by the convention of env(1) and of shells: as the guest did. Exit codes from 121 on are fated's.

use std::io::Write as _;
use std::process::ExitCode;

use fated_engine::signals;

/// The run has taken longer than `--timeout`.
pub const TIMED_OUT: u8 = 121;
/// The run has come to the end of `--max-virtual-time`.
pub const OVERRAN: u8 = 122;
/// `--verify` found two runs that differ, or a run has left the journal that it obeyed.
pub const DIFFERENT: u8 = 123;
/// fated gave the run up: all tasks wait forever, or one spins.
pub const GIVEN_UP: u8 = 124;
/// fated itself failed, or a guest was killed from outside.
pub const FAILED: u8 = 125;

/// How fated ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Code(u8),
    /// By a signal: a shell ends a loop only if what it runs has died of the user's Ctrl-C.
    Signal(i32),
}

impl End {
    /// Nothing went wrong.
    pub const SUCCESS: End = End::Code(0);

    /// As a guest with this wait status (wait(2)).
    #[must_use]
    pub fn of_status(status: i32) -> End {
        match status & 0x7f {
            0 => End::Code((status >> 8) as u8),
            signal => End::Signal(signal),
        }
    }

    /// Ends fated by the signal, or returns the exit code.
    #[must_use]
    pub fn reach(self) -> ExitCode {
        match self {
            End::Code(code) => ExitCode::from(code),
            End::Signal(signal) => {
                // What can't be written by now is lost.
                let _ = std::io::stdout().flush();
                signals::die_of(signal);
                ExitCode::from(128 | signal as u8)
            }
        }
    }
}

/// A wait status in words.
#[must_use]
pub fn describe(status: i32) -> String {
    match status & 0x7f {
        0 => format!("exit status {}", (status >> 8) & 0xff),
        signal => format!("killed by signal {signal}"),
    }
}

/// An error with its own exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    message: String,
}

impl Failure {
    /// A failure with which fated exits with `code`.
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// How fated ends after an error.
#[must_use]
pub fn of_error(error: &anyhow::Error) -> End {
    let failure = error.chain().find_map(|it| it.downcast_ref::<Failure>()).map(|it| End::Code(it.code));
    let engine = || error.chain().find_map(|it| it.downcast_ref::<fated_engine::Error>()).map(of_engine);
    failure.or_else(engine).unwrap_or(End::Code(FAILED))
}

fn of_engine(error: &fated_engine::Error) -> End {
    match error {
        fated_engine::Error::Spins { .. } => End::Code(GIVEN_UP),
        fated_engine::Error::TimedOut { .. } => End::Code(TIMED_OUT),
        fated_engine::Error::Overran { .. } => End::Code(OVERRAN),
        fated_engine::Error::Interrupted { signal } => End::Signal(*signal),
        other => End::Code(other.exit_code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_those_of_the_guest() {
        assert_eq!(End::of_status(0), End::SUCCESS);
        assert_eq!(End::of_status(7 << 8), End::Code(7));
        assert_eq!(End::of_status(9), End::Signal(9));
        assert_eq!(End::of_status(11 | 0x80), End::Signal(11));
        assert_eq!(describe(11 | 0x80), "killed by signal 11");
    }
}
