//! Runs one program of the table on each engine with one seed or more, and once natively, and compares.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::table::{Native, Program};

/// No program of the table needs as long as this, in seconds, unless it hangs.
const LIMIT_S: &str = "120";

/// The engines. What the first one gives is compared with the table and with native.
pub const ENGINES: [&str; 2] = ["inside", "ptrace"];

/// Where and how programs run.
pub struct Setup {
    seeds: u32,
    /// Another build of fated, whose runs have to be the same: the one before a change.
    before: Option<OsString>,
    folder: PathBuf,
    guests: PathBuf,
    /// The search path of all programs: the toolchain's and Debian's, nobody's own.
    pub path: String,
}

/// What a program did in one run.
#[derive(PartialEq, Eq)]
struct Run {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// As a shell gives it: 128 + n for signal n.
    exit: i32,
    log: Vec<u8>,
}

/// How a program fared.
pub struct Outcome {
    /// The exit status on each engine, with the first seed.
    pub exits: Vec<i32>,
    /// Why the runs with one seed are not identical.
    pub differs: Option<String>,
    /// Why the exit status is wrong.
    pub wrong_exit: Option<String>,
    /// Why the output is not the native one. `None` also if natively it differs from run to run.
    pub differs_from_native: Option<String>,
    /// What fated said of it.
    pub notices: Vec<String>,
}

impl Outcome {
    fn new(
        program: &Program,
        exits: Vec<i32>,
        run: &Run,
        differs: Option<String>,
        differs_from_native: Option<String>,
    ) -> Self {
        let wrong_exit = exits
            .iter()
            .find(|exit| **exit != program.exit)
            .map(|exit| format!("exit status {exit}, not {}; stderr:\n{}", program.exit, tail(&run.stderr)));
        Self { exits, differs, wrong_exit, differs_from_native, notices: run.notices() }
    }

    /// Everything that is wrong.
    pub fn problem(&self) -> Option<String> {
        let problems: Vec<&str> = [&self.differs, &self.wrong_exit, &self.differs_from_native]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        (!problems.is_empty()).then(|| problems.join("\n"))
    }
}

impl Setup {
    pub fn new(seeds: u32) -> Self {
        let toolchain =
            Path::new(&std::env::var_os("CARGO").expect("cargo runs the tests")).parent().map(Path::to_owned);
        let toolchain = toolchain.expect("cargo lies in a folder");
        Self {
            seeds,
            before: std::env::var_os("FATED_BEFORE"),
            folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs"),
            guests: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/guests"),
            path: format!("/usr/bin:/bin:/usr/sbin:/sbin:{}", toolchain.display()),
        }
    }

