//! The result of a wait: the event, its status word, its siginfo.

use crate::id::{Signal, Tid};
use crate::usage::Usage;

/// The child exited.
pub const CLD_EXITED: i32 = 1;
/// The child was killed.
pub const CLD_KILLED: i32 = 2;
/// The child was killed and dumped core.
pub const CLD_DUMPED: i32 = 3;
/// The tracee trapped.
pub const CLD_TRAPPED: i32 = 4;
/// The child stopped.
pub const CLD_STOPPED: i32 = 5;
/// The child continued.
pub const CLD_CONTINUED: i32 = 6;

/// How a thread ends: the kernel's exit code, which is also the status word of its death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExitCode(u32);

impl ExitCode {
    /// exit or exit_group; the low 8 bits count.
    #[must_use]
    pub const fn exited(code: i32) -> Self {
        Self((code as u32 & 0xff) << 8)
    }

    /// Killed by a signal.
    #[must_use]
    pub const fn killed(signal: Signal, dumped: bool) -> Self {
        Self(signal.get() | if dumped { 0x80 } else { 0 })
    }

    /// The status word.
    #[must_use]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// `si_code` and `si_status`.
    #[must_use]
    pub const fn cause(self) -> (i32, i32) {
        if self.0 & 0x7f == 0 {
            (CLD_EXITED, (self.0 >> 8) as i32)
        } else if self.0 & 0x80 == 0 {
            (CLD_KILLED, (self.0 & 0x7f) as i32)
        } else {
            (CLD_DUMPED, (self.0 & 0x7f) as i32)
        }
    }
}

/// What happened to a child or tracee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It died.
    Exited(ExitCode),
    /// A tracee is in a trace stop or in a group stop; `signal | event << 8`, with bit 7 for a syscall stop.
    Trapped(u32),
    /// Its process stopped.
    Stopped(Signal),
    /// Its process continued.
    Continued,
}

impl Event {
    /// The status word that wait4 stores.
    #[must_use]
    pub const fn status(self) -> u32 {
        match self {
            Self::Exited(code) => code.word(),
            Self::Trapped(code) => code << 8 | 0x7f,
            Self::Stopped(signal) => signal.get() << 8 | 0x7f,
            Self::Continued => 0xffff,
        }
    }

    /// `si_code` and `si_status`.
    #[must_use]
    pub const fn cause(self) -> (i32, i32) {
        match self {
            Self::Exited(code) => code.cause(),
            Self::Trapped(code) => (CLD_TRAPPED, code as i32),
            Self::Stopped(signal) => (CLD_STOPPED, signal.get() as i32),
            Self::Continued => (CLD_CONTINUED, Signal::SIGCONT.get() as i32),
        }
    }
}

/// One answer of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The child or tracee; a thread other than a leader only if it is a tracee.
    pub tid: Tid,
    /// Its real user id.
    pub uid: u32,
    /// What happened.
    pub event: Event,
    /// Its usage and that of its reaped children.
    pub usage: Usage,
}

impl Report {
    /// The status word that wait4 stores.
    #[must_use]
    pub const fn status(&self) -> u32 {
        self.event.status()
    }

    /// What waitid stores.
    #[must_use]
    pub fn siginfo(&self) -> SigInfo {
        let (code, status) = self.event.cause();
        SigInfo { signo: Signal::SIGCHLD.get(), code, pid: self.tid.get(), uid: self.uid, status, utime: 0, stime: 0 }
    }
}

/// The siginfo of a child's change of state, or of another signal that results from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigInfo {
    /// The signal; 0 for waitid's "nothing yet".
    pub signo: u32,
    /// `CLD_*`, `SI_USER` (0) or `SI_KERNEL` (0x80).
    pub code: i32,
    /// The child, or the sender of the signal; 0 for the kernel.
    pub pid: u32,
    /// Its real user id.
    pub uid: u32,
    /// Exit code or signal.
    pub status: i32,
    /// User time, clock ticks.
    pub utime: i64,
    /// System time, clock ticks.
    pub stime: i64,
}

impl SigInfo {
    /// `siginfo_t` as x86-64 lays it out, for a signal frame or signalfd's source.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 128] {
        let mut bytes = [0; 128];
        self.store(&mut bytes);
        bytes[32..40].copy_from_slice(&self.utime.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.stime.to_le_bytes());
        bytes
    }

    /// Stores what waitid stores into the caller's `siginfo_t`: bytes 0 to 11 and 16 to 27, nothing else.
    pub fn store(&self, bytes: &mut [u8; 128]) {
        bytes[0..4].copy_from_slice(&self.signo.to_le_bytes());
        bytes[4..8].copy_from_slice(&[0; 4]);
        bytes[8..12].copy_from_slice(&self.code.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.pid.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.uid.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.status.to_le_bytes());
    }
}

/// The three answers of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// This event. It is consumed (unless WNOWAIT), even if writing to the caller's memory then fails.
    Found(Report),
    /// There is a child to wait for, but nothing to report yet.
    WouldBlock,
    /// There is no child to wait for: ECHILD.
    NoChild,
}
