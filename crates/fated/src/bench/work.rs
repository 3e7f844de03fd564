//! Runs the program that is measured, natively or under a tracer, and times its rounds from outside.

#![expect(clippy::disallowed_methods, reason = "a benchmark times real processes with the real clock")]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum as _;

use crate::cli::EngineName;

/// The source of the program.
pub const SOURCE: &str = include_str!("work.c");

/// What the program runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// Nothing.
    Host,
    /// `strace -f -o /dev/null`.
    Strace,
    /// `fated run`, with the engine of the command line.
    Fated,
    /// The same with `--wait scan`.
    FatedScan,
    /// `fated run --engine inside`.
    Inside,
    /// `fated run --engine inside --no-rewrite`.
    InsideBySignal,
    /// `fated run --engine ptrace`.
    Ptrace,
}

impl Under {
    /// The label in tables.
    pub fn label(self) -> &'static str {
        match self {
            Under::Host => "host",
            Under::Strace => "strace -f",
            Under::Fated => "fated",
            Under::FatedScan => "fated, scan",
            Under::Inside => "fated, inside",
            Under::InsideBySignal => "fated, inside, by signal",
            Under::Ptrace => "fated, ptrace",
        }
    }
}

/// How long a round should take: short enough that rarely another process interrupts it, long enough that the communication
/// matters little.
const ROUND: Duration = Duration::from_millis(2);
/// The command for the largest round, 2^24 units.
const MOST: u8 = 25;

/// The number of passes over which [`Work::best`] spreads its rounds.
pub const PASSES: u32 = 4;

/// What to do in each round.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// A mode of the program.
    pub mode: &'static str,
    /// How many children or threads are idle meanwhile.
    pub idle: u32,
}

/// The compiled program.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    cpu: usize,
    rounds: u32,
    engine: EngineName,
}

impl Work {
    /// Compiles the program, statically if that is possible.
    pub fn compile(cpu: usize, rounds: u32, engine: EngineName) -> anyhow::Result<Work> {
        let folder = std::env::temp_dir().join(format!("fated-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let work = Work { folder, cpu, rounds, engine };
        let source = work.folder.join("work.c");
        fs::write(&source, SOURCE).with_context(|| format!("failed to write {}", source.display()))?;
        for linking in ["-static", "-pie"] {
            let mut compiler = Command::new("cc");
            compiler.args(["-O2", "-pthread", linking, "-o"]).arg(work.path()).arg(&source);
            let output = compiler.output().context("failed to run cc, a C compiler: install gcc or clang")?;
            if output.status.success() {
                return Ok(work);
            }
            if linking == "-pie" {
                bail!("failed to compile {}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(work)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Microseconds for one unit of `load`, from the best round less the best empty round. `None` if so many children are not
    /// possible.
    pub fn time(&self, under: Under, load: Load) -> anyhow::Result<Option<f64>> {
        self.with(under, load, |_, input, output| self.rounds(input, output))
    }

    /// Starts the program and calls `measure` with its id (or that of its wrapper) and its pipes. The program ends when its input
    /// does. `None` as from [`Work::time`].
    pub fn with<T>(
        &self,
        under: Under,
        load: Load,
        measure: impl FnOnce(u32, ChildStdin, ChildStdout) -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        super::progress(&format!("{} under {}, {} idle", load.mode, under.label(), load.idle));
        let mut command = Command::new("taskset");
        command.arg("-c").arg(self.cpu.to_string()).args(wrapper(under, self.cpu, self.engine)?).arg(self.path());
        command.args([load.mode, &load.idle.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to run taskset: install util-linux")?;
        let measured = match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => measure(child.id(), input, output),
            _ => bail!("failed to talk to the measured program"),
        };
        let status = child.wait().context("failed to wait for the measured program")?;
        match status.code() {
            Some(0) => Ok(Some(measured?)),
            Some(3) => Ok(None),
            _ => bail!("failed to measure {} under {}: it ended with {status}", load.mode, under.label()),
        }
    }

    /// The best of several passes over all loads, under each wrapper: a temporary disturbance then doesn't affect all rounds of one
    /// number. `None` where nothing is to be measured, and as from [`Work::time`].
    pub fn best<const N: usize>(
        &self,
        loads: &[Load],
        columns: [Option<Under>; N],
    ) -> anyhow::Result<Vec<[Option<f64>; N]>> {
        let mut best = vec![[None; N]; loads.len()];
        for _ in 0..PASSES {
            for (load, numbers) in loads.iter().zip(&mut best) {
                for (under, number) in columns.into_iter().zip(numbers) {
                    let Some(under) = under else { continue };
                    let time = self.time(under, *load)?;
                    *number = [*number, time].into_iter().flatten().min_by(f64::total_cmp);
                }
            }
        }
        super::progress("done");
        Ok(best)
    }

    /// Sends the program its commands and computes how long a unit takes, in microseconds.
    fn rounds(&self, mut input: ChildStdin, mut output: ChildStdout) -> anyhow::Result<f64> {
        await_ready(&mut output)?;
        let mut round = |order: u8| -> io::Result<Duration> {
            // A delay on this side only makes a time longer, so the shortest one remains valid.
            let start = Instant::now();
            input.write_all(&[order])?;
            output.read_exact(&mut [0])?;
            Ok(start.elapsed())
        };
        let mut round = |order: u8| round(order).context("failed to talk to the measured program");
        let mut order = 1;
        // One long round may have been interrupted; three in a row weren't.
        let mut long = 0;
        while order < MOST && long < 3 {
            if round(order)? < ROUND {
                order += 1;
                long = 0;
            } else {
                long += 1;
            }
        }
        let (mut empty, mut full) = (Duration::MAX, Duration::MAX);
        for _ in 0..self.rounds {
            empty = empty.min(round(0)?);
            full = full.min(round(order)?);
        }
        // With few rounds, the empty one may have been disturbed more than the full one.
        let units = full.saturating_sub(empty).max(Duration::from_nanos(1));
        Ok(units.as_secs_f64() * 1e6 / f64::from(1_u32 << (order - 1)))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // If that fails, the files are left in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until the program has made its preparations.
pub fn await_ready(output: &mut ChildStdout) -> anyhow::Result<()> {
    output.read_exact(&mut [0]).context("failed to talk to the measured program")
}

/// The command that the program is an argument of.
pub fn wrapper(under: Under, cpu: usize, engine: EngineName) -> anyhow::Result<Vec<String>> {
    let (engine, rest) = match under {
        Under::Host => return Ok(Vec::new()),
        Under::Strace => return Ok(["strace", "-f", "-o", "/dev/null"].map(str::to_owned).into()),
        Under::Fated => (engine, &[][..]),
        Under::FatedScan => (engine, &["--wait", "scan"][..]),
        Under::Inside => (EngineName::Inside, &[][..]),
        Under::InsideBySignal => (EngineName::Inside, &["--no-rewrite"][..]),
        Under::Ptrace => (EngineName::Ptrace, &[][..]),
    };
    let fated = std::env::current_exe().context("failed to find fated itself")?.display().to_string();
    let engine = engine.to_possible_value().context("failed to name the engine")?.get_name().to_owned();
    let cpu = cpu.to_string();
    let words = [&[&fated, "run", "--input", "live", "--engine", &engine, "--cpu", &cpu], rest, &["--"]].concat();
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// Whether a command is there.
pub fn is_installed(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(command).exists())
}
