//! Makes the plan of an exec, as Linux finds a program (`fs/exec.c`): the file, the chain of scripts, the strings, the ELF headers.
//!
//! Invariant: making a plan changes nothing.

use crate::errno::Errno;
use crate::fs::inode::FileStat;
use crate::ports::HostFiles;
use crate::process::exec::elf::{self, Headers};
use crate::process::exec::plan::{ExecError, Image, Plan, ProgramFile};
use crate::process::exec::script::{self, HEAD};
use crate::process::exec::strings::Strings;
use alloc::{format, rc::Rc, string::String, vec::Vec};
use linux_raw_sys::general::{AT_EMPTY_PATH, AT_FDCWD};

/// How many scripts can be interpreters of each other (`exec_binprm`).
const MAX_SCRIPTS: u32 = 5;

/// What is to be started, as execveat(2) names it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The directory that the path begins at.
    pub dirfd: i32,
    /// The path.
    pub path: Vec<u8>,
    /// `AT_EMPTY_PATH` and `AT_SYMLINK_NOFOLLOW`.
    pub flags: u32,
    /// What it is called, if that isn't its path.
    pub name: Option<Vec<u8>>,
}

impl Target {
    /// A program at a path.
    #[must_use]
    pub fn at(path: &[u8]) -> Target {
        Target { dirfd: AT_FDCWD, path: path.to_vec(), flags: 0, name: None }
    }

    /// Whether the path begins at a descriptor.
    fn begins_at_descriptor(&self) -> bool {
        self.dirfd != AT_FDCWD && self.path.first() != Some(&b'/')
    }

    /// The name that the program, or the interpreter of a script, gets (`AT_EXECFN`; `bprm->filename`).
    fn name(&self) -> Vec<u8> {
        match &self.path[..] {
            _ if self.name.is_some() => self.name.clone().unwrap_or_default(),
            path if !self.begins_at_descriptor() => path.to_vec(),
            b"" => format!("/dev/fd/{}", self.dirfd).into_bytes(),
            path => [format!("/dev/fd/{}/", self.dirfd).as_bytes(), path].concat(),
        }
    }
}

/// What the kernel knows beyond the files.
pub trait Rules {
    /// Where the interpreter of a script is, as the real Linux knows it.
    fn locate(&self, path: &[u8]) -> Result<Target, Errno> {
        Ok(Target::at(path))
    }

    /// Whether a file is open for writing (`ETXTBSY`).
    fn is_written(&self, _: &FileStat) -> bool {
        false
    }

    /// Whether a descriptor is closed by an exec.
    fn is_closed_on_exec(&self, _fd: i32) -> bool {
        false
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Linux gives this error.
    Linux(Errno),
    /// Linux would start a 32-bit program, which no engine can run.
    Foreign,
    /// Linux would start a program that the user may execute but not read. Such a process can't be looked into, so no engine can run it.
    Unreadable,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal::Linux(errno)
    }
}

impl Refusal {
    /// The error that the guest gets.
    #[must_use]
    pub fn errno(self) -> Errno {
        match self {
            Refusal::Linux(errno) => errno,
            Refusal::Foreign => Errno::ENOEXEC,
            Refusal::Unreadable => Errno::EACCES,
        }
    }

    /// The line for the user, if this is a limitation of fated that a guest meets which starts `path`.
    #[must_use]
    pub fn notice(self, path: &[u8]) -> Option<String> {
        let path = String::from_utf8_lossy(path);
        match self {
            Refusal::Linux(_) => None,
            Refusal::Foreign => Some(format!(
                "a guest has tried to start {path}, a 32-bit program, which no engine of fated runs: its exec failed with ENOEXEC"
            )),
            Refusal::Unreadable => Some(format!(
                "a guest has tried to start {path}, which it, or whose interpreter it, may execute but not read. No engine of fated \
                 runs what it can't read: the exec failed with EACCES; permit reading (chmod +r)"
            )),
        }
    }
}

/// Plans to start `target`. `strings` gets the name of the program. It runs only once the file is known to be executable, as in Linux.
pub fn make(
    files: &dyn HostFiles,
    rules: &dyn Rules,
    target: &Target,
    strings: impl FnOnce(&[u8]) -> Result<Strings, Errno>,
) -> Result<Plan, Refusal> {
    if target.path.is_empty() && target.flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT.into());
    }
    let mut file = open(files, rules, target)?;
    let name = target.name();
    let mut strings = strings(&name)?;
    strings.complete();
    let mut script = name.clone();
    let (mut last, mut is_elsewhere) = (Vec::new(), false);
    for depth in 0..=MAX_SCRIPTS {
        let head = head_of(&*file)?;
        if !script::is_script(&head) {
            let (program, interpreter) = elf(files, rules, file, &head)?;
            let interpreter_path = is_elsewhere.then_some(last);
            return Ok(Plan { program, interpreter, name, interpreter_path, argv: strings.argv, env: strings.env });
        }
        let line = script::parse(&head).ok_or(Errno::ENOEXEC)?;
        if depth == 0 && target.begins_at_descriptor() && rules.is_closed_on_exec(target.dirfd) {
            // The interpreter would find nothing under the name of the script.
            return Err(Errno::ENOENT.into());
        }
        strings.interpret(&script, line.interpreter, line.argument)?;
        if line.interpreter.is_empty() {
            // It stands for the working directory.
            return Err(Errno::EACCES.into());
        }
        let target = rules.locate(line.interpreter)?;
        file = open(files, rules, &target)?;
        is_elsewhere |= target.name.is_some();
        last = target.path;
        script = line.interpreter.to_vec();
    }
    Err(Errno::ELOOP.into())
}

