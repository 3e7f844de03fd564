//! What to run, and how.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fated_kernel::errno::Errno;
use fated_kernel::process::exec::planner::{NotStarted, Refusal};

use fated_kernel::machine;
use fated_kernel::process::exec::script::{self, HEAD};

use crate::cpuid;
use crate::error::{Error, in_words, start};
use crate::limits;
use crate::stdio::Stdio;
use crate::sys;

/// The files of descriptors 0, 1 and 2 of the first program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// Fated's own streams.
    #[default]
    Inherit,
    /// Nothing real: all reading and writing goes through [`fated_kernel::ports::Console`].
    Placeholders,
    /// Each stream on its own.
    Each([Stream; 3]),
}

/// The file behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Fated's own file.
    Inherited,
    /// `/dev/null`, in place of a stream that only the kernel reads and writes.
    Null,
    /// A pipe, in place of such a stream: the few calls that Linux carries out on a placeholder treat pipes differently.
    Pipe,
}

/// A descriptor of the first program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its number.
    pub fd: i32,
    /// The flags that it is open with (`F_GETFL`), if it isn't a standard stream.
    pub flags: u32,
    /// What stands there.
    pub file: Stream,
}

impl From<Stdio> for Streams {
    /// Streams that look like something.
    fn from(stdio: Stdio) -> Streams {
        match stdio {
            Stdio::Inherit => Streams::Inherit,
            Stdio::Pipe => Streams::Each([Stream::Pipe; 3]),
            Stdio::Tty | Stdio::Null => Streams::Each([Stream::Null; 3]),
        }
    }
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program: a path, or a name to search for in the guest's `PATH`.
    pub program: OsString,
    /// Where it is, if its name doesn't lead there from its working directory.
    pub path: Option<OsString>,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Its whole environment, in this order.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory; fated's own by default.
    pub cwd: Option<PathBuf>,
    /// What its standard streams are.
    pub streams: Streams,
    /// What it inherits besides them.
    pub inherited: Vec<Descriptor>,
    /// The CPU of guests and engine; the current one by default.
    pub cpu: Option<usize>,
    /// How many processors `cpuid` reports (as [`fated_kernel::config::Config::cpus`]).
    pub cpus: u32,
    /// `cpuid` faults if the processor supports it, so that fated answers it. Otherwise guests see the real processor. Tests of fated
    /// clear this.
    pub cpuid_faulting: bool,
    /// How much processor time a task may use without a call.
    pub spin_limit: Option<Duration>,
    /// A directory in which what was found in files is remembered from run to run ([`sensitive::cache`](crate::sensitive::cache)); by
    /// default none.
    pub cache: Option<PathBuf>,
    /// The engine inside the guest rewrites call sites once they have made a few calls. Without, every call is a signal.
    pub rewrite: bool,
}

/// The environment variable that, if it is 1, clears [`Launch::cpuid_faulting`] in all runs. So all tests can run as on a processor that
/// can't make `cpuid` fault. The command reads it, and so do tests that don't use the command.
pub const NO_CPUID_FAULTING: &str = "FATED_NO_CPUID_FAULTING";

/// The directories that execvp(3) searches without a `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The oldest Linux with all features that the engines use.
const OLDEST_LINUX: (u32, u32) = (5, 13);

