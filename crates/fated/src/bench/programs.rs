//! Whole programs, natively and under both engines.

#![expect(clippy::disallowed_methods, reason = "a benchmark times real processes with the real clock")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fated_engine::processor::ProcessorTime;

use super::engines::{RATIOS, columns, with_ratios};
use super::table::Table;
use super::work::{self, SOURCE, Under};
use super::{machine, progress};
use crate::cli::{BenchArgs, EngineName};

/// Label, the program that has to be installed, and the script for a shell.
const ROWS: [(&str, &str, &str); 5] = [
    ("gcc -O2 of one file", "gcc", "gcc -O2 -c -o one.o one.c"),
    ("make -j2 of six files", "make", "rm -f *.o && make -s -j2"),
    ("a python3 script", "python3", "python3 script.py"),
    ("find over /usr", "find", "find /usr -type f -name '*.h' > found 2>/dev/null; [ -s found ]"),
    ("git log --stat", "git", "git -C repository log --stat > log"),
];

const MAKEFILE: &str = ".PHONY: all\nall: 1.o 2.o 3.o 4.o 5.o 6.o\n%.o: one.c\n\tgcc -O1 -pthread -c -o $@ one.c\n";
const SCRIPT: &str = "\
import collections, json, re
words = [f'{i * 7919 % 1009:x}' for i in range(60000)]
count = collections.Counter(words)
text = json.dumps(sorted(count.items()))
print(len(re.findall(r'[a-f]+[0-9]', text)), len(json.loads(text)))
";
/// How many commits the history for git has.
const COMMITS: u32 = 1000;

const UNDER: [Under; 3] = [Under::Host, Under::Inside, Under::Ptrace];

/// The time that one run takes, in milliseconds.
#[derive(Clone, Copy)]
struct Times {
    /// Processor time of all its processes.
    processor: Option<f64>,
    wall: f64,
}

impl Times {
    /// The minimum of each, since disturbances only make a run longer.
    fn best(self, other: Option<Times>) -> Times {
        let Some(other) = other else { return self };
        let processor = self.processor.zip(other.processor).map(|(a, b)| a.min(b));
        Times { processor, wall: self.wall.min(other.wall) }
    }
}

/// Measures the table: the best of several runs, each with all its processes on one CPU.
pub fn measure(args: &BenchArgs) -> anyhow::Result<Table> {
    const ROUNDS: u32 = 20;
    let cpu = machine::choose_cpu(args.cpu)?;
    let folder = std::env::temp_dir().join(format!("fated-bench-programs-{}", std::process::id()));
    let counts = ProcessorTime::of_children().map(drop);
    if let Err(errno) = counts {
        eprintln!(
            "processor time can't be counted ({errno}; see /proc/sys/kernel/perf_event_paranoid): wall time alone"
        );
    }
    let result = prepare(&folder).and_then(|()| {
        let mut rows = Vec::new();
        let mut notes = vec![RATIOS.to_owned()];
        for (label, program, script) in ROWS {
            if !work::is_installed(program) {
                notes.push(format!("no {program}: install it to measure that"));
                continue;
            }
            progress(label);
            let mut best = [None; UNDER.len()];
            for _ in 0..args.rounds.div_ceil(ROUNDS) {
                for (under, times) in UNDER.into_iter().zip(&mut best) {
                    *times = Some(time(&folder, under, cpu, script)?.best(*times));
                }
            }
            if counts.is_ok() {
                let processor = with_ratios(best.map(|it| it?.processor));
                rows.push((label.to_owned(), processor));
            }
            rows.push((format!("{label}, wall time"), with_ratios(best.map(|it| Some(it?.wall)))));
        }
        let caption = if counts.is_ok() {
            "Milliseconds of processor time, of all processes of a run and from start to end, and of wall time; all on one CPU, the best of \
             several runs."
        } else {
            "Milliseconds of wall time from start to end, all on one CPU, the best of several runs."
        };
        Ok(Table { caption, corner: "", columns: columns(), rows, notes })
    });
    // If that fails, the files are left in the directory for temporary files.
    let _ = fs::remove_dir_all(&folder);
    result
}

/// Creates the files that the programs work on.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    for (name, text) in [("one.c", SOURCE), ("Makefile", MAKEFILE), ("script.py", SCRIPT)] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if work::is_installed("git") {
        let import = folder.join("import");
        fs::write(&import, history()).with_context(|| format!("failed to write {}", import.display()))?;
        shell(folder, &[], "git init -q repository && git -C repository fast-import --quiet < import")?;
    }
    Ok(())
}

/// A history in the language of git fast-import.
fn history() -> String {
    let commit = |number: u32| {
        let data = |text: String| format!("data {}\n{text}\n", text.len());
        let lines: String = (0..40).map(|line| format!("{}\n", (number + line) / 7)).collect();
        format!(
            "commit refs/heads/master\ncommitter a <a@b> {} +0000\n{}M 644 inline file{}\n{}",
            1_700_000_000 + number,
            data(format!("change {number}")),
            number % 50,
            data(lines)
        )
    };
    (0..COMMITS).map(commit).collect()
}

/// Runs the script and returns the time that it takes.
fn time(folder: &Path, under: Under, cpu: usize, script: &str) -> anyhow::Result<Times> {
    let mut words = vec!["taskset".to_owned(), "-c".to_owned(), cpu.to_string()];
    words.extend(work::wrapper(under, cpu, EngineName::Any)?);
    let processor = ProcessorTime::of_children().ok();
    let start = Instant::now();
    shell(folder, &words, script)?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let processor = processor.and_then(|time| time.so_far().ok()).map(milliseconds);
    Ok(Times { processor, wall: milliseconds(start.elapsed()) })
}

fn shell(folder: &Path, wrapper: &[String], script: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = wrapper.iter().map(String::as_str).chain(["sh", "-c", script]).collect();
    let mut command = Command::new(words[0]);
    // The system's own programs, not others that a user has put before them in PATH.
    command.env("PATH", "/usr/bin:/bin");
    command.args(&words[1..]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().with_context(|| format!("failed to run {}", words[0]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "failed to measure {}: {}\n{said}", words.join(" "), output.status);
    Ok(())
}
