//! The head of a journal: its version, and all that a run depends on besides its choices and its input.

use crate::config::{Config, Inherited, Input, Policy};
use crate::fs::inode::kind;
use crate::journal::Error;
use crate::journal::entry::Entry;
use crate::journal::words::{Quoted, Words, Wrong};
use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::fmt::Write as _;

/// The first line of every journal.
const VERSION: &str = "fated journal 1";
/// The last line of the head.
const LAST: &str = "entries";

/// The head of a journal.
#[derive(Clone, Debug)]
pub struct Header {
    /// The options of the kernel. The seed is only needed where a run goes on behind its journal.
    pub config: Config,
    /// The program and its arguments.
    pub command: Vec<Vec<u8>>,
    /// `NAME=VALUE`.
    pub env: Vec<Vec<u8>>,
    /// Where it was started.
    pub cwd: Vec<u8>,
    /// What the standard streams look like, in the command's words.
    pub stdio: String,
    /// Descriptors that are regular files, which the real Linux reads and writes: number, path and position.
    pub files: Vec<(i32, Vec<u8>, u64)>,
    /// The other descriptors from 3 on that the run had from outside.
    pub inherited: Vec<Inherited>,
}

/// A journal that has been looked through.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its head.
    pub header: Header,
    /// Where its entries begin: in bytes from its begin, and in lines.
    pub entries_at: (usize, usize),
    /// How many entries there are.
    pub count: u64,
    /// Which streams were pipes.
    pub pipes: BTreeSet<i32>,
}

fn policy_text(policy: Policy) -> String {
    match policy {
        Policy::RoundRobin => "rr".into(),
        Policy::Random => "random".into(),
        Policy::Pct { changes, span: 0 } => format!("pct:{changes}"),
        Policy::Pct { changes, span } => format!("pct:{changes}:{span}"),
    }
}

fn input_text(input: Input) -> &'static str {
    match input {
        Input::Blocks => "blocks",
        Input::Live => "live",
    }
}

fn parse_input(words: &mut Words<'_>) -> Result<Input, Wrong> {
    match words.word("how input comes in")? {
        "blocks" => Ok(Input::Blocks),
        "live" => Ok(Input::Live),
        other => Err(words.wrong(format!("input comes in as blocks or live, not as {other:?}"))),
    }
}

fn parse_policy(words: &mut Words<'_>) -> Result<Policy, Wrong> {
    Ok(match words.until(':', "a policy")? {
        "rr" => Policy::RoundRobin,
        "random" => Policy::Random,
        "pct" => {
            words.literal(":")?;
            let changes = words.number_until(':', "how often priorities change")?;
            let span = if words.has(":") { words.number("among how many calls")? } else { 0 };
            Policy::Pct { changes, span }
        }
        other => return Err(words.wrong(format!("there is no policy {other:?}"))),
    })
}

