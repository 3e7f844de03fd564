//! What can go wrong with a run on the engine's side.

use fated_kernel::errno::Errno;

/// Why a run could not be started, or had to be given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A shell ends with 127 here.
    #[error("failed to run {program}: no such program; name one that exists, or set PATH with --env")]
    NotFound {
        /// The program as it was asked for.
        program: String,
    },
    /// A shell ends with 126 here.
    #[error(
        "failed to run {program}: {errno}; it must be a program for x86-64, or a script, that may be read and executed"
    )]
    NotExecutable {
        /// The program as it was asked for.
        program: String,
        /// What Linux would say.
        errno: Errno,
    },
    /// A step of the start failed.
    #[error("failed to {step}: {errno}; --engine ptrace may work here")]
    Start {
        /// What the step was to do.
        step: String,
        /// Linux's answer.
        errno: Errno,
    },
}

impl Error {
    /// The exit status that a shell would give.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NotFound { .. } => 127,
            Error::NotExecutable { .. } => 126,
            Error::Start { .. } => 125,
        }
    }
}
