//! The supervisor: starts the blob, answers its requests, watches over it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use fated_kernel::config::Config;
use fated_kernel::errno::Errno;
use fated_kernel::guest::Outside;
use fated_kernel::kernel::Ending;

use crate::block::Block;
use crate::error::Error;
use crate::sys;
use crate::wire::{
    self, ARENA_FD, BLOB_FD, BLOCK_SIZE, BUFFER_AT, BUFFER_SIZE, CONTROL_AT, Control, End, Plan, Reader, Writer, op,
};

/// The program that carries the kernel.
static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fated-blob"));

/// How often the supervisor looks whether anybody is left to make requests.
const TICK: Duration = Duration::from_millis(100);
/// What execvp(3) searches without a `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program: a path, or a name that is looked for in the guest's `PATH`.
    pub program: OsString,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Its whole environment, in this order.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts; fated's own directory if not given.
    pub cwd: Option<PathBuf>,
    /// Its standard streams are nothing real: all goes through [`Outside`].
    pub placeholders: bool,
    /// Call sites are rewritten once they have made a few calls. Without, every call is a signal.
    pub rewrite: bool,
    /// The CPU for guests and supervisor; the current one if not given.
    pub cpu: Option<usize>,
}

/// What the supervisor shares with the blob, mapped.
struct Shared(Block);

impl Shared {
    fn control(&self) -> &Control {
        // SAFETY: the mapping lives as long as `self`; all of the structure is atomic, and zeros are valid.
        unsafe { self.0.begin().add(CONTROL_AT as usize).cast::<Control>().as_ref() }
    }

    fn buffer(&self) -> *mut u8 {
        // SAFETY: the buffer lies in the mapping.
        unsafe { self.0.begin().add(BUFFER_AT as usize).as_ptr() }
    }

    /// Copies bytes out of the buffer.
    fn get(&self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len.min(BUFFER_SIZE) as usize];
        // SAFETY: the buffer lies in the mapping; while a request waits for its answer, no other side writes to it.
        unsafe { ptr::copy_nonoverlapping(self.buffer(), bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }

    /// Copies bytes into the buffer; `false` if they are too many.
    fn put(&self, bytes: &[u8]) -> bool {
        let fits = bytes.len() as u64 <= BUFFER_SIZE;
        if fits {
            // SAFETY: as in `get`.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.buffer(), bytes.len()) };
        }
        fits
    }
}

/// A program and all that comes of it.
pub struct Engine {
    shared: Shared,
    outside: Rc<dyn Outside>,
    init: Child,
    program: String,
    affinity: Option<libc::cpu_set_t>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("program", &self.program).finish_non_exhaustive()
    }
}

fn start(step: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Start { step: step.into(), errno }
}

/// The program that carries the kernel, as a file. What is loaded of it is written through the mapping, so that it comes to
/// stand in the huge page; symbols and debug information follow.
fn blob_file() -> Result<File, Errno> {
    let mut file = sys::memfd(c"fated")?;
    file.set_len(BLOCK_SIZE).map_err(|_| sys::last())?;
    let block = Block::map(&file)?;
    let (loaded, rest) = BLOB.split_at(BLOB.len().min(BLOCK_SIZE as usize));
    // SAFETY: the block is at least as long, and nobody else has it.
    unsafe { ptr::copy_nonoverlapping(loaded.as_ptr(), block.begin().as_ptr(), loaded.len()) };
    file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(rest)).map_err(|_| sys::last())?;
    Ok(file)
}

/// The paths that execvp(3) would try for `program`.
fn candidates(program: &OsStr, env: &[(OsString, OsString)]) -> Vec<Vec<u8>> {
    let program = program.as_bytes();
    if program.contains(&b'/') || program.is_empty() {
        return vec![program.to_vec()];
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value.as_bytes());
    path.split(|&byte| byte == b':')
        .map(|dir| if dir.is_empty() { program.to_vec() } else { [dir, b"/", program].concat() })
        .collect()
}

impl Engine {
    /// Starts the blob, which makes the kernel and loads the program. What fails in it is told by [`Engine::run`].
    ///
    /// # Errors
    /// This machine doesn't let the engine work.
    pub fn launch(launch: &Launch, config: &Config, outside: Rc<dyn Outside>) -> Result<Engine, Error> {
        let arena = sys::memfd(c"fated-arena").map_err(start("make the arena"))?;
        arena.set_len(BLOCK_SIZE).map_err(|_| start("size the arena")(sys::last()))?;
        let shared = Shared(Block::map(&arena).map_err(start("map the arena"))?);
        let blob = blob_file().map_err(start("make the kernel's file"))?;

        let bytes = |text: &OsString| text.as_bytes().to_vec();
        let plan = Plan {
            config: config.clone(),
            argv: [&launch.program].into_iter().chain(&launch.args).map(bytes).collect(),
            candidates: candidates(&launch.program, &launch.env),
            env: launch.env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect(),
            cwd: launch.cwd.as_ref().map(|cwd| cwd.as_os_str().as_bytes().to_vec()),
            placeholders: launch.placeholders,
            rewrite: launch.rewrite,
        };
        let mut writer = Writer::default();
        plan.write(&mut writer);
        if !shared.put(&writer.0) {
            return Err(start("pass arguments and environment to the guest")(Errno::E2BIG));
        }
        shared.control().len.store(writer.0.len() as u64, SeqCst);
        shared.control().args[0].store(u64::from(config.cpus), SeqCst);

        let affinity = sys::stay_on(launch.cpu);
        let init = spawn(&blob, &arena).map_err(|_| start("start the first process")(sys::last()));
        let program = launch.program.to_string_lossy().into_owned();
        match init {
            Ok(init) => Ok(Engine { shared, outside, init, program, affinity }),
            Err(error) => {
                affinity.iter().for_each(sys::allow);
                Err(error)
            }
        }
    }

