//! The plan of an exec: which program is to be started, by which interpreter, with which arguments. The kernel makes it
//! ([`planner`](crate::process::exec::planner)), and an engine carries it out ([`RealTask::exec`](crate::ports::RealTask::exec)).
//!
//! Invariant: a plan that there is has passed all checks that Linux makes before the point of no return. Both engines therefore give the
//! same errors.

use crate::errno::Errno;
use crate::fs::inode::FileStat;
use crate::process::exec::elf::Headers;
use alloc::{rc::Rc, vec::Vec};
use core::any::Any;
use core::fmt::Debug;

/// A real file that may be executed. It stays open as long as this is kept.
pub trait ProgramFile: Debug {
    /// Its status.
    fn stat(&self) -> &FileStat;
    /// pread(2).
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno>;
    /// For the engine that has opened it.
    fn as_any(&self) -> &dyn Any;
}

/// An ELF file that is to be mapped.
#[derive(Clone, Debug)]
pub struct Image {
    /// The file, open.
    pub file: Rc<dyn ProgramFile>,
    /// Its headers.
    pub headers: Headers,
}

/// A program that can be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program, behind all scripts.
    pub program: Image,
    /// Its interpreter (the dynamic linker).
    pub interpreter: Option<Image>,
    /// The name behind `AT_EXECFN`.
    pub name: Vec<u8>,
    /// The real path of the program, if it interprets a script and the real Linux doesn't find it by the names in scripts.
    pub interpreter_path: Option<Vec<u8>>,
    /// The arguments.
    pub argv: Vec<Vec<u8>>,
    /// The environment.
    pub env: Vec<Vec<u8>>,
}

impl Image {
    fn can_be_mapped(&self) -> bool {
        self.headers.can_be_mapped(self.file.stat().size)
    }
}

impl Plan {
    /// How much memory it has when it starts, in bytes: its files' segments, the first of the stack, and the vDSO.
    #[must_use]
    pub fn size(&self) -> u64 {
        const PAGE: u64 = 4096;
        const STACK: u64 = 33 * PAGE;
        const VDSO: u64 = 2 * PAGE;
        let segments = self.images().flat_map(|image| image.headers.loads());
        let pages = segments.map(|it| it.address.saturating_add(it.memory_size).div_ceil(PAGE) - it.address / PAGE);
        pages.sum::<u64>().saturating_mul(PAGE).saturating_add(STACK + VDSO)
    }

    fn images(&self) -> impl Iterator<Item = &Image> {
        [Some(&self.program), self.interpreter.as_ref()].into_iter().flatten()
    }

    /// Whether it can be loaded. Linux finds out behind the point of no return, and kills a process for which it can't.
    #[must_use]
    pub fn can_be_loaded(&self) -> bool {
        self.images().all(Image::can_be_mapped)
    }
}

/// An exec to be carried out.
#[derive(Debug)]
pub struct Exec {
    /// What has been found out.
    pub plan: Plan,
    /// The request, for an engine that passes it on to the real Linux.
    pub request: Request,
    /// The sixteen bytes behind `AT_RANDOM`.
    pub random: [u8; 16],
}

/// The arguments of execveat(2), with addresses in guest memory.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The directory that the path begins at.
    pub dirfd: i32,
    /// The path.
    pub path: u64,
    /// The vector of arguments.
    pub argv: u64,
    /// The vector of environment strings.
    pub envp: u64,
    /// `AT_EMPTY_PATH` and `AT_SYMLINK_NOFOLLOW`.
    pub flags: u32,
    /// The path stands for the plan's name of the program and is as long. An engine that passes it on puts the name in its place in the
    /// memory of the new program.
    pub stands_for_name: bool,
}

/// Why an exec has failed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecError {
    /// The old program is still there.
    Refused(Errno),
    /// It failed behind the point of no return. The process has no program any more, and has to be killed.
    Lost,
}
