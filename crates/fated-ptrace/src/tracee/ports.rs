//! The kernel's ports to a task: its registers, its memory, the files that it sees, and its lifetime.
//!
//! Invariant: a task that has ended is never asked for by its real id, which may belong to another process.

use super::{Place, Tracee};
use crate::files::{self, At};
use crate::ids::{Assumed, Ids};
use crate::{memory, sys, xstate};
use fated_engine::sensitive::maps_text;
use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::ports::{Cpu, HostFiles, Memory, RealTask, Spawn};
use fated_kernel::process::exec::plan::{Exec, ExecError, ProgramFile};
use std::rc::Rc;

/// The calls that change with which ids Linux lets a task look at files.
const CHANGE_IDS: [i64; 9] = [
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
];

impl Tracee {
    /// Has Linux itself access memory at `addr`, if that may be where the stack will grow, which only an access by the task makes it do.
    /// The call reads a path there, or writes one byte. Returns whether it was possible.
    fn grows_stack(&self, addr: u64, call: i64) -> bool {
        /// No stack is larger.
        const REACH: u64 = 1 << 30;
        let sp = self.regs.get().rsp;
        if addr >= sp || sp - addr > REACH {
            return false;
        }
        let result = self.carry_out(Call { number: call.cast_unsigned(), args: [addr, 1, 0, 0, 0, 0] });
        !matches!(result, Ok(value) if value == -i64::from(Errno::EFAULT.number())) && result.is_ok()
    }

    /// Notes the ids that the task has now. Each of its looks at files needs them.
    pub(super) fn note_ids(&self) {
        self.ids.replace(Ids::of(self.tid.get()).map(Rc::new));
    }

    /// fated has the ids with which the task looks at files, while the result lives.
    fn assume_ids(&self) -> Option<Assumed<'_>> {
        Assumed::new(self.ids.borrow().as_deref()?, self.shared.own_ids.as_ref()?)
    }

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
        let mut count = memory::read(self.tid.get(), addr, buf);
        if count < buf.len() && self.grows_stack(addr.wrapping_add(count as u64), libc::SYS_access) {
            count += memory::read(self.tid.get(), addr.wrapping_add(count as u64), &mut buf[count..]);
        }
        self.check_short(count, buf.len());
        count
    }

    fn write(&self, addr: u64, data: &[u8]) -> usize {
        if self.is_gone() {
            return 0;
        }
        let mut count = memory::write(self.tid.get(), addr, data);
        if count < data.len() && self.grows_stack(addr.wrapping_add(count as u64), libc::SYS_rt_sigpending) {
            count += memory::write(self.tid.get(), addr.wrapping_add(count as u64), &data[count..]);
        }
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

    fn cpuid(&self, leaf: u32, sub: u32) -> [u32; 4] {
        let it = self.shared.cpuid.ask(leaf, sub);
        [it.eax, it.ebx, it.ecx, it.edx]
    }
}

impl HostFiles for Tracee {
    fn stat(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno> {
        let _ids = self.assume_ids();
        At::new(self.tid.get(), dirfd, path)?.stat(flags.cast_signed() & libc::AT_SYMLINK_NOFOLLOW)
    }

    fn list(&self, fd: i32, _again: bool) -> Result<Listing, Errno> {
        files::list(self.tid.get(), fd)
    }

    fn read_link(&self, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ids = self.assume_ids();
        At::new(self.tid.get(), dirfd, path)?.read_link()
    }

    fn open_program(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
        let _ids = self.assume_ids();
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
        if CHANGE_IDS.contains(&call.number.cast_signed()) {
            self.note_ids();
        }
        if call.number == libc::SYS_mmap as u64 && result >= 0 {
            self.library_mapped(call, result.cast_unsigned());
        }
        result
    }

    fn pass(&self, call: Call) -> Option<i64> {
        // New text is searched for sensitive instructions before it runs. And once another call was made in its place, a call can't pass.
        let maps = call.number == libc::SYS_mmap as u64 && maps_text(call.args);
        if maps || self.place.get() != Place::Entry {
            return Some(self.native(call));
        }
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
