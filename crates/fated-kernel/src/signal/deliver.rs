//! Delivery: a task takes its signals before it runs guest code again.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::Kernel;
use crate::process::family::Signal;
use crate::record::What;
use crate::sched::Rest;
use crate::signal::{
    Action, Disposition, SA_NODEFER, SA_RESETHAND, SA_RESTART, SI_KERNEL, SigInfo, SigSet, default_action, frame, nr,
};
use crate::time::posix;
use alloc::rc::Rc;

/// The length of the `syscall` instruction: a task that is set back by it makes its call again.
const SYSCALL_LEN: u64 = 2;
const NR_RESTART_SYSCALL: u64 = 219;

impl Kernel {
    /// Takes every signal that isn't blocked: enters handlers, stops or ends the process. If no handler has run, an interrupted call
    /// is restarted.
    pub(crate) fn deliver(self: &Rc<Self>, cx: &Cx) {
        let task = &cx.task;
        while let Some(info) = cx.take_signal(SigSet(!task.mask.get().0)) {
            let signal = info.signal();
            let actions = task.actions.borrow().clone();
            let action = actions.borrow().get(signal);
            self.record(task, What::Signal { signal, code: info.code() });
            match action.handler {
                1 => {}
                0 => match default_action(signal) {
                    Disposition::Ignore => {}
                    Disposition::Stop => {
                        if signal == nr::STOP || !self.in_orphaned_group(cx) {
                            return self.stop(cx, signal);
                        }
                    }
                    Disposition::Terminate | Disposition::Core => return self.kill_group(&task.process, signal),
                },
                _ => {
                    if action.flags & SA_RESETHAND != 0 {
                        actions.borrow_mut().set(signal, Action { handler: 0, ..action });
                    }
                    if !self.handle(cx, &info, &action) {
                        // No room for the frame (Linux: `force_sigsegv`): a SIGSEGV that its own frame has no room for kills.
                        if signal == nr::SEGV {
                            return self.kill_group(&task.process, nr::SEGV);
                        }
                        self.force_signal(task, SigInfo::new(nr::SEGV, SI_KERNEL));
                    }
                }
            }
            if task.rest.get() == Rest::Gone {
                return;
            }
        }
        if let Some(how) = task.interrupted.take() {
            restart(cx, how);
        }
        if let Some(mask) = task.saved_mask.take() {
            task.set_mask(mask);
        }
    }

    /// Whether the group is orphaned: nobody could continue it, so the stop signals of terminals don't stop it (POSIX).
    fn in_orphaned_group(&self, cx: &Cx) -> bool {
        let family = self.family.borrow();
        family.pgid(cx.task.tid.get()).is_some_and(|group| family.is_orphaned(group))
    }

    /// Stops the process of the task: none of its tasks runs until it is continued.
    fn stop(self: &Rc<Self>, cx: &Cx, signal: i32) {
        if let Some(signal) = Signal::new(signal as u32) {
            // It can't fail: the task is alive.
            let _ = self.family_event(|family, effects| family.stop_group(cx.task.tid.get(), signal, effects));
        }
    }

    /// Makes the task enter a handler. `false` if its stack can't take the frame.
    fn handle(&self, cx: &Cx, info: &SigInfo, action: &Action) -> bool {
        let task = &cx.task;
        let signal = info.signal();
        if let Some(how) = task.interrupted.take() {
            let restarts = how == Errno::ERESTARTSYS && action.flags & SA_RESTART != 0;
            if restarts || how == Errno::ERESTARTNOINTR {
                restart(cx, how);
            }
            // Otherwise the call has failed with EINTR, which is in the registers already.
        }
        let mask = task.saved_mask.take().unwrap_or(task.mask.get());
        if !frame::push(cx, info, action, mask) {
            task.set_mask(mask);
            return false;
        }
        let own = if action.flags & SA_NODEFER == 0 { SigSet::of(&[signal]) } else { SigSet::EMPTY };
        task.set_mask(task.mask.get().with(action.mask).with(own));
        true
    }
}

impl Cx {
    /// Takes the next signal out of `wanted`: the task's own before the process's, but synchronous ones first of all.
    pub(crate) fn take_signal(&self, wanted: SigSet) -> Option<SigInfo> {
        let own = self.task.pending.take(wanted);
        let mut info = own.or_else(|| self.process().pending.take(wanted))?;
        posix::signal_taken(&self.kernel, self.process(), &mut info);
        Some(info)
    }
}

/// Makes the task enter its call again: the same one, or restart_syscall(2), which keeps the deadline.
fn restart(cx: &Cx, how: Errno) {
    let mut regs = cx.task.guest.regs();
    regs.rip = regs.rip.wrapping_sub(SYSCALL_LEN);
    regs.rax = if how == Errno::ERESTART_RESTARTBLOCK { NR_RESTART_SYSCALL } else { cx.task.call.get().number };
    cx.task.guest.set_regs(&regs);
}
