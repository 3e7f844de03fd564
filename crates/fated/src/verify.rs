//! `--verify`: the same run twice. The log of the first run is kept in a temporary file without a name, and the second one is
//! compared with it while it runs, so that logs may have any length.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::rc::Rc;

use anyhow::Context as _;
use fated_engine::{Captured, Observer};
use fated_kernel::host::Ending;
use fated_kernel::record::Record;

use crate::cli::RunArgs;
use crate::exit::{self, End, Failure};
use crate::fresh::Fresh;
use crate::logfile::LogFile;
use crate::run::{self, Cost, Ended};
use crate::settings::Settings;
use crate::verify_input::Input;
use crate::{line, stats, stderr};

/// How many lines to show before the first difference.
const BEFORE: usize = 4;
/// How many lines of each run to show from the first difference on.
const AFTER: usize = 3;

/// Runs twice and compares.
pub fn run(args: &RunArgs, settings: &Settings, input: &Input, log: Option<Rc<LogFile>>) -> anyhow::Result<End> {
    let settings = &input.settings(settings);
    let epoch_ns = settings.config.epoch_ns;

    let written = Rc::new(RefCell::new(Written::new()?));
    let sink = written.clone();
    let to_log = run::to_log(log.clone());
    let call = move |record: &Record| {
        sink.borrow_mut().push(&line::text(record, epoch_ns));
        to_log(record);
    };
    let observer = Observer { record: Box::new(call), notice: run::notices(args.quiet) };
    let (first, cost, first_output) = once(args, settings, input.console(true), observer)?;
    if let Some(log) = log {
        log.finish()?;
    }
    stats::print(args.stats, &cost, args.quiet);
    // After an error (a task spins, or the user has ended the run) there is nothing to compare.
    let first = first?;

    input.rewind();
    let compared = Rc::new(RefCell::new(Compared::new(written.borrow_mut().rewind()?)));
    let sink = compared.clone();
    let call = move |record: &Record| sink.borrow_mut().push(line::text(record, epoch_ns));
    let observer = Observer { record: Box::new(call), notice: Box::new(|_| {}) };
    let (second, _, second_output) = once(args, settings, input.console(false), observer)?;
    let second = second?;

    let mut differences = String::new();
    let calls = compared.borrow_mut().finish(&mut differences)?;
    for (fd, first) in &first_output {
        let name = match fd {
            1 => "standard output".to_owned(),
            2 => "standard error".to_owned(),
            fd => format!("output to descriptor {fd}"),
        };
        compare_output(&mut differences, &name, first, second_output.get(fd).map_or(&[], Vec::as_slice));
    }
    if first != second {
        let (first, second) = (describe(&first), describe(&second));
        let _ = write!(differences, "\nthe ends differ:\n  run 1  {first}\n  run 2  {second}");
    }
    if differences.is_empty() {
        let bytes: usize = first_output.values().map(Vec::len).sum();
        let end = describe(&first);
        stderr::say(format!("two runs, the same: {calls} calls and events, {bytes} bytes of output, {end}"));
        return run::code(first);
    }
    let hint = "\ndoes the program change its own inputs? --fresh DIR gives each run a copy";
    let hint = if args.fresh.is_some() { "" } else { hint };
    Err(Failure::new(exit::DIFFERENT, format!("two runs, not the same:{differences}{hint}")).into())
}

/// Runs once with streams that are captured.
pub fn once(
    args: &RunArgs,
    settings: &Settings,
    console: Captured,
    trace: Observer,
) -> anyhow::Result<(Ended, Cost, BTreeMap<i32, Vec<u8>>)> {
    let fresh = args.fresh.as_deref().map(Fresh::copy_of).transpose()?;
    let console = Rc::new(console);
    let launch = run::launch(settings, fresh.as_ref());
    let (ended, cost) = run::once(settings, &launch, console.clone(), Rc::new(trace))?;
    Ok((ended, cost, console.outputs()))
}

fn describe(ending: &Ending) -> String {
    match ending {
        Ending::Exited(status) => exit::describe(*status),
        Ending::Deadlock(tasks) => format!("given up, {} tasks wait forever", tasks.len()),
        Ending::Broken(why) | Ending::LeftJournal(why) => why.clone(),
    }
}

fn compare_output(differences: &mut String, name: &str, first: &[u8], second: &[u8]) {
    let lines = |output| -> Vec<&[u8]> { <[u8]>::split(output, |&byte| byte == b'\n').collect() };
    let (first, second) = (lines(first), lines(second));
    let longest = first.len().max(second.len());
    let Some(at) = (0..longest).find(|&at| first.get(at) != second.get(at)) else { return };
    let show = |line: Option<&&[u8]>| line.map_or("(over)".to_owned(), |line| line.escape_ascii().to_string());
    let (first, second) = (show(first.get(at)), show(second.get(at)));
    let _ = write!(differences, "\n{name} differs from line {} on:\n  run 1  {first}\n  run 2  {second}", at + 1);
}

