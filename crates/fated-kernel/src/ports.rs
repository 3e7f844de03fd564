//! The ports: what an engine and the world around a host provide.
//!
//! - An engine has one [`RealTask`] per task: its processor state ([`Cpu`]), its memory ([`Memory`]), the real files that it
//!   sees ([`HostFiles`]), and its life.
//! - The world has one [`Console`] and one [`Trace`] per host. Packets between hosts have no port yet: no socket sends any.
//!
//! The kernel never touches a real process, descriptor or clock itself; it asks here. Methods of a task are called while that
//! task is stopped. No method calls back into the kernel.

use crate::arch::{Call, Fault, Regs};
use crate::errno::Errno;
use crate::fs::dirent::Listing;
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::id::Tid;
use crate::process::exec::plan::{Exec, ExecError, ProgramFile};
use crate::record::Record;
use alloc::{rc::Rc, string::String, vec::Vec};
use core::fmt::Debug;

/// Why a task that was running guest code stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It made a system call that the kernel must see; nothing of it has happened yet.
    Call(Call),
    /// An instruction faulted (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGTRAP`).
    Fault(Fault),
    /// The real process was killed by someone who is not fated.
    Killed {
        /// The signal that killed it.
        signal: i32,
    },
}

/// What a new task shares with the one that makes it, and where it starts.
#[derive(Clone, Copy, Debug)]
pub struct Spawn {
    /// The id that the kernel gave the new task.
    pub tid: Tid,
    /// The `CLONE_*` bits that shape the real side: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS. The engine
    /// takes no other bit from here.
    pub flags: u64,
    /// The stack pointer of the new task, or `None` to keep the parent's.
    pub stack: Option<u64>,
    /// With `CLONE_SETTLS`: its thread pointer.
    pub tls: u64,
}

/// The processor state of one task.
pub trait Cpu: Debug {
    /// The registers with which the task will continue.
    fn regs(&self) -> Regs;
    /// Replaces the registers. `rax` is what the guest sees as the result; no call is restarted.
    fn set_regs(&self, regs: &Regs);
    /// Replaces `rax` alone.
    fn set_result(&self, rax: u64) {
        self.set_regs(&Regs { rax, ..self.regs() });
    }
    /// The extended state (FPU, SSE, AVX…) in the format of a signal frame (`struct _xstate`).
    fn xstate(&self) -> Vec<u8>;
    /// Replaces the extended state; an image that the processor would refuse gives `EINVAL`.
    fn set_xstate(&self, image: &[u8]) -> Result<(), Errno>;
    /// What the guest's `cpuid` answers with `leaf` in eax and `sub` in ecx: eax, ebx, ecx, edx.
    fn cpuid(&self, leaf: u32, sub: u32) -> [u32; 4];
}

/// The memory of one task.
pub trait Memory: Debug {
    /// Copies guest memory at `addr` to `buf`; returns how many bytes could be read before a bad address.
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize;
    /// Copies `data` to guest memory at `addr`; returns how many bytes could be written before a bad address.
    fn write(&self, addr: u64, data: &[u8]) -> usize;
}

/// `AT_FDCWD`: a path begins in the working directory.
pub const AT_FDCWD: i32 = -100;
/// `AT_SYMLINK_NOFOLLOW`.
pub const NOFOLLOW: u32 = 0x100;