/// The plan of the first program, and the execve(2) that it belongs to.
#[derive(Debug)]
pub struct First {
    /// The plan.
    pub plan: Plan,
    /// Which of the paths is started.
    pub path: usize,
    /// The path is an argument of the shell, which is started in its place.
    pub by_shell: bool,
}

/// Why the first program can't be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// There is no plan.
    Refused(Refusal),
    /// Linux finds out behind the point of no return that it can't load the program, and kills the process with SIGSEGV.
    Lost,
}

impl From<ExecError> for NotStarted {
    fn from(error: ExecError) -> NotStarted {
        match error {
            ExecError::Refused(errno) => NotStarted::Refused(errno.into()),
            ExecError::Lost => NotStarted::Lost,
        }
    }
}

/// What a text without `#!` is a script for.
pub const SHELL: &[u8] = b"/bin/sh";

/// Plans to start the first program, as execvp(3) does: the first of `paths` that is there; one that can't be executed counts only if
/// there is no other. A text without `#!` is a script for [`SHELL`].
pub fn first(files: &dyn HostFiles, paths: &[Vec<u8>], argv: &[Vec<u8>], env: &[Vec<u8>]) -> Result<First, NotStarted> {
    let first = find_first(files, paths, argv, env).map_err(NotStarted::Refused)?;
    if first.plan.can_be_loaded() { Ok(first) } else { Err(NotStarted::Lost) }
}

fn find_first(files: &dyn HostFiles, paths: &[Vec<u8>], argv: &[Vec<u8>], env: &[Vec<u8>]) -> Result<First, Refusal> {
    struct NoRules;
    impl Rules for NoRules {}
    let plan = |path: &[u8], argv| make(files, &NoRules, &Target::at(path), |_| Ok(Strings::given(argv, env.to_vec())));
    let mut worst = Refusal::Linux(Errno::ENOENT);
    for (index, path) in paths.iter().enumerate() {
        let first = |by_shell| move |plan| First { plan, path: index, by_shell };
        match plan(path, argv.to_vec()) {
            Err(Refusal::Linux(Errno::ENOENT | Errno::ENOTDIR)) => {}
            Err(refusal) if refusal.errno() == Errno::EACCES => worst = refusal,
            Err(Refusal::Linux(Errno::ENOEXEC)) if is_text(files, path) => {
                let rest = argv.iter().skip(1).cloned();
                let argv = [SHELL.to_vec(), path.clone()].into_iter().chain(rest).collect();
                return plan(SHELL, argv).map(first(true)).map_err(|_| Errno::ENOEXEC.into());
            }
            result => return result.map(first(false)),
        }
    }
    Err(worst)
}

/// Opens a file that may be executed (Linux: `do_open_execat`).
fn open(files: &dyn HostFiles, rules: &dyn Rules, target: &Target) -> Result<Rc<dyn ProgramFile>, Refusal> {
    let file = files.open_program(target.dirfd, &target.path, target.flags)?.ok_or(Refusal::Unreadable)?;
    if rules.is_written(file.stat()) { Err(Errno::ETXTBSY.into()) } else { Ok(file) }
}

/// The beginning of a file, with zeros behind its end.
fn head_of(file: &dyn ProgramFile) -> Result<[u8; HEAD], Errno> {
    let mut head = [0; HEAD];
    file.read_at(&mut head, 0)?;
    Ok(head)
}

/// The program and its interpreter (Linux: `load_elf_binary`, up to `begin_new_exec`).
fn elf(
    files: &dyn HostFiles,
    rules: &dyn Rules,
    file: Rc<dyn ProgramFile>,
    head: &[u8; HEAD],
) -> Result<(Image, Option<Image>), Refusal> {
    const FILE_HEADER: u64 = 64;
    if elf::is_32_bit(head) {
        return Err(Refusal::Foreign);
    }
    let read_at = |buf: &mut [u8], offset| file.read_at(buf, offset);
    let headers = Headers::parse(head, false, read_at).ok_or(Errno::ENOEXEC)?;
    let interpreter = match headers.interpreter(read_at)? {
        None => None,
        Some(path) => {
            // Linkers are always real files.
            let file = open(files, rules, &Target::at(&path))?;
            if file.stat().size < FILE_HEADER {
                return Err(Errno::EIO.into());
            }
            let head = head_of(&*file)?;
            let headers = Headers::parse(&head, true, |buf, offset| file.read_at(buf, offset)).ok_or(Errno::ELIBBAD)?;
            Some(Image { file, headers })
        }
    };
    Ok((Image { file, headers }, interpreter))
}

/// Whether a file that Linux doesn't know may be a script for a shell: the check that shells make.
fn is_text(files: &dyn HostFiles, path: &[u8]) -> bool {
    let mut head = [0; 128];
    let file = files.open_program(AT_FDCWD, path, 0).ok().flatten();
    let len = file.and_then(|file| file.read_at(&mut head, 0).ok()).unwrap_or(0);
    !head.iter().take(len).any(|&byte| byte == 0)
}