impl Launch {
    /// A program without arguments and with an empty environment.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Launch {
        Launch {
            program: program.into(),
            path: None,
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            streams: Streams::Inherit,
            inherited: Vec::new(),
            cpu: None,
            cpus: 1,
            cpuid_faulting: true,
            spin_limit: Some(Duration::from_secs(600)),
            cache: None,
            rewrite: true,
        }
    }

    /// Checks what every engine needs: a recent Linux, limits that are high enough, and no NUL in a text.
    ///
    /// # Errors
    /// The need that isn't met.
    pub fn check(&self) -> Result<(), Error> {
        if sys::linux_release().is_ok_and(|release| release == machine::RELEASE) {
            return Err(Error::Nested);
        }
        let (major, minor) = sys::linux_version().map_err(start("ask for Linux's version"))?;
        if (major, minor) < OLDEST_LINUX {
            return Err(Error::OldLinux { major, minor });
        }
        limits::provide(&limits::EVERY_RUN).map_err(|why| Error::Limit { why })?;
        let no_nul = |text: &[u8], what: &str| {
            let what = || format!("{what} {:?}", String::from_utf8_lossy(text));
            if text.contains(&0) { Err(Error::Nul { what: what() }) } else { Ok(()) }
        };
        self.words().try_for_each(|word| no_nul(word.as_bytes(), "the argument"))?;
        self.candidates().iter().try_for_each(|path| no_nul(path, "the program"))?;
        self.variables().iter().try_for_each(|variable| no_nul(variable, "the variable"))?;
        self.cwd.iter().try_for_each(|cwd| no_nul(cwd.as_os_str().as_bytes(), "the directory"))
    }

    /// Whether fated answers the `cpuid` of guests. If not, guests see the real processor, and runs on other machines may differ.
    #[must_use]
    pub fn hides_processor(&self) -> bool {
        self.cpuid_faulting && cpuid::can_fault()
    }

    /// All descriptors that the program has, in order.
    #[must_use]
    pub fn descriptors(&self) -> Vec<Descriptor> {
        let streams = match self.streams {
            Streams::Inherit => [Stream::Inherited; 3],
            Streams::Placeholders => [Stream::Null; 3],
            Streams::Each(streams) => streams,
        };
        let standard = (0..).zip(streams).map(|(fd, file)| Descriptor { fd, flags: 0, file });
        let mut others = self.inherited.clone();
        others.sort_unstable_by_key(|it| it.fd);
        standard.chain(others).collect()
    }

    /// The program as the user named it, then its arguments.
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
        let program = self.path.as_ref().unwrap_or(&self.program).as_bytes();
        if program.contains(&b'/') || program.is_empty() {
            return vec![program.to_vec()];
        }
        let path = self.env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path.as_bytes());
        path.split(|&byte| byte == b':')
            .map(|dir| if dir.is_empty() { program.to_vec() } else { [dir, b"/", program].concat() })
            .collect()
    }

    /// The error of a program that can't be started.
    #[must_use]
    pub fn not_run(&self, why: NotStarted) -> Error {
        let program = self.program.to_string_lossy().into_owned();
        let why = match why {
            NotStarted::Lost => return Error::Lost { program },
            NotStarted::Refused(Refusal::Linux(Errno::ENOENT | Errno::ENOTDIR)) => return self.not_found(program),
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
            NotStarted::Refused(Refusal::Linux(errno)) => in_words(errno),
        };
        Error::NotExecutable { program, why }
    }

    /// The error of a program that Linux doesn't find: itself, or the interpreter that it names.
    fn not_found(&self, program: String) -> Error {
        let here = self.cwd.as_deref().unwrap_or(Path::new("."));
        let paths = self.candidates().into_iter().map(|path| here.join(OsStr::from_bytes(&path)));
        let Some(path) = paths.into_iter().find(|path| path.is_file()) else {
            let is_line = program.contains(char::is_whitespace);
            let hint = if is_line {
                format!("for a command line of the shell, say: fated run -- sh -c '{program}'")
            } else {
                "name one that exists, or set PATH with --env".into()
            };
            return Error::NotFound { program, hint };
        };
        let program = path.display().to_string();
        let mut head = [0; HEAD];
        let _ = File::open(&path).and_then(|mut file| file.read(&mut head));
        let why = match script::parse(&head).filter(|_| script::is_script(&head)) {
            Some(line) if line.interpreter.ends_with(b"\r") => {
                "its lines end with carriage returns (CRLF), so that Linux looks for an interpreter whose name ends with one; convert it \
                 with: sed -i 's/\\r$//' FILE"
                    .replace("FILE", &program)
            }
            Some(line) => {
                let name = String::from_utf8_lossy(line.interpreter);
                format!("its first line names the interpreter {name}, which isn't there")
            }
            None => "the file is there, but not the dynamic linker that it names (readelf -l shows its path)".into(),
        };
        Error::NoInterpreter { program, why }
    }

    /// The error of a directory that can't be entered.
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
    fn a_name_is_searched_for_as_execvp_does() {
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