/// The real files as one task sees them: through its working directory, its descriptors and its real `/proc/self`.
pub trait HostFiles: Debug {
    /// statx(2). A symbolic link as the last component is followed unless `flags` has `AT_SYMLINK_NOFOLLOW`. An empty path
    /// stands for `dirfd` itself.
    fn stat(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno>;
    /// All entries of the real directory behind descriptor `fd`, in any order, with their real inode numbers. `again`: the
    /// directory has been read before, so its real position has to be reset.
    fn list(&self, fd: i32, again: bool) -> Result<Listing, Errno>;
    /// readlink(2).
    fn read_link(&self, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno>;
    /// Opens a regular file that the task may execute (Linux: `do_open_execat`). `flags` are `AT_EMPTY_PATH` and
    /// `AT_SYMLINK_NOFOLLOW`. `None`: the task may execute it but not read it.
    fn open_program(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno>;
    /// The content of the real `/proc/self/NAME`: `maps`, `cmdline`, `environ`, `auxv`…
    fn proc_file(&self, name: &str) -> Result<Vec<u8>, Errno>;
    /// The target of the real symbolic link `/proc/self/NAME`: `exe`, `cwd`, `fd/N`.
    fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno>;
}

/// The real task behind a task of the kernel.
pub trait RealTask: Cpu + Memory + HostFiles {
    /// Has the real Linux carry out `call` in the task's own context and returns its result (a negative errno on failure).
    /// The call must not block. Registers other than `rax` keep their values.
    fn native(&self, call: Call) -> i64;

    /// Has the real Linux carry out the call that the task is in, unchanged; the kernel doesn't use the result. An engine may
    /// do so at once, as [`RealTask::native`] does. `None`: it is done when the task continues, which is the next thing that
    /// happens. Without `pass`, the call is skipped and the guest sees `rax`.
    fn pass(&self, call: Call) -> Option<i64>;

    /// Makes a new real task whose parent is the engine. It starts behind the call that its maker is in, with 0 in `rax`, and
    /// stays stopped until the kernel runs it.
    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn RealTask>, Errno>;
    /// Whether an exec is the real Linux's, by the paths in its request. If not, the engine loads the files of the plan itself.
    fn has_linux_exec(&self) -> bool {
        false
    }
    /// Replaces the program as planned. The process has no other thread any more.
    ///
    /// # Errors
    /// [`ExecError`] says whether the task continues in the old program.
    fn exec(&self, exec: Exec) -> Result<(), ExecError>;
    /// Ends this task; it never runs again. The last one takes the process with it.
    fn exit(&self);
    /// Ends the whole process with all its tasks; none of them runs again.
    fn exit_group(&self);
}

/// A wait for a standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Its number.
    pub stream: i32,
    /// The `POLL*` bits that are waited for.
    pub bits: u32,
    /// How many bytes of input, where it comes in blocks.
    pub want: u64,
}

impl Awaited {
    /// Whether somebody outside is awaited who opens the other end of a named pipe.
    #[must_use]
    pub fn is_for_opening(&self) -> bool {
        self.stream >= FIFOS && self.bits == poll::PRI
    }
}

/// From here on, streams are named pipes.
pub const FIFOS: i32 = 1 << 20;

/// What is asked about a named pipe whose other end somebody outside of the run may have, or open later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FifoRequest<'a> {
    /// From now on `POLLPRI` says that the other end is there.
    Await {
        /// The pipe's real path.
        path: &'a [u8],
        /// The guest writes; otherwise it reads.
        writes: bool,
    },
    /// The guest has it now, and reads or writes it as any other stream.
    Take,
    /// The guest has closed it, or doesn't wait any more.
    Close,
}

/// The standard streams of fated itself, and the other streams that the first process inherits.
pub trait Console: Debug {
    /// Reads from stream `fd`, which has its number as a descriptor; `EAGAIN` if there is no input yet. Where input comes in blocks, it
    /// blocks for one.
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno>;
    /// Writes to stream `fd`; may block.
    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno>;
    /// The `POLL*` bits of stream `fd` now. Where input comes in blocks, `POLLIN` means that `want` bytes are there, or less and then the
    /// end; `FIONREAD` then gives their number.
    fn poll(&self, fd: i32, want: u64) -> u32;
    /// What kind of file the stream is.
    fn stat(&self, fd: i32) -> Result<FileStat, Errno>;
    /// ioctl(2) with an argument of at most `arg.len()` bytes, copied in and out.
    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno>;
    /// Asks for something about a named pipe, which becomes stream `number` ([`FIFOS`] or more). `false` if nobody can be outside.
    fn fifo(&self, _number: i32, _request: &FifoRequest<'_>) -> bool {
        false
    }
}

/// Takes what the kernel reports about a run.
pub trait Trace: Debug {
    /// An entry of the log of calls (only with [`crate::config::Config::log`]).
    fn record(&self, record: &Record);
    /// A line for the user: a refused call, a task that spins.
    fn notice(&self, line: String);
}

/// Where the text of a run's journal comes from and goes to.
pub trait Store: Debug {
    /// Appends lines to the journal that is written.
    fn append(&self, lines: &[u8]);
    /// The next piece of the journal that is obeyed; empty at its end.
    fn more(&self) -> Vec<u8>;
}