    /// Serves the run to its end.
    ///
    /// # Errors
    /// The program can't be started.
    pub fn run(&mut self) -> Result<Ending, Error> {
        loop {
            let control = self.shared.control();
            if control.request.load(SeqCst) == 1 {
                if let Some(end) = self.serve() {
                    return self.ended(end);
                }
                self.shared.control().request.store(0, SeqCst);
                sys::futex_wake(&self.shared.control().request);
                continue;
            }
            if let Some(real) = self.missing() {
                return Ok(Ending::Broken(format!(
                    "a guest (process {real} of this machine) was killed from outside of the run"
                )));
            }
            if let Ok(Some(status)) = self.init.try_wait() {
                return Ok(Ending::Broken(format!("the first process ended before the run did ({status})")));
            }
            sys::futex_wait(&control.request, 0, TICK);
        }
    }

    /// A guest that ended though nobody had told it to. While it is in an exec the first process can't be woken by it, so
    /// whoever has the turn is looked after here.
    fn missing(&self) -> Option<u32> {
        let control = self.shared.control();
        let (died, running) = (control.died.load(SeqCst), control.running.load(SeqCst));
        if died != 0 {
            return Some(died);
        }
        (running != 0 && !sys::exists(running)).then_some(running)
    }

    fn ended(&self, end: End) -> Result<Ending, Error> {
        let program = self.program.clone();
        match end {
            End::Exited(status) => Ok(Ending::Exited(status)),
            End::Deadlock(tasks) => Ok(Ending::Deadlock(tasks)),
            End::Broken(why) => Ok(Ending::Broken(why)),
            End::NoProgram(Errno::ENOENT | Errno::ENOTDIR) => Err(Error::NotFound { program }),
            End::NoProgram(errno) => Err(Error::NotExecutable { program, errno }),
            End::NoStart(step, errno) => Err(Error::Start { step, errno }),
        }
    }

    /// Answers the request that waits.
    fn serve(&self) -> Option<End> {
        let control = self.shared.control();
        let number = control.op.load(SeqCst);
        let [fd, argument] = [0, 1].map(|i| control.args[i].load(SeqCst));
        let fd = fd as i32;
        let mut data = self.shared.get(control.len.load(SeqCst));
        let errno = |errno: Errno| -i64::from(errno.number());
        let answer = match number {
            op::READ => {
                let mut bytes = vec![0; argument.min(BUFFER_SIZE) as usize];
                self.outside.read(fd, &mut bytes).map_or_else(errno, |len| {
                    self.shared.put(&bytes[..len]);
                    len as i64
                })
            }
            op::WRITE => self.outside.write(fd, &data).map_or_else(errno, |len| len as i64),
            op::POLL => i64::from(self.outside.poll(fd)),
            op::STAT => self.outside.stat(fd).map_or_else(errno, |stat| {
                let mut writer = Writer::default();
                wire::write_stat(&stat, &mut writer);
                self.shared.put(&writer.0);
                writer.0.len() as i64
            }),
            op::IOCTL => {
                let result = self.outside.ioctl(fd, argument as u32, &mut data);
                self.shared.put(&data);
                result.unwrap_or_else(errno)
            }
            op::CALLS => {
                let mut reader = Reader(&data);
                while let Some(record) = wire::read_record(&mut reader) {
                    self.outside.call(&record);
                }
                0
            }
            op::NOTICE => {
                self.outside.notice(String::from_utf8_lossy(&data).into_owned());
                0
            }
            op::AWAIT => {
                self.await_streams(&Reader(&data).list(|from| (from.number() as i32, from.number() as u32)));
                0
            }
            op::FINISHED => return Some(End::read(&mut Reader(&data))),
            number => {
                return Some(End::Broken(format!(
                    "a guest has made request {number}, which there is none of; its arena is damaged"
                )));
            }
        };
        control.answer.store(answer as u64, SeqCst);
        None
    }

    /// Blocks until one of the streams is ready, or a tick is over; the kernel looks for itself what it was.
    fn await_streams(&self, streams: &[(i32, u32)]) {
        if streams.iter().any(|&(fd, events)| self.outside.poll(fd) & events != 0) {
            return;
        }
        let event = |events: u32| i16::try_from(events & 0x7fff).unwrap_or(0);
        let mut fds: Vec<_> =
            streams.iter().map(|&(fd, events)| libc::pollfd { fd, events: event(events), revents: 0 }).collect();
        sys::poll(&mut fds, TICK);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It ends when all guests have.
        let control = self.shared.control();
        control.over.store(1, SeqCst);
        sys::futex_wake(&control.deaths);
        let _ = self.init.wait();
        self.affinity.iter().for_each(sys::allow);
    }
}

#[expect(clippy::disallowed_methods, reason = "the one process that an engine starts")]
fn spawn(blob: &File, arena: &File) -> std::io::Result<Child> {
    let moves: [(RawFd, RawFd); 2] = [(blob.as_raw_fd(), BLOB_FD), (arena.as_raw_fd(), ARENA_FD)];
    let mut command = Command::new(format!("/proc/self/fd/{}", blob.as_raw_fd()));
    command.arg0("fated-inside").env_clear();
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in moves {
                if libc::dup2(from, to) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_as_execvp_does() {
        let env = [("PATH".into(), "/a::b".into())];
        assert_eq!(candidates("x".as_ref(), &env), [&b"/a/x"[..], b"x", b"b/x"]);
        assert_eq!(candidates("./x".as_ref(), &env), [b"./x"]);
        assert_eq!(candidates("x".as_ref(), &[]), [&b"/bin/x"[..], b"/usr/bin/x"]);
    }
}
