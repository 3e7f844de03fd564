//! The request of a caller of wait4(2) or waitid(2): the raw arguments, checked as Linux checks them.

use crate::id::{Errno, Pgid, Tid};

/// Do not block.
pub const WNOHANG: u32 = 1;
/// Report stopped children.
pub const WSTOPPED: u32 = 2;
/// The name of [`WSTOPPED`] in wait4.
pub const WUNTRACED: u32 = WSTOPPED;
/// Report dead children.
pub const WEXITED: u32 = 4;
/// Report continued children.
pub const WCONTINUED: u32 = 8;
/// Leave the child as it is.
pub const WNOWAIT: u32 = 0x0100_0000;
/// Only children of the calling thread.
pub const __WNOTHREAD: u32 = 0x2000_0000;
/// Children of either class.
pub const __WALL: u32 = 0x4000_0000;
/// Only children whose exit signal is not SIGCHLD.
pub const __WCLONE: u32 = 0x8000_0000;

/// waitid: any child.
pub const P_ALL: u32 = 0;
/// waitid: a child by its pid.
pub const P_PID: u32 = 1;
/// waitid: the children of a process group.
pub const P_PGID: u32 = 2;
/// waitid: a child by a pidfd.
pub const P_PIDFD: u32 = 3;

/// Which children a wait selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// Any.
    Any,
    /// One, by its thread id (that of the leader for a child, of the thread itself for a tracee).
    Task(Tid),
    /// Those whose process is in this group.
    Group(Pgid),
    /// None: the pidfd's process is gone, or the number can't be an id.
    Nothing,
}

/// A checked request. The process group of "mine" is resolved once, when the request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitRequest {
    /// Which children.
    pub selector: Selector,
    /// `W*` and `__W*` bits; always at least one of WEXITED, WSTOPPED, WCONTINUED.
    pub options: u32,
    /// The pidfd was opened with O_NONBLOCK: a wait that would block fails with EAGAIN.
    pub again: bool,
}

/// The target of a pidfd, as found by the owner of the descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pidfd {
    /// The process or thread; `None` if it is gone already.
    pub task: Option<Tid>,
    /// O_NONBLOCK is set.
    pub nonblock: bool,
}

impl WaitRequest {
    /// The arguments of wait4(2); `own` is the caller's process group.
    ///
    /// # Errors
    /// EINVAL for an unknown option, ESRCH for `i32::MIN`.
    pub fn wait4(pid: i32, options: u32, own: Pgid) -> Result<Self, Errno> {
        const KNOWN: u32 = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
        if options & !KNOWN != 0 {
            return Err(Errno::EINVAL);
        }
        let selector = match pid {
            i32::MIN => return Err(Errno::ESRCH),
            -1 => Selector::Any,
            0 => Selector::Group(own),
            _ if pid < 0 => group(pid.unsigned_abs()),
            _ => task(pid.unsigned_abs()),
        };
        Ok(Self { selector, options: options | WEXITED, again: false })
    }

    /// The arguments of waitid(2); `own` is the caller's process group, `pidfd` looks a descriptor up.
    ///
    /// # Errors
    /// EINVAL for arguments that Linux rejects, and whatever `pidfd` fails with.
    pub fn waitid<E: From<Errno>>(
        idtype: u32,
        id: i32,
        options: u32,
        own: Pgid,
        pidfd: impl FnOnce(i32) -> Result<Pidfd, E>,
    ) -> Result<Self, E> {
        const EVENTS: u32 = WEXITED | WSTOPPED | WCONTINUED;
        const KNOWN: u32 = EVENTS | WNOHANG | WNOWAIT | __WNOTHREAD | __WCLONE | __WALL;
        if options & !KNOWN != 0 || options & EVENTS == 0 {
            return Err(Errno::EINVAL.into());
        }
        let mut again = false;
        let selector = match (idtype, id) {
            (P_ALL, _) => Selector::Any,
            (P_PID, 1..) => task(id.unsigned_abs()),
            (P_PGID, 0) => Selector::Group(own),
            (P_PGID, 1..) => group(id.unsigned_abs()),
            (P_PIDFD, 0..) => {
                let Pidfd { task, nonblock } = pidfd(id)?;
                again = nonblock && options & WNOHANG == 0;
                task.map_or(Selector::Nothing, Selector::Task)
            }
            _ => return Err(Errno::EINVAL.into()),
        };
        Ok(Self { selector, options, again })
    }

    /// Whether all bits of `option` are set.
    #[must_use]
    pub const fn has(&self, option: u32) -> bool {
        self.options & option == option
    }

    /// What a call does that would block: it blocks if this is `None`, and otherwise returns this.
    #[must_use]
    pub fn unready(&self) -> Option<Result<(), Errno>> {
        if self.again {
            Some(Err(Errno::EAGAIN))
        } else if self.has(WNOHANG) {
            Some(Ok(()))
        } else {
            None
        }
    }
}

fn task(id: u32) -> Selector {
    Tid::new(id).map_or(Selector::Nothing, Selector::Task)
}

fn group(id: u32) -> Selector {
    Pgid::new(id).map_or(Selector::Nothing, Selector::Group)
}
