//! The input of a program that is run twice (`--verify`, `--policy pct:N:auto`): all that comes from outside is read to its end before the
//! first run, so that both runs get the same.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::Context as _;
use fated_engine::inherit::{self, Kind};
use fated_engine::{Captured, Descriptor, Stream, sys};

use crate::settings::Settings;
use crate::stderr;

/// The input of both runs.
#[derive(Debug)]
pub struct Input {
    standard: Vec<u8>,
    inherited: Vec<Inherited>,
}

/// An inherited descriptor.
#[derive(Debug)]
struct Inherited {
    descriptor: Descriptor,
    kind: Kind,
    /// What can be read from it.
    input: Vec<u8>,
    /// Where a regular file stands at first.
    position: u64,
}

impl Input {
    /// Reads all input for `option`. A terminal has none, as nobody shall have to type it.
    pub fn read(option: &str) -> anyhow::Result<Input> {
        let mut standard = Vec::new();
        if !io::stdin().is_terminal() {
            io::stdin().read_to_end(&mut standard).context("failed to read standard input")?;
        }
        let files = inherit::inheritance().files;
        let mut inherited = Vec::new();
        for file in &files {
            let Descriptor { fd, flags, .. } = file.descriptor;
            let access = |flags: u32| flags.cast_signed() & libc::O_ACCMODE;
            let mut input = Vec::new();
            if file.kind == Kind::Pipe && access(flags) != libc::O_WRONLY {
                let fed =
                    |other: &inherit::File| other.id == file.id && access(other.descriptor.flags) != libc::O_RDONLY;
                if files.iter().any(fed) {
                    let why = "it is a pipe whose other end is inherited, too, so that its input has no end";
                    stderr::say(format_args!("{option} closes what is open as {fd}: {why}"));
                    continue;
                }
                input = read_to_end(fd).with_context(|| format!("failed to read descriptor {fd}"))?;
            }
            let position = sys::seek(fd, 0, libc::SEEK_CUR).unwrap_or(0);
            inherited.push(Inherited { descriptor: file.descriptor, kind: file.kind, input, position });
        }
        Ok(Input { standard, inherited })
    }

    /// The settings of a run with this input.
    #[must_use]
    pub fn settings(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        let file = |kind| if matches!(kind, Kind::Real | Kind::Device) { Stream::Inherited } else { Stream::Pipe };
        let descriptor = |it: &Inherited| Descriptor { file: file(it.kind), ..it.descriptor };
        settings.launch.inherited = self.inherited.iter().map(descriptor).collect();
        settings
    }

    /// The streams of a run.
    #[must_use]
    pub fn console(&self, tee: bool) -> Captured {
        let console = Captured::new(self.standard.clone(), tee);
        self.inherited.iter().fold(console, |console, it| match it.kind {
            Kind::Real => console,
            Kind::Device => console.with_real(it.descriptor.fd),
            Kind::Pipe | Kind::Terminal => console.with(it.descriptor.fd, it.input.clone()),
        })
    }

    /// Before the second run: regular files stand where they stood.
    pub fn rewind(&self) {
        for it in self.inherited.iter().filter(|it| it.kind == Kind::Real) {
            // Where it fails, nothing has moved.
            let _ = sys::seek(it.descriptor.fd, it.position as i64, libc::SEEK_SET);
        }
    }
}

fn read_to_end(fd: i32) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match sys::read(fd, &mut piece) {
            Ok(0) => return Ok(all),
            Ok(len) => all.extend_from_slice(piece.get(..len).unwrap_or_default()),
            Err(errno) if errno == fated_kernel::errno::Errno::EAGAIN => {
                let _ = sys::poll(&mut [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }], -1);
            }
            Err(errno) => return Err(io::Error::from_raw_os_error(errno.number())),
        }
    }
}
