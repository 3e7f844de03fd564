//! One task, as the kernel sees it. Its memory is this process's own memory whenever the kernel looks at it.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::arch::asm;
use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering::SeqCst;

use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::ports::{Cpu, HostFiles, Memory, RealTask, Spawn};
use fated_kernel::process::exec::plan::{Exec, ExecError, ProgramFile};
use linux_raw_sys::general::*;

use crate::enter::crossing::{self, Context, Leave};
use crate::enter::frame::Frame;
use crate::enter::{gate, guard};
use crate::exec::{program_file, replace};
use crate::memory::heap::heap;
use crate::memory::huge;
use crate::memory::reserved::ours;
use crate::process::{self, Process, files, proc};
use crate::rewrite::{call_sites, text};
use crate::settings::settings;
use crate::sys;

const SIGCHLD: u64 = 17;

/// A task.
pub struct Inside {
    /// Its registers, when it doesn't run.
    pub context: Context,
    /// Its extended state, unless its real thread holds that ([`Inside::is_live`]).
    pub frame: RefCell<Box<Frame>>,
    /// Its process.
    pub process: &'static Process,
    gone: Cell<bool>,
}

impl core::fmt::Debug for Inside {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Inside({})", self.process.real.load(SeqCst))
    }
}

/// The bases of fs and gs.
pub fn bases() -> (u64, u64) {
    let (fs, gs): (u64, u64);
    // SAFETY: the start has made sure that the instructions may be used.
    unsafe { asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nomem, nostack)) };
    (fs, gs)
}

/// Sets them. The blob itself uses neither.
pub fn set_bases(fs: u64, gs: u64) {
    // SAFETY: as above; addresses that aren't canonical would fault, and have been refused.
    unsafe { asm!("wrfsbase {}", "wrgsbase {}", in(reg) fs, in(reg) gs, options(nomem, nostack)) };
}

/// Whether a call may leave a file locked.
fn locks(call: &Call) -> bool {
    let number = call.number as u32;
    number == __NR_flock || number == __NR_fcntl && [F_SETLK, F_OFD_SETLK].contains(&(call.args[1] as u32))
}

impl Inside {
    /// A task that begins with these registers and the initial extended state.
    pub fn new(process: &'static Process, frame: Box<Frame>, regs: Regs) -> Rc<Inside> {
        process.own();
        let context = Context::new(regs);
        Rc::new(Inside { context, process, frame: RefCell::new(frame), gone: Cell::new(false) })
    }

    /// Makes this task's process the one that runs; `false` if it has ended.
    fn enter(&self) -> bool {
        let there = !self.gone.get() && !self.process.is_ending();
        if there {
            self.process.enter();
        }
        there
    }

    /// Lets Linux carry out a call in this process.
    fn ask(&self, mut call: Call) -> i64 {
        let harmless = guard::is_harmless(&call, &self.process.descriptors);
        if !harmless && let Some(result) = self.begin_special(&mut call) {
            return result;
        }
        if !self.is_live() {
            self.set_aside();
            let regs = self.context.regs.get();
            set_bases(regs.fs_base, regs.gs_base);
        }
        // SAFETY: the kernel hands on what the guest may ask for; what is the engine's has been left out above.
        let result = unsafe { gate::call(call.number as u32, call.args) };
        let opens = guard::opens(&call);
        if !harmless || opens {
            self.end_special(&call, opens, result);
        }
        result
    }

    /// What comes before a call that isn't plainly harmless; what the call comes to if Linux may not be asked.
    #[cold]
    fn begin_special(&self, call: &mut Call) -> Option<i64> {
        let own = &self.process.descriptors;
        let result = own.before(call).or_else(|| guard::instead(call, own));
        if result.is_none() && locks(call) {
            process::processes().locks.set(true);
        }
        result
    }

    /// What comes after it, and after one that makes a descriptor.
    fn end_special(&self, call: &Call, opens: bool, result: i64) {
        if call.number as u32 == __NR_arch_prctl {
            self.read_bases();
        }
        self.process.descriptors.after(call, opens, result);
    }

