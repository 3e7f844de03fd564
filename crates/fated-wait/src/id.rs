//! Types of identifiers: threads, processes, groups, sessions, signals, errors.

use core::fmt;
use core::num::NonZeroU32;

/// The largest number a task can have (Linux's `PID_MAX_LIMIT` on 64 bit).
pub const PID_MAX: u32 = 4_194_304;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// `None` unless `1 <= id <= PID_MAX`.
            #[must_use]
            pub const fn new(id: u32) -> Option<Self> {
                match NonZeroU32::new(id) {
                    Some(n) if id <= PID_MAX => Some(Self(n)),
                    _ => None,
                }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0.get()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id!(
    /// A thread.
    Tid
);
id!(
    /// A process: the thread id of its thread-group leader.
    Pid
);
id!(
    /// A process group.
    Pgid
);
id!(
    /// A session.
    Sid
);

impl From<Pid> for Tid {
    fn from(pid: Pid) -> Self {
        Self(pid.0)
    }
}

impl From<Pid> for Pgid {
    fn from(pid: Pid) -> Self {
        Self(pid.0)
    }
}

impl From<Pid> for Sid {
    fn from(pid: Pid) -> Self {
        Self(pid.0)
    }
}

impl From<Tid> for Pid {
    /// The process that has this thread as its leader, if it leads one.
    fn from(tid: Tid) -> Self {
        Self(tid.0)
    }
}

/// A signal number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

impl Signal {
    /// Hang-up, sent to newly orphaned process groups.
    pub const SIGHUP: Self = Self(1);
    /// Trace trap, the signal part of most trace stops.
    pub const SIGTRAP: Self = Self(5);
    /// Kill.
    pub const SIGKILL: Self = Self(9);
    /// A child changed state.
    pub const SIGCHLD: Self = Self(17);
    /// Continue.
    pub const SIGCONT: Self = Self(18);
    /// Stop.
    pub const SIGSTOP: Self = Self(19);

    /// `None` unless `1 <= signal <= 64`.
    #[must_use]
    pub const fn new(signal: u32) -> Option<Self> {
        match signal {
            1..=64 => Some(Self(signal as u8)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The errors of operations; the numbers are Linux's on x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Errno {
    /// Operation not permitted.
    EPERM = 1,
    /// No such process.
    ESRCH = 3,
    /// The trace request does not fit the state of the tracee.
    EIO = 5,
    /// No child.
    ECHILD = 10,
    /// Try again.
    EAGAIN = 11,
    /// The child has called exec.
    EACCES = 13,
    /// The id is in use.
    EEXIST = 17,
    /// Invalid argument.
    EINVAL = 22,
}

impl Errno {
    /// The number, positive.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EPERM => "operation not permitted",
            Self::ESRCH => "no such process",
            Self::EIO => "trace request does not fit the tracee's state",
            Self::ECHILD => "no child processes",
            Self::EAGAIN => "try again",
            Self::EACCES => "child has called exec",
            Self::EEXIST => "id in use",
            Self::EINVAL => "invalid argument",
        })
    }
}

impl core::error::Error for Errno {}