/// The log of the first run.
#[derive(Debug)]
struct Written {
    file: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Written {
    fn new() -> anyhow::Result<Written> {
        let folder = std::env::temp_dir();
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(&folder);
        let file =
            file.with_context(|| format!("failed to create a temporary file in {}; set TMPDIR", folder.display()))?;
        Ok(Written { file: BufWriter::with_capacity(1 << 18, file), failed: None })
    }

    fn push(&mut self, line: &str) {
        if self.failed.is_none() {
            self.failed = writeln!(self.file, "{line}").err();
        }
    }

    fn rewind(&mut self) -> anyhow::Result<File> {
        let failed = self.failed.take().map_or(Ok(()), Err);
        let mut file = failed
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().try_clone())
            .context("failed to keep the first run's log")?;
        file.rewind().context("failed to read the first run's log")?;
        Ok(file)
    }
}

/// The log of the second run beside that of the first one.
#[derive(Debug)]
struct Compared {
    first: io::Lines<BufReader<File>>,
    same: u64,
    before: VecDeque<String>,
    from_first: Vec<String>,
    from_second: Vec<String>,
    failed: Option<io::Error>,
}

impl Compared {
    fn new(first: File) -> Compared {
        Compared {
            first: BufReader::new(first).lines(),
            same: 0,
            before: VecDeque::new(),
            from_first: Vec::new(),
            from_second: Vec::new(),
            failed: None,
        }
    }

    fn next_of_first(&mut self) -> Option<String> {
        match self.first.next()? {
            Ok(line) => Some(line),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    /// Compares a line that the second run has written.
    fn push(&mut self, line: String) {
        if self.from_second.len() >= AFTER {
            return;
        }
        if !self.from_second.is_empty() {
            self.from_second.push(line);
            return;
        }
        match self.next_of_first() {
            Some(first) if first == line => {
                self.same += 1;
                if self.before.len() == BEFORE {
                    self.before.pop_front();
                }
                self.before.push_back(line);
            }
            first => {
                self.from_first.extend(first);
                self.from_second.push(line);
            }
        }
    }

    /// Ends the comparison when the second run is over; returns the difference, if any, and how many lines were the same.
    fn finish(&mut self, differences: &mut String) -> anyhow::Result<u64> {
        while self.from_first.len() < AFTER
            && let Some(line) = self.next_of_first()
        {
            self.from_first.push(line);
        }
        if let Some(error) = self.failed.take() {
            return Err(error).context("failed to read the first run's log");
        }
        if self.from_first.is_empty() && self.from_second.is_empty() {
            return Ok(self.same);
        }
        let _ =
            write!(differences, "\nthe calls differ from number {} on (task, virtual seconds, call):", self.same + 1);
        for line in &self.before {
            let _ = write!(differences, "\n  both   {line}");
        }
        for (name, lines) in [("run 1", &self.from_first), ("run 2", &self.from_second)] {
            if lines.is_empty() {
                let _ = write!(differences, "\n  {name}  (over)");
            }
            for line in lines {
                let _ = write!(differences, "\n  {name}  {line}");
            }
        }
        Ok(self.same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(first: &[&str], second: &[&str], expected: &str) {
        let mut written = Written::new().unwrap();
        first.iter().for_each(|line| written.push(line));
        let mut compared = Compared::new(written.rewind().unwrap());
        second.iter().for_each(|line| compared.push((*line).to_owned()));
        let mut differences = String::new();
        compared.finish(&mut differences).unwrap();
        assert_eq!(differences, expected);
    }

    #[test]
    fn logs() {
        check(&[], &[], "");
        check(&["a", "b"], &["a", "b"], "");
        check(
            &["a", "b", "c", "d", "e", "f"],
            &["a", "b", "c", "d", "e", "x", "y"],
            "\nthe calls differ from number 6 on (task, virtual seconds, call):\n  both   b\n  both   c\n  both   d\n  both   e\
             \n  run 1  f\n  run 2  x\n  run 2  y",
        );
        check(
            &["a"],
            &["a", "b", "c", "d", "e"],
            "\nthe calls differ from number 2 on (task, virtual seconds, call):\n  both   a\n  run 1  (over)\
             \n  run 2  b\n  run 2  c\n  run 2  d",
        );
        check(
            &["a", "b"],
            &[],
            "\nthe calls differ from number 1 on (task, virtual seconds, call):\n  run 1  a\n  run 1  b\n  run 2  (over)",
        );
    }

    #[test]
    fn outputs() {
        let mut differences = String::new();
        compare_output(&mut differences, "standard output", b"one\ntwo\n", b"one\ntwo\n");
        assert_eq!(differences, "");
        compare_output(&mut differences, "standard output", b"one\ntwo\n", b"one\nt\x00o\n");
        compare_output(&mut differences, "standard error", b"one", b"one\n");
        assert_eq!(
            differences,
            "\nstandard output differs from line 2 on:\n  run 1  two\n  run 2  t\\x00o\
             \nstandard error differs from line 2 on:\n  run 1  (over)\n  run 2  "
        );
    }
}
