//! What to run, and how.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fated_kernel::errno::Errno;
use fated_kernel::process::exec::planner::{NotStarted, Refusal};

use crate::cpuid;
use crate::error::{Error, start};
use crate::sys;

/// What stands behind descriptors 0, 1 and 2 of the first program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// Fated's own streams.
    #[default]
    Inherit,
    /// Nothing real: all reading and writing goes through [`fated_kernel::ports::Console`].
    Placeholders,
    /// Each as it says.
    Each([Stream; 3]),
}

/// What stands behind one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Fated's own stream.
    Inherited,
    /// `/dev/null`, in place of a stream that only the kernel reads and writes.
    Null,
    /// The same, but a pipe: the few calls that the real Linux carries out on a placeholder tell pipes from other files.
    Pipe,
}

impl Streams {
    /// Which streams are placeholders: one bit each, and three bits higher one for each that is a pipe.
    #[must_use]
    pub fn placeholders(self) -> u8 {
        match self {
            Streams::Inherit => 0,
            Streams::Placeholders => 0b111,
            Streams::Each(streams) => (0..3).zip(streams).fold(0, |bits, (fd, stream)| match stream {
                Stream::Inherited => bits,
                Stream::Null => bits | 1 << fd,
                Stream::Pipe => bits | 9 << fd,
            }),
        }
    }
}

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
    /// What its standard streams are.
    pub streams: Streams,
    /// The CPU for guests and engine; the current one if not given.
    pub cpu: Option<usize>,
    /// How many processors `cpuid` tells of (as [`fated_kernel::config::Config::cpus`]).
    pub cpus: u32,
    /// `cpuid` is made to fault where the processor can do that, so that fated answers it. Without, guests see the real
    /// processor, as they do where it can't; that is for tests of fated.
    pub cpuid_faulting: bool,
    /// How much processor time a task may burn without a call.
    pub spin_limit: Option<Duration>,
    /// The engine inside the guest rewrites call sites once they have made a few calls. Without, every call is a signal.
    pub rewrite: bool,
}

/// The variable of fated's own that, if it is 1, clears [`Launch::cpuid_faulting`] of all runs: so all tests can be run as on a
/// processor that can't make `cpuid` fault. It is read by the command and by tests that do without that.
pub const NO_CPUID_FAULTING: &str = "FATED_NO_CPUID_FAULTING";

/// What execvp(3) searches without a `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The oldest Linux with everything that the engines use.
const OLDEST_LINUX: (u32, u32) = (5, 13);

impl Launch {
    /// A program without arguments and with an empty environment.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Launch {
        Launch {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            streams: Streams::Inherit,
            cpu: None,
            cpus: 1,
            cpuid_faulting: true,
            spin_limit: Some(Duration::from_secs(600)),
            rewrite: true,
        }
    }

    /// Finds out what keeps any engine from starting this: an old Linux, a NUL in a text.
    ///
    /// # Errors
    /// What it is.
    pub fn check(&self) -> Result<(), Error> {
        let (major, minor) = sys::linux_version().map_err(start("ask for Linux's version"))?;
        if (major, minor) < OLDEST_LINUX {
            return Err(Error::OldLinux { major, minor });
        }
        let no_nul = |text: &[u8], what: &str| {
            let what = || format!("{what} {:?}", String::from_utf8_lossy(text));
            if text.contains(&0) { Err(Error::Nul { what: what() }) } else { Ok(()) }
        };
        self.words().try_for_each(|word| no_nul(word.as_bytes(), "the argument"))?;
        self.candidates().iter().try_for_each(|path| no_nul(path, "the program"))?;
        self.variables().iter().try_for_each(|variable| no_nul(variable, "the variable"))?;
        self.cwd.iter().try_for_each(|cwd| no_nul(cwd.as_os_str().as_bytes(), "the directory"))
    }

    /// Whether fated answers the `cpuid` of guests. If not, they see the real processor, and runs on other machines may differ.
    #[must_use]
    pub fn hides_processor(&self) -> bool {
        self.cpuid_faulting && cpuid::can_fault()
    }

    /// The program as it was named, then its arguments.
    pub fn words(&self) -> impl Iterator<Item = &OsString> {
        [&self.program].into_iter().chain(&self.args)
    }

    /// The environment as `NAME=VALUE`.
    #[must_use]
    pub fn variables(&self) -> Vec<Vec<u8>> {
        self.env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect()
    }

    /// The paths that execvp(3) would try for the program.
    #[must_use]
    pub fn candidates(&self) -> Vec<Vec<u8>> {
        let program = self.program.as_bytes();
        if program.contains(&b'/') || program.is_empty() {
            return vec![program.to_vec()];
        }
        let path = self.env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path.as_bytes());
        path.split(|&byte| byte == b':')
            .map(|dir| if dir.is_empty() { program.to_vec() } else { [dir, b"/", program].concat() })
            .collect()
    }

    /// Why the program can't be run, in words for the user.
    #[must_use]
    pub fn not_run(&self, why: NotStarted) -> Error {
        let program = self.program.to_string_lossy().into_owned();
        let why = match why {
            NotStarted::Lost => return Error::Lost { program },
            NotStarted::Refused(Refusal::Linux(Errno::ENOENT | Errno::ENOTDIR)) => return Error::NotFound { program },
            NotStarted::Refused(Refusal::Linux(Errno::EACCES)) => {
                "permission denied; it must be a regular file with the right to execute it (chmod +x)".into()
            }
            NotStarted::Refused(Refusal::Unreadable) => {
                "it may be executed but not read, and fated runs only what it can read; permit that (chmod +r)".into()
            }
            NotStarted::Refused(Refusal::Foreign) => "it is a 32-bit program; fated runs those for x86-64 only".into(),
            NotStarted::Refused(Refusal::Linux(Errno::ENOEXEC)) => {
                "Linux doesn't know its format; it must be a program for x86-64 or a script that begins with #!".into()
            }
            NotStarted::Refused(Refusal::Linux(errno)) => errno.to_string(),
        };
        Error::NotExecutable { program, why }
    }

    /// Why the directory can't be entered.
    #[must_use]
    pub fn not_entered(&self, errno: Errno) -> Error {
        let directory = self.cwd.as_deref().unwrap_or(Path::new(".")).to_string_lossy().into_owned();
        Error::Directory { directory, errno }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_as_execvp_does() {
        let env = vec![("PATH".into(), "/a::b".into())];
        let candidates = |program: &str, env| Launch { env, ..Launch::new(program) }.candidates();
        assert_eq!(candidates("x", env.clone()), [&b"/a/x"[..], b"x", b"b/x"]);
        assert_eq!(candidates("./x", env), [b"./x"]);
        assert_eq!(candidates("x", Vec::new()), [&b"/bin/x"[..], b"/usr/bin/x"]);
    }

    #[test]
    fn no_text_may_hold_a_nul() {
        let variable = vec![("A".into(), "b\0c".into())];
        assert!(matches!(Launch { env: variable, ..Launch::new("x") }.check(), Err(Error::Nul { .. })));
        assert!(matches!(Launch { args: vec!["\0".into()], ..Launch::new("x") }.check(), Err(Error::Nul { .. })));
        assert!(Launch::new("x").check().is_ok());
    }
}