impl Header {
    /// As text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let config = &self.config;
        let mut text = format!(
            "{VERSION}\nseed {}\nepoch {}\ncall-cost {}\npolicy {}\nslice {}\ncpus {}\nmax-tasks {}\ninput {}\nhostname {}\n\
             real-start {}\n",
            config.seed,
            config.epoch_ns,
            config.call_cost_ns,
            policy_text(config.policy),
            config.slice_calls,
            config.cpus,
            config.max_tasks,
            input_text(config.input),
            Quoted(config.hostname.as_bytes()),
            config.real_start_ns,
        );
        let _ = writeln!(text, "cwd {}", Quoted(&self.cwd));
        if let Some(tmp) = &config.tmp {
            // Where they really are decides nothing.
            text.push_str("own-tmp\n");
            for path in &tmp.host {
                let _ = writeln!(text, "host-path {}", Quoted(path));
            }
        }
        let _ = writeln!(text, "stdio {}", self.stdio);
        for (word, list) in [("arg", &self.command), ("env", &self.env)] {
            for item in list {
                let _ = writeln!(text, "{word} {}", Quoted(item));
            }
        }
        for (fd, path, position) in &self.files {
            let _ = writeln!(text, "file {fd} {position} {}", Quoted(path));
        }
        for Inherited { fd, flags } in &self.inherited {
            let _ = writeln!(text, "inherited {fd} {flags:o}");
        }
        text.push_str(LAST);
        text.push('\n');
        text
    }

    fn parse_line(&mut self, line: &str) -> Result<(), Wrong> {
        let mut words = Words::new(line);
        let config = &mut self.config;
        match words.word("a word of the head")? {
            "seed" => config.seed = words.number("a seed")?,
            "epoch" => config.epoch_ns = words.number("nanoseconds since 1970")?,
            "call-cost" => config.call_cost_ns = words.number("nanoseconds")?,
            "policy" => config.policy = parse_policy(&mut words)?,
            "slice" => config.slice_calls = words.number("a number of calls")?,
            "cpus" => config.cpus = words.number("a number of processors")?,
            "max-tasks" => config.max_tasks = words.number("a number of tasks")?,
            "input" => config.input = parse_input(&mut words)?,
            "hostname" => {
                let name = String::from_utf8(words.quoted()?);
                config.hostname = name.map_err(|_| words.wrong("a name has printable characters"))?;
            }
            "real-start" => config.real_start_ns = words.number("nanoseconds since 1970")?,
            "stdio" => self.stdio = words.word("what the standard streams look like")?.into(),
            "cwd" => self.cwd = words.quoted()?,
            "own-tmp" => drop(config.tmp.get_or_insert_default()),
            "host-path" => config.tmp.get_or_insert_default().host.push(words.quoted()?),
            "arg" => self.command.push(words.quoted()?),
            "env" => self.env.push(words.quoted()?),
            "file" => {
                let (fd, position) = (words.number("a stream")?, words.number("a position")?);
                self.files.push((fd, words.quoted()?, position));
            }
            "inherited" => {
                let (fd, flags) = (words.number("a descriptor")?, words.digits(8, "flags")?);
                self.inherited.push(Inherited { fd, flags: flags as u32 });
            }
            other => return Err(words.wrong(format!("the head of a journal has no line {other:?}"))),
        }
        words.end()
    }

    fn empty() -> Header {
        let config = Config {
            seed: 0,
            epoch_ns: 0,
            call_cost_ns: 0,
            policy: Policy::RoundRobin,
            slice_calls: 0,
            hostname: String::new(),
            cpus: 0,
            max_tasks: 0,
            // A journal without such a line is older than blocks.
            input: Input::Live,
            wait_by_scan: false,
            real_start_ns: 0,
            tmp: None,
            log: false,
        };
        Header {
            config,
            command: Vec::new(),
            env: Vec::new(),
            cwd: Vec::new(),
            // A journal without such a line is of a time when streams looked like what they were.
            stdio: "inherit".into(),
            files: Vec::new(),
            inherited: Vec::new(),
        }
    }

    /// What a run can't be without.
    fn check(&self) -> Result<(), &'static str> {
        let config = &self.config;
        let numbers = [config.slice_calls, config.cpus, config.max_tasks];
        match () {
            () if numbers.contains(&0) => Err("the head lacks slice, cpus or max-tasks"),
            () if config.hostname.is_empty() => Err("the head lacks hostname"),
            () if self.command.is_empty() => Err("the head lacks the program (arg)"),
            () => Ok(()),
        }
    }
}

/// Whether a line says nothing.
pub(super) fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

fn note_pipe(entry: &Entry, pipes: &mut BTreeSet<i32>) {
    if let Entry::Stat { fd, result: Ok([mode, ..]) } = entry
        && *mode as u32 & kind::MASK == kind::FIFO
    {
        pipes.insert(*fd);
    }
}

impl Checked {
    /// Looks through a whole journal.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(text: &[u8]) -> Result<Checked, Error> {
        let mut header = None;
        let mut building = Header::empty();
        let (mut at, mut number, mut count) = (0, 0, 0);
        let mut pipes = BTreeSet::new();
        while at < text.len() {
            let rest = text.get(at..).unwrap_or_default();
            number += 1;
            let error = |column, why: &str| Error { line: number, column, why: why.into() };
            let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
                return Err(error(rest.len() + 1, "the line is cut off"));
            };
            let line = rest.get(..len).unwrap_or_default();
            let line = core::str::from_utf8(line).map_err(|it| error(it.valid_up_to() + 1, "this is not text"))?;
            at += len + 1;
            let result = match (&header, number) {
                (_, 1) if line == VERSION => Ok(()),
                (_, 1) if line.starts_with("fated journal ") => {
                    return Err(error(15, "this is a journal of another version of fated, which has to replay it"));
                }
                (_, 1) => {
                    return Err(error(1, "this is not a journal of fated, which begins with \"fated journal 1\""));
                }
                _ if is_comment(line) => Ok(()),
                (None, _) if line == LAST => {
                    building.check().map_err(|why| error(1, why))?;
                    header = Some((building.clone(), (at, number)));
                    Ok(())
                }
                (None, _) => building.parse_line(line),
                (Some(_), _) => {
                    count += 1;
                    Entry::parse(line).map(|entry| note_pipe(&entry, &mut pipes))
                }
            };
            result.map_err(|wrong| error(wrong.column, &wrong.why))?;
        }
        let missing =
            if number == 0 { "the file is empty" } else { "the head is cut off: there is no line \"entries\"" };
        let (header, entries_at) = header.ok_or_else(|| Error { line: number + 1, column: 1, why: missing.into() })?;
        Ok(Checked { header, entries_at, count, pipes })
    }
}
