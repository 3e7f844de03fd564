//! What an engine gives the kernel: one [`Guest`] per task, one [`Outside`] per run.
//!
//! The kernel never touches a real process, descriptor or clock itself; it asks here. Every method is called
//! while the task is stopped, and none of them calls back into the kernel.

use crate::arch::{Call, Fault, Regs};
use crate::errno::Errno;
use crate::fs::dirent::Listing;
use crate::fs::inode::FileStat;
use crate::id::Tid;
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

/// A request to replace the program of a task.
#[derive(Clone, Debug)]
pub struct Exec {
    /// The directory the path is relative to (`AT_FDCWD` or a descriptor).
    pub dirfd: i32,
    /// Where in guest memory the path stands.
    pub path_addr: u64,
    /// The path itself.
    pub path: Vec<u8>,
    /// Where in guest memory the vector of arguments stands.
    pub argv: u64,
    /// Where in guest memory the vector of environment strings stands.
    pub envp: u64,
    /// `AT_EMPTY_PATH` and `AT_SYMLINK_NOFOLLOW`.
    pub flags: u32,
    /// The sixteen bytes behind `AT_RANDOM`.
    pub random: [u8; 16],
}

/// The engine's side of one task.
pub trait Guest: Debug {
    /// Copies guest memory at `addr` to `buf`; returns how many bytes could be read before a bad address.
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize;
    /// Copies `data` to guest memory at `addr`; returns how many bytes could be written before a bad address.
    fn write(&self, addr: u64, data: &[u8]) -> usize;

    /// The registers as they will be when the task runs on.
    fn regs(&self) -> Regs;
    /// Replaces the registers. `rax` is what the guest sees as the result; no call is restarted by itself.
    fn set_regs(&self, regs: &Regs);
    /// Replaces `rax` alone.
    fn set_result(&self, rax: u64) {
        self.set_regs(&Regs { rax, ..self.regs() });
    }
    /// The extended state (FPU, SSE, AVX…) in the format of a signal frame (`struct _xstate`).
    fn xstate(&self) -> Vec<u8>;
    /// Replaces the extended state; an image that the processor would refuse gives `EINVAL`.
    fn set_xstate(&self, image: &[u8]) -> Result<(), Errno>;

    /// Lets the real Linux carry out `call` in the task's own context and returns what it answered (negative
    /// errno included). The call must be one that doesn't block. The registers other than `rax` stay.
    fn native(&self, call: Call) -> i64;

    /// The real Linux carries out the call that the task is in, as it stands, and nobody but the guest looks at the result. An
    /// engine that can does it at once, as [`Guest::native`]; `None`: it will be done when the task runs on, which is the next
    /// thing to happen. Without this a call is skipped and the guest sees `rax`.
    fn pass(&self, call: Call) -> Option<i64>;

    /// Makes a new real task whose parent is the engine. It starts right behind the call that its maker is in,
    /// with 0 in `rax`, and stays stopped until the kernel runs it.
    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn Guest>, Errno>;
    /// Tells, without changing anything, whether [`Guest::exec`] would find a program that it can start.
    fn check_exec(&self, exec: &Exec) -> Result<(), Errno>;
    /// Replaces the program. All other threads of the process have left before. After an error the task goes on
    /// in the old program.
    fn exec(&self, exec: &Exec) -> Result<(), Errno>;
    /// This task ends; it is never run again. The last one takes the process with it.
    fn exit(&self);
    /// The whole process ends, with all its tasks; none of them is run again.
    fn exit_group(&self);

    /// statx(2) as this task would see it, symbolic links of the last component followed unless `flags` has
    /// `AT_SYMLINK_NOFOLLOW`. An empty path stands for `dirfd` itself.
    fn stat(&self, dirfd: i32, path: &[u8], flags: u32) -> Result<FileStat, Errno>;
    /// All entries of the real directory behind descriptor `fd`, in any order, with their real inode numbers. `again`: its real
    /// position may have been moved before.
    fn list(&self, fd: i32, again: bool) -> Result<Listing, Errno>;
    /// readlink(2) as this task would see it.
    fn read_link(&self, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno>;
    /// The bytes of the task's real `/proc/self/NAME`: `maps`, `cmdline`, `environ`, `auxv`…
    fn proc_file(&self, name: &str) -> Result<Vec<u8>, Errno>;
    /// The path of the program that the task runs, and of its working directory.
    fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno>;
}

/// What lies outside a run: the standard streams of fated itself.
pub trait Outside: Debug {
    /// Reads from stream `fd` (0, 1 or 2) of fated; `EAGAIN` where nothing is there yet.
    fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno>;
    /// Writes to stream `fd` of fated; may block.
    fn write(&self, fd: i32, data: &[u8]) -> Result<usize, Errno>;
    /// The `POLL*` bits of stream `fd` now.
    fn poll(&self, fd: i32) -> u32;
    /// What kind of file the stream is.
    fn stat(&self, fd: i32) -> Result<FileStat, Errno>;
    /// ioctl(2) with an argument of at most `arg.len()` bytes, copied in and out.
    fn ioctl(&self, fd: i32, request: u32, arg: &mut [u8]) -> Result<i64, Errno>;
    /// A call has ended (only with [`crate::config::Config::log`]).
    fn call(&self, record: &Record);
    /// One finished line for the user: a refused call, a task that spins.
    fn notice(&self, line: String);
}
