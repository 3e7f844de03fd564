//! Job control (`drivers/tty/tty_jobctrl.c`): what a process may do with its terminal, and how sessions get and lose terminals.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::Kernel;
use crate::id::{Pgid, Pid, Sid};
use crate::signal::kill::from_caller;
use crate::signal::{SI_KERNEL, SI_USER, SigInfo, nr};
use crate::tty::terminal::Terminal;
use alloc::rc::Rc;

impl Terminal {
    /// Whether it is the controlling terminal of the caller.
    #[must_use]
    pub fn is_of(&self, cx: &Cx) -> bool {
        self.controls(cx.kernel.family.borrow().sid(cx.task.tid.get()))
    }

    /// Whether the caller may read from its terminal (`signal` is SIGTTIN), or change or write to it (SIGTTOU). A background group
    /// is stopped; one that nobody could continue gets `EIO` (`__tty_check_change`).
    pub(super) fn check_background(&self, cx: &Cx, signal: i32) -> Result<(), Errno> {
        if !self.is_of(cx) {
            return Ok(());
        }
        let family = cx.kernel.family.borrow();
        let Some(group) = family.pgid(cx.task.tid.get()) else { return Ok(()) };
        let orphaned = family.is_orphaned(group);
        drop(family);
        if self.foreground().is_none_or(|foreground| foreground == group) {
            return Ok(());
        }
        let ignored = cx.task.mask.get().has(signal) || {
            let actions = cx.task.actions.borrow().clone();
            actions.borrow().get(signal).handler == 1
        };
        match signal {
            nr::TTIN if ignored || orphaned => Err(Errno::EIO),
            _ if ignored => Ok(()),
            _ if orphaned => Err(Errno::EIO),
            _ => {
                cx.kernel.send_to_group(group, SigInfo::new(signal, SI_KERNEL));
                Err(Errno::ERESTARTSYS)
            }
        }
    }

    /// Puts a group of the caller's session in the foreground (tcsetpgrp(3)).
    pub(super) fn put_in_foreground(&self, cx: &Cx, group: Pgid) -> Result<(), Errno> {
        let session = cx.kernel.family.borrow().session_of(group).ok_or(Errno::ESRCH)?;
        if !self.controls(Some(session)) {
            return Err(Errno::EPERM);
        }
        self.set_foreground(group);
        Ok(())
    }

    /// Becomes the controlling terminal of the caller's session (`TIOCSCTTY`). The caller leads the session, which has no terminal yet,
    /// and the terminal controls no other session.
    pub(super) fn acquire(&self, cx: &Cx) -> Result<(), Errno> {
        let own = cx.task.tid.get();
        let (session, group, leads) = {
            let family = cx.kernel.family.borrow();
            (family.sid(own), family.pgid(own), family.is_session_leader(own))
        };
        if leads && self.controls(session) {
            return Ok(());
        }
        if !leads || self.session().is_some() {
            return Err(Errno::EPERM);
        }
        self.give_to(session, group);
        Ok(())
    }

    /// The caller gives up its controlling terminal (`TIOCNOTTY`). The leader of a session does so for all of it.
    pub(super) fn give_up(&self, cx: &Cx) {
        if !cx.kernel.family.borrow().is_session_leader(cx.task.tid.get()) {
            return;
        }
        if let Some(group) = self.take_away() {
            cx.kernel.send_to_group(group, from_caller(cx, nr::HUP, SI_USER));
            cx.kernel.send_to_group(group, from_caller(cx, nr::CONT, SI_USER));
        }
    }
}

impl Kernel {
    /// A process has ended. If it led a session with a terminal, the terminal is free again, and its foreground group gets SIGHUP
    /// (`disassociate_ctty`).
    pub(crate) fn disassociate_terminal(self: &Rc<Self>, leader: Pid) {
        if self.terminal.session().map(Sid::get) != Some(leader.get()) {
            return;
        }
        if let Some(group) = self.terminal.take_away() {
            self.send_to_group(group, SigInfo::new(nr::HUP, SI_KERNEL));
        }
    }
}
