//! The kernel's ports to a task: its registers, its memory, the files that it sees, and its lifetime.
//!
//! Invariant: a task that has ended is never asked for by its real id, which may belong to another process.

use super::Tracee;
use crate::files::{self, At};
use crate::{memory, sys, xstate};
use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::ports::{Cpu, HostFiles, Memory, RealTask, Spawn};
use fated_kernel::process::exec::plan::{Exec, ExecError, ProgramFile};
use std::rc::Rc;

impl Tracee {
    /// Checks after a short transfer whether the task was killed from outside. The kernel takes a short transfer for a bad address.
    fn check_short(&self, count: usize, len: usize) {
        if count < len && sys::get_regs(self.tid.get()) == Err(Errno::ESRCH) {
            self.shared.note_killed(self.key.get());
        }
    }
}

impl Memory for Tracee {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        if self.is_gone() {
            return 0;
        }
        let count = memory::read(self.tid.get(), addr, buf);
        self.check_short(count, buf.len());
        count
    }

    fn write(&self, addr: u64, data: &[u8]) -> usize {
        if self.is_gone() {
            return 0;
        }
        let count = memory::write(self.tid.get(), addr, data);
        self.check_short(count, data.len());
        count
    }
}

impl Cpu for Tracee {
    fn regs(&self) -> Regs {
        self.regs.get()
    }

    fn set_regs(&self, regs: &Regs) {
        if *regs != self.regs.get() {
            self.load_regs(*regs, true);
        }
    }

    fn xstate(&self) -> Vec<u8> {
        if self.is_gone() { Vec::new() } else { xstate::get(self.tid.get()).unwrap_or_default() }
    }

    fn set_xstate(&self, image: &[u8]) -> Result<(), Errno> {
        if self.is_gone() {
            return Err(Errno::ESRCH);
        }
        xstate::set(self.tid.get(), image)
    }
}

impl HostFiles for Tracee {
    fn stat(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
        At::new(self.tid.get(), dirfd, path)?.stat(flags.cast_signed() & libc::AT_SYMLINK_NOFOLLOW)
    }

    fn list(&self, fd: i32, _again: bool) -> Result<Listing, Errno> {
        files::list(self.tid.get(), fd)
    }

    fn read_link(&self, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        At::new(self.tid.get(), dirfd, path)?.read_link()
    }

    fn open_program(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
        files::open_program(self.tid.get(), dirfd, path, flags)
    }

    fn proc_file(&self, name: &str) -> Result<Vec<u8>, Errno> {
        if name == "auxv" {
            return Ok(self.process.auxv.borrow().clone());
        }
        files::proc_file(self.tid.get(), name)
    }

    fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        files::proc_link(self.tid.get(), name)
    }
}

impl RealTask for Tracee {
    fn native(&self, call: Call) -> i64 {
        let result = self.carry_out(call).unwrap_or_else(|errno| -i64::from(errno.number()));
        if call.number == libc::SYS_mmap as u64 && result >= 0 {
            self.library_mapped(call, result.cast_unsigned());
        }
        result
    }

    fn pass(&self, _call: Call) -> Option<i64> {
        self.pass.set(true);
        None
    }

    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn RealTask>, Errno> {
        self.try_spawn(spawn)
    }

    fn has_linux_exec(&self) -> bool {
        true
    }

    fn exec(&self, exec: Exec) -> Result<(), ExecError> {
        self.replace_program(&exec)
    }

    fn exit(&self) {
        if self.is_gone() {
            return;
        }
        self.shared.remove(self.key.get());
        if self.process.alive() <= 1 {
            self.exit_group();
        } else if self.tid.get() == self.process.tgid {
            self.process.park_leader();
            self.gone.set(Some(libc::SIGKILL));
        } else if self.exit_thread().is_err() {
            // If the thread can't be brought to a call of its own, the whole process ends.
            self.exit_group();
        }
    }

    fn exit_group(&self) {
        self.shared.remove_all(&self.process);
        self.process.kill();
    }
}