    /// Whether its real thread holds its extended state and its bases of fs and gs, as they were when it came here.
    pub fn is_live(&self) -> bool {
        core::ptr::eq(self.process.holds.get().cast(), self)
    }

    /// Takes its extended state from its real thread, if that holds it.
    fn keep_state(&self) {
        if self.is_live() && self.enter() {
            // SAFETY: the frame says what it has room for.
            unsafe { crossing::save(&raw mut **self.frame.borrow_mut(), &raw const self.context) };
            self.read_bases();
            self.process.holds.set(core::ptr::null());
        }
    }

    /// Enters the bases of fs and gs into its registers. They are its own on its real thread now.
    fn read_bases(&self) {
        let (fs_base, gs_base) = bases();
        self.context.regs.set(Regs { fs_base, gs_base, ..self.context.regs.get() });
    }

    /// Takes the state of another task from its real thread.
    fn set_aside(&self) {
        // SAFETY: only tasks are put there; one that is dropped is held no more.
        if let Some(other) = unsafe { self.process.holds.get().cast::<Inside>().as_ref() } {
            other.keep_state();
        }
    }

    /// Lets it run on, in its process, which has the turn.
    pub fn resume(&self) -> Leave {
        let state = if self.is_live() {
            core::ptr::null()
        } else {
            self.set_aside();
            let regs = self.context.regs.get();
            set_bases(regs.fs_base, regs.gs_base);
            self.process.holds.set(core::ptr::from_ref(self).cast());
            &raw const **self.frame.borrow()
        };
        Leave { context: &self.context, state }
    }

    /// The number of the call that its registers tell of, which has no result yet.
    pub fn begin_call(&self) -> u64 {
        const ENOSYS: i64 = 38;
        let regs = self.context.regs.as_ptr();
        // SAFETY: nobody else looks at the registers now, and they are never handed out by reference.
        unsafe {
            let number = (*regs).rax;
            (*regs).orig_rax = number;
            (*regs).rax = -ENOSYS as u64;
            number
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.is_live() {
            self.process.holds.set(core::ptr::null());
        }
        self.process.disown();
    }
}

impl Memory for Inside {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        if ours(addr, buf.len() as u64) || !self.enter() {
            return 0;
        }
        // SAFETY: `buf` can be written, and is no guest's; a fault at the other address is mended.
        buf.len() - unsafe { gate::copy_guest(buf.as_mut_ptr() as u64, addr, buf.len() as u64) } as usize
    }

    fn write(&self, addr: u64, data: &[u8]) -> usize {
        if ours(addr, data.len() as u64) || !self.enter() {
            return 0;
        }
        // SAFETY: as above; what stands in arena and blob can't be hit.
        data.len() - unsafe { gate::copy_guest(addr, data.as_ptr() as u64, data.len() as u64) } as usize
    }
}

impl Cpu for Inside {
    fn regs(&self) -> Regs {
        if self.is_live() && self.enter() {
            self.read_bases();
        }
        self.context.regs.get()
    }

    fn set_regs(&self, regs: &Regs) {
        let old = self.regs();
        if (old.fs_base, old.gs_base) != (regs.fs_base, regs.gs_base) {
            self.keep_state();
        }
        self.context.regs.set(*regs);
    }

    fn set_result(&self, rax: u64) {
        // SAFETY: nobody else looks at the registers now, and they are never handed out by reference.
        unsafe { (*self.context.regs.as_ptr()).rax = rax };
    }

    fn xstate(&self) -> Vec<u8> {
        self.keep_state();
        self.frame.borrow().xstate(&settings().cpuid)
    }

    fn set_xstate(&self, image: &[u8]) -> Result<(), Errno> {
        self.keep_state();
        self.frame.borrow_mut().set_xstate(&settings().cpuid, image)
    }
}

