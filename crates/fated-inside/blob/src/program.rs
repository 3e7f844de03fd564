//! exec: finds out whether a program can be started, while there is still a way back; then replaces the image by the blob
//! itself, which goes on where the kernel was and loads the program.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use fated_engine::notice::{Notice, is_foreign_program};
use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;
use fated_kernel::ports::{Exec, Memory};
use linux_raw_sys::general::*;

use crate::elf::Headers;
use crate::guest::Inside;
use crate::host::host;
use crate::outside::{self, finish};
use crate::process::{self, Image};
use crate::sites::Identity;
use crate::wire::End;
use crate::{gate, guest, load, sys};

/// How many interpreters of interpreters Linux follows (`fs/exec.c`).
const MAX_INTERPRETERS: u32 = 5;
/// The longest single string, and what all of them may take with 8 MiB of stack (execve(2)).
const MAX_STRING: usize = 128 << 10;
const MAX_STRINGS: usize = 2 << 20;
const PAGE: u64 = 4096;

/// A file that stays open until it has been loaded.
pub struct File {
    pub fd: i32,
    pub identity: Identity,
}

impl Drop for File {
    fn drop(&mut self) {
        sys::close(self.fd);
    }
}

/// What is to be started.
pub struct Program {
    pub file: File,
    pub headers: Headers,
    pub interpreter: Option<(File, Headers)>,
    /// What `AT_EXECFN` tells.
    pub name: Vec<u8>,
    pub argv: Vec<Vec<u8>>,
    pub env: Vec<Vec<u8>>,
}

fn read_string(guest: &Inside, addr: u64) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    let mut chunk = [0; 256];
    loop {
        let at = addr.wrapping_add(text.len() as u64);
        // Not across the end of a page: behind a string there may be nothing, and a fault costs more than a copy.
        let chunk = &mut chunk[..(PAGE - at % PAGE).min(256) as usize];
        let got = guest.read(at, chunk);
        if let Some(end) = chunk[..got].iter().position(|&byte| byte == 0) {
            text.extend_from_slice(&chunk[..end]);
            return Ok(text);
        }
        if got < chunk.len() {
            return Err(Errno::EFAULT);
        }
        text.extend_from_slice(chunk);
        if text.len() >= MAX_STRING {
            return Err(Errno::E2BIG);
        }
    }
}

fn read_strings(guest: &Inside, mut addr: u64, total: &mut usize) -> Result<Vec<Vec<u8>>, Errno> {
    let mut strings = Vec::new();
    if addr == 0 {
        return Ok(strings);
    }
    loop {
        let mut pointer = [0; 8];
        if guest.read(addr, &mut pointer) < 8 {
            return Err(Errno::EFAULT);
        }
        if pointer == [0; 8] {
            return Ok(strings);
        }
        let text = read_string(guest, u64::from_le_bytes(pointer))?;
        *total += text.len() + 9;
        if *total > MAX_STRINGS {
            return Err(Errno::E2BIG);
        }
        strings.push(text);
        addr = addr.wrapping_add(8);
    }
}

/// Opens what may be executed.
fn open(dirfd: i32, path: &[u8], nofollow: bool) -> Result<File, Errno> {
    let nofollow = if nofollow { O_NOFOLLOW } else { 0 };
    let fd = if path.is_empty() {
        sys::open(AT_FDCWD, alloc::format!("/proc/self/fd/{dirfd}").as_bytes(), O_RDONLY)?
    } else {
        // A named pipe must not block here; the check for regular files comes next.
        sys::open(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | nofollow)?
    };
    let checked = check(fd);
    if checked.is_err() {
        sys::close(fd);
    }
    checked.map(|identity| File { fd, identity })
}

fn check(fd: i32) -> Result<Identity, Errno> {
    const KIND: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    let stat = crate::files::stat(fd, b"", 0)?;
    if stat.mode & KIND != REGULAR {
        return Err(Errno::EACCES);
    }
    const X_OK: u64 = 1;
    let flags = u64::from(AT_EMPTY_PATH | AT_EACCESS);
    sys::ask(__NR_faccessat2, [fd as u64, c"".as_ptr() as u64, X_OK, flags, 0, 0])?;
    if host().kernel.get().is_some_and(|kernel| kernel.fs.written.has(&stat)) {
        return Err(Errno::ETXTBSY);
    }
    Ok(Identity::of(&stat))
}

impl Program {
    /// What a guest asks for.
    pub fn find(guest: &Inside, exec: &Exec) -> Result<Program, Errno> {
        if exec.path.is_empty() && exec.flags & AT_EMPTY_PATH == 0 {
            return Err(Errno::ENOENT);
        }
        let mut total = 0;
        let argv = read_strings(guest, exec.argv, &mut total)?;
        let env = read_strings(guest, exec.envp, &mut total)?;
        let name = match (&exec.path[..], exec.dirfd) {
            (path, AT_FDCWD) => path.to_vec(),
            (path @ [b'/', ..], _) => path.to_vec(),
            (b"", fd) => alloc::format!("/dev/fd/{fd}").into_bytes(),
            (path, fd) => [alloc::format!("/dev/fd/{fd}/").as_bytes(), path].concat(),
        };
        Program::new(exec.dirfd, &exec.path, exec.flags & AT_SYMLINK_NOFOLLOW != 0, name, argv, env)
    }

