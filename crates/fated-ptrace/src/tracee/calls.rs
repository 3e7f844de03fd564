//! Calls that the engine makes in a task's context. It replaces the call at which the task is stopped, or moves the task to a `syscall`
//! instruction first.
//!
//! Invariant: the guest's registers are restored afterwards, except for `rax` and the segment bases that the call itself changes.

use super::{CALL_STOP, EVENT_STOP, Place, SECCOMP_STOP, Tracee};
use crate::filter::STOPPING_CALL;
use crate::process;
use crate::sys::{self, Os, RealTid};
use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::ports::{RealTask, Spawn};
use std::rc::Rc;

/// The results of a call that a signal for the real task has interrupted and that Linux would restart.
const INTERRUPTED: std::ops::RangeInclusive<i64> = -516..=-512;

/// The bits of [`Spawn::flags`] that the engine passes on.
const SHAPE: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS;

impl Tracee {
    /// Brings the task to the entry of a call. The copy of the registers stays the guest's, and replaces the real ones later.
    pub(crate) fn enter(&self) -> Os<()> {
        if self.is_gone() {
            return Err(Errno::ESRCH);
        }
        if self.place.get() == Place::Entry {
            return Ok(());
        }
        let site = self.site.get().or(self.process.gate.get()).ok_or(Errno::ENOSYS)?;
        let tid = self.tid.get();
        sys::set_regs(tid, &Regs { rip: site, rax: STOPPING_CALL, orig_rax: u64::MAX, ..self.regs.get() })?;
        self.dirty.set(true);
        loop {
            sys::cont(tid)?;
            match self.next_stop()? {
                SECCOMP_STOP => {
                    self.place.set(Place::Entry);
                    return Ok(());
                }
                // The program has removed the instruction. The engine caused this fault, not the guest.
                libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGTRAP if self.site.take().is_some() => {
                    let gate = self.process.gate.get().ok_or(Errno::ENOSYS)?;
                    let regs = Regs { rip: gate, rax: STOPPING_CALL, orig_rax: u64::MAX, ..self.regs.get() };
                    sys::set_regs(tid, &regs)?;
                }
                libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGTRAP => return Err(Errno::ENOSYS),
                _ => {}
            }
        }
    }

    /// Replaces the call at which the task is stopped by `call`, and starts it.
    pub(crate) fn begin(&self, call: Call) -> Os<()> {
        self.enter()?;
        let regs = self.regs.get();
        if self.dirty.get() || call_of(&regs) != call {
            sys::set_regs(self.tid.get(), &with_call(regs, call))?;
            self.dirty.set(true);
        }
        self.shared.count(|stats| stats.natives += 1);
        sys::cont_to_call(self.tid.get())
    }

    /// Ends a call that [`Tracee::begin`] has started and that has stopped at its exit: returns its result and restores the registers.
    pub(crate) fn finish(&self) -> Os<i64> {
        let before = self.regs.get();
        let after = sys::get_regs(self.tid.get())?;
        let regs = Regs {
            rax: after.rax,
            // arch_prctl(2) changes these two.
            fs_base: after.fs_base,
            gs_base: after.gs_base,
            ..before
        };
        self.dirty.set(self.dirty.get() || Regs { orig_rax: before.orig_rax, ..after } != regs);
        self.regs.set(regs);
        self.place.set(Place::Elsewhere);
        Ok(after.rax.cast_signed())
    }

    /// Has Linux carry out `call` in the task's context. Returns its result.
    pub(crate) fn carry_out(&self, call: Call) -> Os<i64> {
        loop {
            self.begin(call)?;
            while self.next_stop()? != CALL_STOP {
                sys::cont_to_call(self.tid.get())?;
            }
            let result = self.finish()?;
            if !INTERRUPTED.contains(&result) {
                return Ok(result);
            }
        }
    }

    pub(super) fn try_spawn(&self, spawn: &Spawn) -> Os<Rc<dyn RealTask>> {
        let before = self.regs.get();
        let thread = spawn.flags & libc::CLONE_THREAD as u64 != 0;
        let flags = spawn.flags & SHAPE as u64 | (libc::CLONE_PARENT | libc::CLONE_PTRACE) as u64;
        let settls = spawn.flags & libc::CLONE_SETTLS as u64 != 0;
        let args = [flags, spawn.stack.unwrap_or(0), 0, 0, spawn.tls, 0];
        let result = self.carry_out(Call { number: libc::SYS_clone as u64, args })?;
        if let Some(errno) = Errno::of_return(result) {
            return Err(errno);
        }
        let tid = RealTid::try_from(result).map_err(|_| Errno::EAGAIN)?;
        loop {
            let status = sys::wait_on(tid)?;
            if !libc::WIFSTOPPED(status) {
                return Err(Errno::EAGAIN);
            }
            if status >> 16 == EVENT_STOP {
                break;
            }
            sys::cont(tid)?;
        }
        let regs = Regs {
            rax: 0,
            orig_rax: u64::MAX,
            rsp: spawn.stack.unwrap_or(before.rsp),
            fs_base: if settls { spawn.tls } else { before.fs_base },
            ..before
        };
        let process = if thread {
            self.process.add(tid, spawn.tid);
            self.process.clone()
        } else {
            Rc::new(self.process.fork(tid, spawn.tid))
        };
        let child = Rc::new(Tracee::new(self.shared.clone(), process, tid, spawn.tid, regs));
        child.site.set(self.site.get());
        child.ids.replace(self.ids.borrow().clone());
        self.shared.add(spawn.tid, child.clone());
        Ok(child)
    }

    /// Makes this task the leader and only thread of its process, as an exec does.
    pub(crate) fn becomes_leader(&self) {
        let leader = self.process.leader.get();
        self.shared.rename(&self.process, self.key.replace(leader), leader);
        self.tid.set(self.process.tgid);
        self.process.only_leader();
    }

    /// Ends a thread that isn't the last one.
    pub(super) fn exit_thread(&self) -> Os<()> {
        self.enter()?;
        let tid = self.tid.get();
        let call = Call { number: libc::SYS_exit as u64, args: [0; 6] };
        sys::set_regs(tid, &with_call(self.regs.get(), call))?;
        sys::cont(tid)?;
        process::reap(tid);
        self.process.reaped(tid);
        self.gone.set(Some(libc::SIGKILL));
        Ok(())
    }
}

/// The call at whose entry a task is stopped.
pub(super) fn call_of(regs: &Regs) -> Call {
    Call { number: regs.orig_rax, args: [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] }
}

fn with_call(regs: Regs, call: Call) -> Regs {
    let [rdi, rsi, rdx, r10, r8, r9] = call.args;
    Regs { orig_rax: call.number, rax: call.number, rdi, rsi, rdx, r10, r8, r9, ..regs }
}
