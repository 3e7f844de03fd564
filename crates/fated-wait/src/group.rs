//! Process groups and sessions: setpgid, setsid, orphaned groups (kernel/sys.c, kernel/exit.c).

use crate::Family;
use crate::effects::Effects;
use crate::id::{Errno, Pgid, Pid, Sid, Tid};
use crate::table::{Chain, Life, NONE, Slot};

impl Family {
    /// setpgid(2); `None` is the caller's 0.
    ///
    /// # Errors
    /// ESRCH if there is no such process or it is neither the caller nor its child; EINVAL for a thread that leads no
    /// process; EACCES if the child has called exec; EPERM across sessions, for a session leader, or for a group that
    /// does not exist.
    pub fn setpgid(
        &mut self,
        caller: Tid,
        pid: Option<Pid>,
        pgid: Option<Pgid>,
        fx: &mut Effects,
    ) -> Result<(), Errno> {
        let me = self.table.leader(self.table.alive(caller)?);
        let pid = pid.unwrap_or_else(|| self.table.pid(me));
        let pgid = pgid.unwrap_or(pid.into());
        let slot = self.table.get(pid.into())?;
        if !self.table.leads(slot) {
            return Err(Errno::EINVAL);
        }
        let (group, mine) = (self.table.group(slot), self.table.group(me));
        if self.table.same_process(group.parent, me) {
            if group.sid != mine.sid {
                return Err(Errno::EPERM);
            }
            if !group.forked_no_exec {
                return Err(Errno::EACCES);
            }
        } else if slot != me {
            return Err(Errno::ESRCH);
        }
        if group.session_leader {
            return Err(Errno::EPERM);
        }
        if pgid != pid.into() && self.table.pgrps.get(&pgid).is_none_or(|pgrp| pgrp.sid != mine.sid) {
            return Err(Errno::EPERM);
        }
        self.move_to(slot, pgid, group.sid, fx);
        Ok(())
    }

    /// setsid(2).
    ///
    /// # Errors
    /// EPERM if the caller leads a session or its pid names a process group.
    pub fn setsid(&mut self, caller: Tid, fx: &mut Effects) -> Result<Sid, Errno> {
        let me = self.table.leader(self.table.alive(caller)?);
        let pid = self.table.pid(me);
        if self.table.group(me).session_leader || self.table.pgrps.contains_key(&pid.into()) {
            return Err(Errno::EPERM);
        }
        self.table.group_mut(me).session_leader = true;
        self.move_to(me, pid.into(), pid.into(), fx);
        Ok(pid.into())
    }

    fn move_to(&mut self, leader: Slot, pgid: Pgid, sid: Sid, fx: &mut Effects) {
        let group = self.table.group(leader);
        let (old_pgid, old_sid) = (group.pgid, group.sid);
        if old_pgid != pgid {
            self.leave_pgrp(leader);
        }
        if old_sid != sid {
            self.leave_session(leader);
            self.table.group_mut(leader).sid = sid;
            self.join_session(leader);
        }
        if old_pgid != pgid {
            self.table.group_mut(leader).pgid = pgid;
            self.join_pgrp(leader);
            self.refresh_group(leader);
            self.free_number(old_pgid.get(), fx);
        }
        if old_sid != sid && old_sid.get() != old_pgid.get() {
            self.free_number(old_sid.get(), fx);
        }
    }

    /// Reports a process group that loses its last tie to the rest of its session while a member is stopped: by the
    /// death of `leader`, or because `leader` lost its `father`.
    pub(crate) fn hang_up_orphans(&self, leader: Slot, father: Option<Slot>, fx: &mut Effects) {
        let group = self.table.group(leader);
        let parent = father.unwrap_or(group.parent);
        let stopped = self.table.pgrps.get(&group.pgid).is_some_and(|pgrp| pgrp.stopped > 0);
        if !stopped || parent == NONE {
            return;
        }
        let theirs = self.table.group(parent);
        let ignored = if father.is_none() { leader } else { NONE };
        if theirs.pgid != group.pgid && theirs.sid == group.sid && self.orphaned_without(group.pgid, ignored) {
            fx.orphaned.push(group.pgid);
        }
    }

    /// No member but `ignored` has a parent in another group of the same session. Init does not count as one.
    pub(crate) fn orphaned_without(&self, pgid: Pgid, ignored: Slot) -> bool {
        let Some(pgrp) = self.table.pgrps.get(&pgid) else { return true };
        !self.table.walk(Chain::Member, pgrp.members).any(|slot| {
            let group = self.table.group(slot);
            let gone = self.table.task(slot).life != Life::Alive && self.table.lone_leader(slot);
            if slot == ignored || gone || group.parent == NONE || self.is_init(group.parent) {
                return false;
            }
            let parent = self.table.group(group.parent);
            parent.pgid != pgid && parent.sid == group.sid
        })
    }

    pub(crate) fn is_init(&self, slot: Slot) -> bool {
        self.table.group(slot).parent == NONE
    }
}