    /// A program at a path.
    pub fn new(
        dirfd: i32,
        path: &[u8],
        nofollow: bool,
        name: Vec<u8>,
        mut argv: Vec<Vec<u8>>,
        env: Vec<Vec<u8>>,
    ) -> Result<Program, Errno> {
        if argv.is_empty() {
            // As Linux does since 5.18.
            argv.push(Vec::new());
        }
        let mut file = open(dirfd, path, nofollow)?;
        let mut script = name.clone();
        for _ in 0..=MAX_INTERPRETERS {
            let mut head = [0; 256];
            let len = sys::read_at(file.fd, &mut head, 0)?;
            let Some(line) = head[..len].strip_prefix(b"#!") else {
                let headers = Headers::read(file.fd, &head[..len]).inspect_err(|_| tell(&head))?;
                let interpreter = match &headers.interpreter {
                    None => None,
                    Some(path) => {
                        let file = open(AT_FDCWD, path, false)?;
                        let len = sys::read_at(file.fd, &mut head, 0)?;
                        // Linux calls a bad interpreter ELIBBAD; that one has no name in the kernel.
                        let headers = Headers::read(file.fd, &head[..len])?;
                        Some((file, headers))
                    }
                };
                return Ok(Program { file, headers, interpreter, name, argv, env });
            };
            let (interpreter, argument) = script_line(line).ok_or(Errno::ENOEXEC)?;
            argv.splice(0..1, [Some(interpreter.clone()), argument, Some(script)].into_iter().flatten());
            file = open(AT_FDCWD, &interpreter, false)?;
            script = interpreter;
        }
        Err(Errno::ELOOP)
    }

    /// Replaces the image of the process, in which this runs, and sets the task up to begin.
    pub fn start(self, task: &Inside, random: &[u8; 16]) -> Result<(), Errno> {
        let descriptors = &task.process.descriptors;
        let [_, blob, _] = descriptors.all();
        let argv = descriptors.arguments();
        let env = [0_u64];
        let sp = host().kernel_sp.get();
        let flags = u64::from(AT_EMPTY_PATH);
        host().huge.count();
        process::unwatch();
        // SAFETY: the kernel's stack lies in the arena; in the new image it is taken up again (`crate::start`).
        let result =
            unsafe { gate::gate_exec(sp, blob as u64, c"".as_ptr().cast(), argv.as_ptr(), env.as_ptr(), flags) };
        if let Some(errno) = Errno::of_return(result) {
            process::watch();
            return Err(errno);
        }
        let process = task.process;
        let loaded = match load::load(&self, random) {
            Ok(loaded) => loaded,
            // There is no way back any more; natively this is a SIGSEGV.
            Err(errno) => finish(&End::Broken(alloc::format!(
                "failed to load {} ({errno}) though it looked well before; run it with --engine ptrace",
                alloc::string::String::from_utf8_lossy(&self.name)
            ))),
        };
        const PR_SET_NAME: u64 = 15;
        let base = self.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut comm = [0_u8; 16];
        let len = base.len().min(15);
        comm[..len].copy_from_slice(&base[..len]);
        sys::call(__NR_prctl, [PR_SET_NAME, comm.as_ptr() as u64, 0, 0, 0, 0]);
        // The link of an open file can be read; were it not so, the path that was asked for is the best there is.
        let exe = sys::read_link(AT_FDCWD, alloc::format!("/proc/self/fd/{}", self.file.fd).as_bytes());
        let (exe, auxv) = (exe.unwrap_or(self.name), loaded.auxv);
        let texts = RefCell::new(process.image.borrow().texts.take());
        process.image.replace(Rc::new(Image { exe, auxv, texts, ..Image::default() }));
        task.context.regs.set(Regs {
            rip: loaded.entry,
            rsp: loaded.stack,
            eflags: 0x202,
            cs: 0x33,
            ss: 0x2b,
            orig_rax: u64::MAX,
            ..Regs::default()
        });
        task.context.called_at.set(0);
        if let Some(frame) = guest::fresh_frame() {
            task.frame.replace(frame);
        }
        process.holds.set(core::ptr::null());
        Ok(())
    }
}

/// Tells why there is no such exec, if that is fated's doing. Of the first program the engine's end tells.
fn tell(head: &[u8]) {
    if is_foreign_program(head) && host().kernel.get().is_some() {
        outside::notice(Notice::ForeignProgram);
    }
}

/// Path and argument in the first line of a script.
fn script_line(line: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = line.split(|&byte| byte == b'\n' || byte == 0).next()?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = line.iter().position(|byte| !blank(byte))?;
    let last = line.iter().rposition(|byte| !blank(byte))?;
    let line = &line[begin..=last];
    let end = line.iter().position(blank).unwrap_or(line.len());
    let rest = &line[end..];
    let argument = rest.iter().position(|byte| !blank(byte)).map(|at| rest[at..].to_vec());
    Some((line[..end].to_vec(), argument))
}
