//! `--record FILE` and `fated replay FILE`: the file that a run's journal is written to or comes from.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use fated_engine::{Descriptor, Launch, Stream, Streams};
use fated_kernel::config::{Config, Inherited};
use fated_kernel::journal::Mode;
use fated_kernel::journal::header::{Checked, Header};
use fated_kernel::ports::Store;

use crate::cli::StdioName;

/// How much of a journal the kernel gets at a time.
const PIECE: usize = 64 << 10;

/// Where a run's journal is kept, and what the kernel does with it.
pub type Journal = (Rc<dyn Store>, Mode);

/// The journals of a run: one that is written, one that is obeyed, or both.
#[derive(Debug, Default)]
pub struct Journals {
    output: Option<Output>,
    input: Option<Input>,
}

#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: RefCell<BufWriter<File>>,
    failed: RefCell<Option<io::Error>>,
}

#[derive(Debug)]
struct Input {
    text: Vec<u8>,
    checked: Checked,
    until: u64,
    at: Cell<usize>,
}

impl Journals {
    /// Also writes one, to `path`.
    pub fn record(mut self, path: &Path) -> anyhow::Result<Journals> {
        let file = File::create(path).with_context(|| format!("failed to write the journal {}", path.display()))?;
        let file = RefCell::new(BufWriter::with_capacity(1 << 18, file));
        self.output = Some(Output { path: path.to_owned(), file, failed: RefCell::default() });
        Ok(self)
    }

    /// Obeys the first `until` entries of the one in `path`.
    pub fn obey(path: &Path, until: Option<u64>) -> anyhow::Result<Journals> {
        let text = fs::read(path).with_context(|| format!("failed to read the journal {}", path.display()))?;
        let checked = Checked::new(&text).with_context(|| format!("failed to read the journal {}", path.display()))?;
        let until = until.unwrap_or(u64::MAX);
        if until != u64::MAX && until > checked.count {
            bail!("failed to obey {until} entries: {} has {}", path.display(), checked.count);
        }
        let input = Input { text, checked, until, at: Cell::new(0) };
        Ok(Journals { output: None, input: Some(input) })
    }

    /// The head of the journal that is obeyed.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.input.as_ref().map(|input| &input.checked.header)
    }

    /// The descriptors from 3 on of the run that is repeated.
    #[must_use]
    pub fn inherited(&self) -> Vec<Descriptor> {
        let Some(input) = &self.input else { return Vec::new() };
        let header = &input.checked.header;
        let file = |fd: &i32| if input.checked.pipes.contains(fd) { Stream::Pipe } else { Stream::Null };
        let streams = header.inherited.iter().map(|it| Descriptor { fd: it.fd, flags: it.flags, file: file(&it.fd) });
        let files = header.files.iter().filter(|(fd, ..)| *fd > 2);
        streams.chain(files.map(|(fd, ..)| Descriptor { fd: *fd, flags: 0, file: Stream::Inherited })).collect()
    }

    /// What stands for the standard streams of the run that is repeated.
    #[must_use]
    pub fn streams(&self) -> Streams {
        let Some(input) = &self.input else { return Streams::Inherit };
        let is_file = |fd: i32| input.checked.header.files.iter().any(|(stream, ..)| *stream == fd);
        let [input, output, error] = [0, 1, 2].map(|fd| match input.checked.pipes.contains(&fd) {
            _ if is_file(fd) => Stream::Inherited,
            true => Stream::Pipe,
            false => Stream::Null,
        });
        Streams::Each([input, output, error])
    }

    /// A run begins: what the kernel does with its journal. An earlier attempt is forgotten.
    pub fn begin(self: &Rc<Self>, config: &Config, launch: &Launch, stdio: StdioName) -> Option<Journal> {
        let mut mode = Mode { write: self.output.is_some(), ..Mode::default() };
        if let Some(input) = &self.input {
            let (bytes, lines) = input.checked.entries_at;
            input.at.set(bytes);
            mode.obey = Some(input.until);
            mode.begin_line = lines as u64;
        }
        if let Some(output) = &self.output {
            let head = header(config, launch, stdio).to_text();
            output.keep(|file| {
                file.rewind()?;
                file.get_ref().set_len(0)?;
                file.write_all(head.as_bytes())
            });
        }
        (mode != Mode::default()).then(|| (self.clone() as Rc<dyn Store>, mode))
    }

    /// Writes what is still in memory.
    pub fn finish(&self) -> anyhow::Result<()> {
        let Some(output) = &self.output else { return Ok(()) };
        output.keep(io::Write::flush);
        let failed = output.failed.take().map_or(Ok(()), Err);
        failed.with_context(|| format!("failed to write the journal {}", output.path.display()))
    }
}

