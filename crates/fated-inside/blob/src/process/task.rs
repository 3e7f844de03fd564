//! A task as the kernel sees it: the implementation of the kernel's ports.
//!
//! Invariant: whenever the kernel looks at a task's memory, files or registers, the task's process runs, so that all
//! of it is the process's own.

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
use crate::memory::reserved::is_reserved;
use crate::process::{self, Process, files, proc};
use crate::rewrite::{call_sites, sensitive, text};
use crate::settings::settings;
use crate::sys;

const SIGCHLD: u64 = 17;

/// A task.
pub struct GuestTask {
    /// Its registers while it doesn't run.
    pub context: Context,
    /// Its extended state, unless the registers of its real thread hold it ([`GuestTask::is_live`]).
    pub frame: RefCell<Box<Frame>>,
    /// Its process.
    pub process: &'static Process,
    gone: Cell<bool>,
}

impl core::fmt::Debug for GuestTask {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "GuestTask({})", self.process.real.load(SeqCst))
    }
}

/// Reads the bases of fs and gs.
pub fn bases() -> (u64, u64) {
    let (fs, gs): (u64, u64);
    // SAFETY: the supervisor has checked that Linux permits these instructions.
    unsafe { asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nomem, nostack)) };
    (fs, gs)
}

/// Sets the bases of fs and gs. The blob itself uses neither.
pub fn set_bases(fs: u64, gs: u64) {
    // SAFETY: as above. Addresses that aren't canonical would fault; the kernel refuses them.
    unsafe { asm!("wrfsbase {}", "wrgsbase {}", in(reg) fs, in(reg) gs, options(nomem, nostack)) };
}

/// Whether a call may leave a file locked.
fn locks(call: &Call) -> bool {
    let number = call.number as u32;
    number == __NR_flock || number == __NR_fcntl && [F_SETLK, F_OFD_SETLK].contains(&(call.args[1] as u32))
}

impl GuestTask {
    /// Creates a task that starts with these registers.
    pub fn new(process: &'static Process, frame: Box<Frame>, regs: Regs) -> Rc<GuestTask> {
        process.own();
        let context = Context::new(regs);
        Rc::new(GuestTask { context, process, frame: RefCell::new(frame), gone: Cell::new(false) })
    }

    /// Moves the kernel to this task's process; `false` if the task or the process has ended.
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
        // SAFETY: the kernel permits the call, and `guard` has removed what belongs to the engine.
        let result = unsafe { gate::call(call.number as u32, call.args) };
        let opens = guard::opens(&call);
        if !harmless || opens {
            self.end_special(&call, opens, result);
        }
        result
    }

    /// Prepares a call that isn't harmless. Returns its result if Linux must not be asked.
    #[cold]
    fn begin_special(&self, call: &mut Call) -> Option<i64> {
        let own = &self.process.descriptors;
        let result = own.before(call).or_else(|| guard::restrict(call, own));
        if result.is_none() && locks(call) {
            process::processes().locks.set(true);
        }
        result
    }

    /// Follows up on such a call, and on any that returns a descriptor.
    fn end_special(&self, call: &Call, opens: bool, result: i64) {
        let number = call.number as u32;
        if number == __NR_arch_prctl {
            self.read_bases();
        } else if number == __NR_mmap && result >= 0 {
            sensitive::mapped(call.args, result as u64);
        }
        self.process.descriptors.after(call, opens, result);
    }

    /// Whether the registers of its real thread hold its extended state and its bases of fs and gs, as the guest left
    /// them.
    pub fn is_live(&self) -> bool {
        core::ptr::eq(self.process.holds.get().cast(), self)
    }

    /// Saves its extended state from the registers of its real thread, if they hold it.
    fn keep_state(&self) {
        if self.is_live() && self.enter() {
            // SAFETY: the frame says which components it has room for.
            unsafe { crossing::save(&raw mut **self.frame.borrow_mut(), &raw const self.context) };
            self.read_bases();
            self.process.holds.set(core::ptr::null());
        }
    }

    /// Saves the bases of fs and gs. The real thread holds this task's own now.
    fn read_bases(&self) {
        let (fs_base, gs_base) = bases();
        self.context.regs.set(Regs { fs_base, gs_base, ..self.context.regs.get() });
    }

    /// Saves the state of whichever other task the real thread holds.
    fn set_aside(&self) {
        // SAFETY: the pointer is null or a task's. A task that is dropped clears it.
        if let Some(other) = unsafe { self.process.holds.get().cast::<GuestTask>().as_ref() } {
            other.keep_state();
        }
    }

    /// Prepares its process, which runs, for the return to this task.
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

    /// Takes the number of the call from `rax`. Until the call has a result, `rax` is `ENOSYS`, as on Linux.
    pub fn begin_call(&self) -> u64 {
        const ENOSYS: i64 = 38;
        let regs = self.context.regs.as_ptr();
        // SAFETY: nothing else accesses the registers now, and they are never handed out by reference.
        unsafe {
            let number = (*regs).rax;
            (*regs).orig_rax = number;
            (*regs).rax = -ENOSYS as u64;
            number
        }
    }
}

impl Drop for GuestTask {
    fn drop(&mut self) {
        if self.is_live() {
            self.process.holds.set(core::ptr::null());
        }
        self.process.disown();
    }
}

impl Memory for GuestTask {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        if is_reserved(addr, buf.len() as u64) || !self.enter() {
            return 0;
        }
        // SAFETY: `buf` is writable and not the guest's; `copy_guest` survives a fault at the other address.
        buf.len() - unsafe { gate::copy_guest(buf.as_mut_ptr() as u64, addr, buf.len() as u64) } as usize
    }

    fn write(&self, addr: u64, data: &[u8]) -> usize {
        if is_reserved(addr, data.len() as u64) || !self.enter() {
            return 0;
        }
        // SAFETY: as above; the range is neither in the arena nor in the blob.
        data.len() - unsafe { gate::copy_guest(addr, data.as_ptr() as u64, data.len() as u64) } as usize
    }
}

impl Cpu for GuestTask {
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
        // SAFETY: nothing else accesses the registers now, and they are never handed out by reference.
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

    fn cpuid(&self, leaf: u32, sub: u32) -> [u32; 4] {
        let it = settings().cpuid.ask(leaf, sub);
        [it.eax, it.ebx, it.ecx, it.edx]
    }
}

impl HostFiles for GuestTask {
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

impl RealTask for GuestTask {
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
            // A thread is another context on the process's one real thread.
            self.process.tasks.set(self.process.tasks.get() + 1);
            return Ok(GuestTask::new(self.process, frame, regs));
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
        Ok(GuestTask::new(child, frame, regs))
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

/// The engine's side of a kernel's task.
pub fn of(guest: &Rc<dyn RealTask>) -> &'static GuestTask {
    // SAFETY: the blob gives the kernel no other implementations. The kernel keeps a task as long as it may run.
    unsafe { &*Rc::as_ptr(guest).cast::<GuestTask>() }
}
