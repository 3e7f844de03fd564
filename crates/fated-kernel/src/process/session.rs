//! Process groups and sessions (credentials(7)). The rules are fated-wait's; here a caller is named and effects are carried out. The
//! terminal of a session is the business of [`crate::tty`].

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::Kernel;
use crate::id::{Pgid, Pid, Tid};
use alloc::vec::Vec;
use fated_wait::Sid;

impl Cx {
    /// The process group of the caller.
    pub(crate) fn own_group(&self) -> Result<Pgid, Errno> {
        group_of(self, self.task.tid.get())
    }
}

/// The process group of a thread (getpgid(2)).
pub(crate) fn group_of(cx: &Cx, tid: Tid) -> Result<Pgid, Errno> {
    cx.kernel.family.borrow().pgid(tid).ok_or(Errno::ESRCH)
}

/// The session of a thread (getsid(2)).
pub(crate) fn session_of(cx: &Cx, tid: Tid) -> Result<Sid, Errno> {
    cx.kernel.family.borrow().sid(tid).ok_or(Errno::ESRCH)
}

/// Moves a process, by default the caller's, into a process group, by default its own (setpgid(2)).
pub(crate) fn set_group(cx: &Cx, pid: Option<Pid>, group: Option<Pgid>) -> Result<(), Errno> {
    let own = cx.task.tid.get();
    Ok(cx.kernel.family_event(|family, effects| family.setpgid(own, pid, group, effects))?)
}

/// Makes the caller's process the leader of a new session (setsid(2)).
pub(crate) fn new_session(cx: &Cx) -> Result<Sid, Errno> {
    let own = cx.task.tid.get();
    Ok(cx.kernel.family_event(|family, effects| family.setsid(own, effects))?)
}

impl Kernel {
    /// The members of a process group, by ascending pid.
    #[must_use]
    pub fn group_members(&self, group: Pgid) -> Vec<Pid> {
        let mut members: Vec<_> = self.family.borrow().members(group).collect();
        members.sort_unstable();
        members
    }
}