    /// The first command that the program needs and that is not installed.
    pub fn missing(&self, program: &Program) -> Option<&'static str> {
        let there = |command: &&str| self.path.split(':').any(|folder| Path::new(folder).join(command).exists());
        program.commands().find(|command| !there(command))
    }

    pub fn run(&self, program: &Program) -> Outcome {
        let template = self.template(program);
        let same = matches!(program.native, Native::Same);
        let (mut first, differs) = (0..self.seeds).fold((None, None), |(first, differs), number| {
            let seed = program.seed() + number;
            let runs = ENGINES.map(|engine| {
                self.once(program, &template, Some((env!("CARGO_BIN_EXE_fated").as_ref(), engine, seed)))
            });
            let differs = differs.or_else(|| {
                let [inside, ptrace] = &runs;
                (inside != ptrace).then(|| {
                    let difference = difference(ENGINES[0], inside, ENGINES[1], ptrace);
                    format!("the engines differ with seed {seed}:\n{difference}")
                })
            });
            let differs = differs.or_else(|| self.differs_from_before(program, &template, seed, &runs[0]));
            (first.or(Some(runs)), differs)
        });
        let natively = || self.once(program, &template, None);
        let Some([under_fated, other]) = first.take() else {
            // Without runs under fated, two native ones check the table itself.
            let (one, two) = (natively(), natively());
            let differs = (same && one != two).then(|| difference("once", &one, "again", &two));
            return Outcome::new(program, vec![one.exit, two.exit], &one, differs, None);
        };
        let differs_from_native = same
            .then(natively)
            .filter(|native| !native.same_output(&under_fated))
            .map(|native| format!("differs from native:\n{}", difference("native", &native, "fated", &under_fated)));
        Outcome::new(program, vec![under_fated.exit, other.exit], &under_fated, differs, differs_from_native)
    }

    /// How the run of the build before differs, if there is one.
    fn differs_from_before(&self, program: &Program, template: &Path, seed: u32, now: &Run) -> Option<String> {
        let before = self.once(program, template, Some((self.before.as_deref()?, ENGINES[0], seed)));
        let differs = before != *now;
        differs.then(|| format!("not as before with seed {seed}:\n{}", difference("before", &before, "now", now)))
    }

    /// Prepares a folder natively, of which each run gets a copy at the same path.
    fn template(&self, program: &Program) -> PathBuf {
        let template = self.folder.join(program.name).join("template");
        fresh(&template);
        fs::create_dir(template.join("tmp")).expect("the folder is ours");
        for file in program.files.split_whitespace() {
            copy(&self.guests.join(file), &template);
        }
        if !program.prepare.is_empty() {
            let mut shell = self.native(&["bash", "-ec", program.prepare], &template);
            let output = shell.output().expect("bash is there");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "failed to prepare {}: {stderr}", program.name);
        }
        template
    }

    /// Runs it under a build of fated on an engine with a seed, or natively.
    fn once(&self, program: &Program, template: &Path, under_fated: Option<(&OsStr, &str, u32)>) -> Run {
        let folder = template.with_file_name("run");
        let log = template.with_file_name("log");
        fresh(&folder);
        copy(&template.join("."), &folder);
        let _ = fs::remove_file(&log);
        let words = program.words();
        let mut command = match under_fated {
            Some((fated, engine, seed)) => {
                let mut command = limited();
                command.arg(fated).args(["run", "--engine", engine, "--seed", &seed.to_string()]);
                self.add_settings(&mut command, &words, &folder, &log);
                command
            }
            None => self.native(&words, &folder),
        };
        let output = command.stdin(Stdio::null()).output().expect("coreutils are there");
        let exit = output.status.code().or_else(|| output.status.signal().map(|it| 128 + it));
        let log = fs::read(log).unwrap_or_default();
        Run { stdout: output.stdout, stderr: output.stderr, exit: exit.expect("it has ended"), log }
    }

    fn native(&self, words: &[&str], folder: &Path) -> Command {
        let mut command = limited();
        command.args(words).current_dir(folder).env_clear().envs(self.environment(folder));
        command
    }

    fn add_settings(&self, command: &mut Command, words: &[&str], folder: &Path, log: &Path) {
        command.args(["--clear-env", "--spin-limit", LIMIT_S]).arg("--log").arg(log).arg("--cwd").arg(folder);
        for (name, value) in self.environment(folder) {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command.arg("--").args(words);
    }

    /// Programs that run at once must not meet in /tmp: with decided randomness, they choose the same names.
    fn environment(&self, folder: &Path) -> [(&'static str, String); 7] {
        let own = |name: &str| folder.join(name).display().to_string();
        [
            ("PATH", self.path.clone()),
            ("HOME", own("")),
            ("TMPDIR", own("tmp")),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("CARGO_HOME", own("cargo-home")),
            ("GOCACHE", self.folder.join("go-cache").display().to_string()),
            // Not beside the modules of the system: as root, other runs may change what is there meanwhile.
            ("PYTHONPYCACHEPREFIX", own("python-cache")),
        ]
    }
}

impl Run {
    /// Compares what the program did, without what fated itself says.
    fn same_output(&self, other: &Self) -> bool {
        self.stdout == other.stdout && self.own_stderr() == other.own_stderr() && self.exit == other.exit
    }

    fn own_stderr(&self) -> Vec<u8> {
        self.stderr.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_notice(line)).flatten().copied().collect()
    }

    /// What fated itself says.
    fn notices(&self) -> Vec<String> {
        let lines = self.stderr.split(|byte| *byte == b'\n').filter(|line| is_notice(line));
        lines.map(|line| String::from_utf8_lossy(&line[NOTICE.len()..]).into_owned()).collect()
    }
}

const NOTICE: &[u8] = b"fated: ";

fn is_notice(line: &[u8]) -> bool {
    line.starts_with(NOTICE)
}

fn limited() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--signal=KILL", LIMIT_S]);
    command
}

fn fresh(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("the folder is ours");
}

/// With times: they are part of what a program is given.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.is_ok_and(|it| it.success()), "failed to copy {} to {}", from.display(), to.display());
}

/// The first difference in each part of two runs.
fn difference(name: &str, run: &Run, other_name: &str, other: &Run) -> String {
    let mut text = String::new();
    if run.exit != other.exit {
        let _ = writeln!(text, "exit: {name} {}, {other_name} {}", run.exit, other.exit);
    }
    for (part, a, b) in [
        ("stdout", &run.stdout, &other.stdout),
        ("stderr", &run.own_stderr(), &other.own_stderr()),
        ("log", &run.log, &other.log),
    ] {
        if a == b || run.log.is_empty() != other.log.is_empty() && part == "log" {
            continue;
        }
        let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
        let (mut a, mut b) = (a.lines(), b.lines());
        let mut line = 1;
        let (a, b) = loop {
            match (a.next(), b.next()) {
                (Some(a), Some(b)) if a == b => line += 1,
                (None, None) => break ("", "(only the ends of lines differ)"),
                (a, b) => break (a.unwrap_or("(ends)"), b.unwrap_or("(ends)")),
            }
        };
        let _ = writeln!(text, "{part}, line {line}:\n  {name:>7} {a}\n  {other_name:>7} {b}");
    }
    text
}

fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
