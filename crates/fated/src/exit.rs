//! Exit codes of the command, by the convention of env(1) and of shells: the guest's own pass through; those from 123 on
//! are fated's.

use std::process::ExitCode;

/// `--verify` found two runs that differ, or a run has left the journal that it obeyed.
pub const DIFFERENT: u8 = 123;
/// fated gave the run up: all tasks wait forever, or one spins.
pub const GIVEN_UP: u8 = 124;
/// fated itself failed, or a guest was killed from outside.
pub const FAILED: u8 = 125;

/// The exit code that a shell gives for a wait status (wait(2)): 128 + n for signal n.
#[must_use]
pub fn of_status(status: i32) -> u8 {
    match status & 0x7f {
        0 => (status >> 8) as u8,
        signal => 128 | signal as u8,
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

/// The code that fated exits with after an error.
#[must_use]
pub fn of_error(error: &anyhow::Error) -> ExitCode {
    let failure = error.chain().find_map(|it| it.downcast_ref::<Failure>()).map(|it| it.code);
    let engine = || error.chain().find_map(|it| it.downcast_ref::<fated_engine::Error>()).map(of_engine);
    ExitCode::from(failure.or_else(engine).unwrap_or(FAILED))
}

fn of_engine(error: &fated_engine::Error) -> u8 {
    match error {
        fated_engine::Error::Spins { .. } => GIVEN_UP,
        other => other.exit_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_as_a_shell_gives_them() {
        assert_eq!(of_status(0), 0);
        assert_eq!(of_status(7 << 8), 7);
        assert_eq!(of_status(9), 137);
        assert_eq!(of_status(11 | 0x80), 139);
        assert_eq!(describe(11 | 0x80), "killed by signal 11");
    }
}
