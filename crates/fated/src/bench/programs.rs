//! Whole programs, natively and under both engines.

#![expect(clippy::disallowed_methods, reason = "a benchmark times real processes with the real clock")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::engines::{RATIOS, columns, with_ratios};
use super::table::Table;
use super::work::{self, SOURCE, Under};
use super::{machine, progress};
use crate::cli::{BenchArgs, EngineName};

/// Label, the program that has to be there, and what a shell is told.
const ROWS: [(&str, &str, &str); 5] = [
    ("gcc -O2 of one file", "gcc", "gcc -O2 -c -o one.o one.c"),
    ("make -j2 of six files", "make", "rm -f *.o && make -s -j2"),
    ("a python3 script", "python3", "python3 script.py"),
    ("find over /usr", "find", "find /usr -type f -name '*.h' > found"),
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
/// How long the history is that git tells.
const COMMITS: u32 = 1000;

const UNDER: [Under; 3] = [Under::Host, Under::Inside, Under::Ptrace];

/// Measures all of it: the shortest of several runs, each on one CPU with all that belongs to it.
pub fn measure(args: &BenchArgs) -> anyhow::Result<Table> {
    const ROUNDS: u32 = 20;
    let cpu = machine::choose_cpu(args.cpu)?;
    let folder = std::env::temp_dir().join(format!("fated-bench-programs-{}", std::process::id()));
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
                for (under, number) in UNDER.into_iter().zip(&mut best) {
                    let time = time(&folder, under, cpu, script)?;
                    *number = [*number, Some(time)].into_iter().flatten().min_by(f64::total_cmp);
                }
            }
            rows.push((label.to_owned(), with_ratios(best)));
        }
        let caption = "Milliseconds from start to end, all on one CPU, the shortest of several runs.";
        Ok(Table { caption, corner: "", columns: columns(), rows, notes })
    });
    // What can't be removed lies in the directory for temporary files.
    let _ = fs::remove_dir_all(&folder);
    result
}

/// Makes what the programs work on.
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

/// How many milliseconds the script takes.
fn time(folder: &Path, under: Under, cpu: usize, script: &str) -> anyhow::Result<f64> {
    let mut words = vec!["taskset".to_owned(), "-c".to_owned(), cpu.to_string()];
    words.extend(work::wrapper(under, cpu, EngineName::Any)?);
    let start = Instant::now();
    shell(folder, &words, script)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn shell(folder: &Path, wrapper: &[String], script: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = wrapper.iter().map(String::as_str).chain(["sh", "-c", script]).collect();
    let mut command = Command::new(words[0]);
    // The system's own programs, not what a user has put before them.
    command.env("PATH", "/usr/bin:/bin");
    command.args(&words[1..]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().with_context(|| format!("failed to run {}", words[0]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "failed to measure {}: {}\n{said}", words.join(" "), output.status);
    Ok(())
}