impl Output {
    fn keep(&self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let mut failed = self.failed.borrow_mut();
        if failed.is_none() {
            *failed = write(&mut self.file.borrow_mut()).err();
        }
    }
}

impl Store for Journals {
    fn append(&self, lines: &[u8]) {
        if let Some(output) = &self.output {
            output.keep(|file| file.write_all(lines));
        }
    }

    fn more(&self) -> Vec<u8> {
        let Some(input) = &self.input else { return Vec::new() };
        let rest = input.text.get(input.at.get()..).unwrap_or_default();
        let piece = rest.get(..PIECE).unwrap_or(rest);
        input.at.set(input.at.get() + piece.len());
        piece.to_vec()
    }
}

/// What a run depends on, for the head of its journal.
fn header(config: &Config, launch: &Launch, stdio: StdioName) -> Header {
    let files = files(launch.descriptors().iter().map(|it| it.fd));
    let here = || std::env::current_dir().unwrap_or_default();
    Header {
        config: config.clone(),
        command: launch.words().map(|word| word.as_bytes().to_vec()).collect(),
        env: launch.variables(),
        cwd: launch.cwd.clone().map_or_else(here, |cwd| here().join(cwd)).into_os_string().into_vec(),
        stdio: stdio.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned()),
        files: files.iter().filter(|(fd, ..)| *fd > 2 || launch.streams == Streams::Inherit).cloned().collect(),
        inherited: launch
            .inherited
            .iter()
            .filter(|it| !files.iter().any(|(fd, ..)| *fd == it.fd))
            .map(|it| Inherited { fd: it.fd, flags: it.flags })
            .collect(),
    }
}

/// Which of these descriptors guests read and write without fated: regular files and directories.
pub fn files(numbers: impl Iterator<Item = i32>) -> Vec<(i32, Vec<u8>, u64)> {
    let file = |fd: i32| {
        let link = format!("/proc/self/fd/{fd}");
        let kind = fs::metadata(&link).ok()?;
        let path = fs::read_link(&link).ok()?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        let position = info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok()).unwrap_or(0);
        (kind.is_file() || kind.is_dir()).then(|| (fd, path.into_os_string().into_vec(), position))
    };
    numbers.filter_map(file).collect()
}

/// What the run that is repeated was started with.
pub fn launch_of(header: &Header, command: &[OsString]) -> Launch {
    let os = |bytes: &Vec<u8>| OsString::from_vec(bytes.clone());
    let recorded: Vec<OsString> = header.command.iter().map(os).collect();
    let mut words = if command.is_empty() { recorded } else { command.to_vec() }.into_iter();
    let mut launch = Launch::new(words.next().unwrap_or_default());
    launch.args = words.collect();
    let variable = |text: &Vec<u8>| {
        let at = text.iter().position(|&byte| byte == b'=').unwrap_or(text.len());
        let (name, value) = text.split_at(at);
        (os(&name.to_vec()), os(&value.get(1..).unwrap_or_default().to_vec()))
    };
    launch.env = header.env.iter().map(variable).collect();
    launch.cwd = Some(PathBuf::from(os(&header.cwd)));
    launch
}
