//! `--log FILE`: writes each call when it ends.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use fated_kernel::record::Record;

use crate::{line, stderr};

/// The destination of the log.
pub struct LogFile {
    sink: RefCell<io::Result<Box<dyn Write>>>,
    json: bool,
    epoch_ns: u64,
}

impl std::fmt::Debug for LogFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFile").field("json", &self.json).finish_non_exhaustive()
    }
}

impl LogFile {
    /// Opens `path`, where `-` is standard error.
    pub fn create(path: &Path, epoch_ns: u64) -> anyhow::Result<LogFile> {
        let json = path.extension().is_some_and(|it| it == "json" || it == "jsonl");
        let sink: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(io::LineWriter::new(stderr::Lossy))
        } else {
            let file = File::create(path).with_context(|| format!("failed to write the log {}", path.display()))?;
            Box::new(BufWriter::with_capacity(1 << 18, file))
        };
        Ok(LogFile { sink: RefCell::new(Ok(sink)), json, epoch_ns })
    }

    /// Adds a line. After an error no more are written, and [`LogFile::finish`] returns the error.
    pub fn write(&self, record: &Record) {
        let mut sink = self.sink.borrow_mut();
        let Ok(writer) = &mut *sink else { return };
        let written = if self.json {
            writeln!(writer, "{}", line::json(record))
        } else {
            writeln!(writer, "{}", line::text(record, self.epoch_ns))
        };
        if let Err(error) = written {
            *sink = Err(error);
        }
    }

    /// Flushes the buffer.
    pub fn finish(&self) -> anyhow::Result<()> {
        let ended = self.sink.replace(Err(io::ErrorKind::BrokenPipe.into()));
        ended.and_then(|mut writer| writer.flush()).context("failed to write the log")
    }
}
