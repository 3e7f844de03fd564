//! Runs the program that is measured, natively or under something, and times its rounds from outside.

#![expect(clippy::disallowed_methods, reason = "a benchmark times real processes with the real clock")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

const SOURCE: &str = include_str!("work.c");

/// What stands between the program and Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// Nothing.
    Host,
    /// `strace -f -o /dev/null`.
    Strace,
    /// `fated run`.
    Fated,
    /// `fated run --wait scan`.
    FatedScan,
}

impl Under {
    /// What a table calls it.
    pub fn label(self) -> &'static str {
        match self {
            Under::Host => "host",
            Under::Strace => "strace -f",
            Under::Fated => "fated",
            Under::FatedScan => "fated, scan",
        }
    }
}

/// What to do in each round.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// A mode of the program.
    pub mode: &'static str,
    /// How many children idle meanwhile.
    pub idle: u32,
    /// How many units a round has.
    pub count: u32,
}

/// The compiled program.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    cpu: usize,
    rounds: u32,
}

impl Work {
    /// Compiles it, statically if that is possible.
    pub fn compile(cpu: usize, rounds: u32) -> anyhow::Result<Work> {
        let folder = std::env::temp_dir().join(format!("fated-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let work = Work { folder, cpu, rounds };
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

    /// Microseconds for one unit of `load` in the best round, less what the best empty round took. `None` if so many children are not possible.
    pub fn time(&self, under: Under, load: Load) -> anyhow::Result<Option<f64>> {
        super::progress(&format!("{} {} under {}, {} idle", load.count, load.mode, under.label(), load.idle));
        let mut command = Command::new("taskset");
        command.arg("-c").arg(self.cpu.to_string()).args(wrapper(under, self.cpu)?).arg(self.path());
        command.args([load.mode, &self.rounds.to_string(), &load.count.to_string(), &load.idle.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to run taskset: install util-linux")?;
        let (mut empty, mut full) = (Vec::new(), Vec::new());
        if let (Some(mut output), Some(mut input)) = (child.stdout.take(), child.stdin.take()) {
            let mut answered = None;
            let mut byte = [0];
            while output.read(&mut byte).context("failed to read what the measured program writes")? == 1 {
                let now = Instant::now();
                if let Some(last) = answered {
                    let kind = if empty.len() == full.len() { &mut empty } else { &mut full };
                    kind.push(now.duration_since(last).as_secs_f64());
                }
                // What delays this side only makes a time longer, so the shortest one stays right.
                answered = Some(Instant::now());
                input.write_all(&byte).context("failed to answer the measured program")?;
            }
        }
        let status = child.wait().context("failed to wait for the measured program")?;
        match status.code() {
            Some(0) if full.len() == self.rounds as usize => {}
            Some(3) => return Ok(None),
            _ => bail!("failed to measure {} under {}: it ended with {status}", load.mode, under.label()),
        }
        let best = |rounds: Vec<f64>| rounds.into_iter().min_by(f64::total_cmp);
        Ok(best(full).zip(best(empty)).map(|(full, empty)| (full - empty) * 1e6 / f64::from(load.count)))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What can't be removed lies in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn wrapper(under: Under, cpu: usize) -> anyhow::Result<Vec<String>> {
    let words: &[&str] = match under {
        Under::Host => return Ok(Vec::new()),
        Under::Strace => &["strace", "-f", "-o", "/dev/null"],
        Under::Fated => &["run"],
        Under::FatedScan => &["run", "--wait", "scan"],
    };
    let mut words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    if under != Under::Strace {
        let fated = std::env::current_exe().context("failed to find fated itself")?;
        words.insert(0, fated.display().to_string());
        words.extend(["--cpu".to_owned(), cpu.to_string(), "--".to_owned()]);
    }
    Ok(words)
}

/// Whether a command is there.
pub fn is_installed(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(command).exists())
}