impl HostFiles for Inside {
    fn stat(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
        if !self.enter() {
            return Err(Errno::ESRCH);
        }
        files::stat(dirfd, path, flags)
    }

    fn list(&self, fd: i32, again: bool) -> Result<Listing, Errno> {
        if !self.enter() {
            return Err(Errno::ESRCH);
        }
        files::list(fd, again)
    }

    fn read_link(&self, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        if !self.enter() {
            return Err(Errno::ESRCH);
        }
        sys::read_link(dirfd, path)
    }

    fn open_program(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
        if !self.enter() {
            return Err(Errno::ESRCH);
        }
        program_file::open(self.process, dirfd, path, flags)
    }

    fn proc_file(&self, name: &str) -> Result<Vec<u8>, Errno> {
        if name == "auxv" {
            return Ok(self.process.image.borrow().auxv.clone());
        }
        if !self.enter() {
            return Err(Errno::ESRCH);
        }
        proc::proc_file(name)
    }

    fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        if name == "exe" {
            return Ok(self.process.image.borrow().exe.clone());
        }
        if !self.enter() {
            return Err(Errno::ESRCH);
        }
        proc::proc_link(name)
    }
}

impl RealTask for Inside {
    fn native(&self, call: Call) -> i64 {
        if self.enter() { self.ask(call) } else { -i64::from(Errno::ESRCH.number()) }
    }

    fn pass(&self, call: Call) -> Option<i64> {
        Some(self.native(call))
    }

    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn RealTask>, Errno> {
        if !self.enter() {
            return Err(Errno::ESRCH);
        }
        let has = |flag: u32| spawn.flags & u64::from(flag) != 0;
        self.keep_state();
        let regs = self.context.regs.get();
        let regs = Regs {
            rax: 0,
            orig_rax: u64::MAX,
            rsp: spawn.stack.unwrap_or(regs.rsp),
            fs_base: if has(CLONE_SETTLS) { spawn.tls } else { regs.fs_base },
            ..regs
        };
        let frame = self.frame.borrow().clone();
        if has(CLONE_THREAD) {
            // A thread is a context on the process's one real thread.
            self.process.tasks.set(self.process.tasks.get() + 1);
            return Ok(Inside::new(self.process, frame, regs));
        }
        if has(CLONE_FILES) {
            self.process.descriptors.share();
        }
        if !has(CLONE_VM) {
            call_sites::catch_up(self.process, self);
            huge::count();
            text::count_fork(&self.process.forks);
        }
        let child = self.process.child(has(CLONE_VM), has(CLONE_FILES));
        let shape = spawn.flags & u64::from(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM);
        let real = child.start(shape | u64::from(CLONE_PARENT) | SIGCHLD);
        if let Some(errno) = Errno::of_return(real) {
            return Err(errno);
        }
        Ok(Inside::new(child, frame, regs))
    }

    fn exec(&self, exec: Exec) -> Result<(), ExecError> {
        if !self.enter() {
            return Err(ExecError::Refused(Errno::ESRCH));
        }
        let regs = replace::start(self.process, exec)?;
        self.context.regs.set(regs);
        self.context.called_at.set(0);
        if let Some(frame) = Frame::fresh() {
            self.frame.replace(frame);
        }
        self.process.holds.set(core::ptr::null());
        Ok(())
    }

    fn exit(&self) {
        if self.gone.replace(true) {
            return;
        }
        let left = self.process.tasks.get().saturating_sub(1);
        self.process.tasks.set(left);
        if left == 0 {
            self.process.end(heap().blocks());
        }
    }

    fn exit_group(&self) {
        self.gone.set(true);
        self.process.end(heap().blocks());
    }
}

/// The task behind the kernel's view of it.
pub fn of(guest: &Rc<dyn RealTask>) -> &'static Inside {
    // SAFETY: the blob gives the kernel no other guests. The kernel keeps a task as long as it may run.
    unsafe { &*Rc::as_ptr(guest).cast::<Inside>() }
}
