//! The command line as the user types it. [`crate::settings`] resolves it to what a run needs.

mod bench;
mod names;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::AnsiColor;
use clap::builder::{OsStringValueParser, Styles, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};

pub use bench::{Bench, BenchArgs};
pub use names::{EngineName, InputName, StatsFormat, StdioName, TmpOf, WaitBy};

const STYLES: Styles =
    Styles::styled().header(AnsiColor::Green.on_default().bold()).usage(AnsiColor::Green.on_default().bold());

const EXAMPLES: &str = "\
Examples:
  fated run -- sh -c 'date; echo $$; head -c 4 /dev/urandom | od -An -tx1'
                                          the same four bytes, pid and date each time
  fated run --seed 7 make -j4             other random numbers, another order
  fated run --verify -- python3 test.py   run twice, compare everything
  fated run --log - --stats -- ls -l      show every call, then how many of each";

/// Run any Linux program in a world whose time, scheduling, randomness and ids are decided by a seed.
#[derive(Debug, Parser)]
#[command(name = "fated", version, styles = STYLES, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program: same files, same options and same seed give the same run, to the byte
    #[command(after_long_help = RUN_HELP, override_usage = "fated run [OPTIONS] [--] <PROGRAM> [ARGS]...")]
    Run(Box<RunArgs>),
    /// Repeat a run that was recorded with --record: its decisions and its input come from the journal
    #[command(after_long_help = REPLAY_HELP, override_usage = "fated replay [OPTIONS] <JOURNAL> [-- <PROGRAM> [ARGS]...]")]
    Replay(Box<ReplayArgs>),
    /// Measure fated on this machine and compare it with plain Linux and strace
    #[command(subcommand, disable_help_subcommand = true)]
    Bench(Bench),
    /// Print a completion script, for example for ~/.local/share/bash-completion/completions/fated
    Completions {
        /// The shell to print it for
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for man -l -
    Man,
}

const RUN_HELP: &str = "\
What a run depends on:
  The program, its arguments, the options, the environment, standard input, other inherited descriptors, and the files that it reads. \
A program that changes its own inputs (a database, a build directory) gives the same run again only from a fresh copy: \
see --fresh.
  The environment is inherited unless you say --clear-env, and it differs from one terminal to the next. To compare \
runs between machines, use --clear-env, and --env for whatever the program needs.

Temporary files:
  /tmp, /var/tmp and /dev/shm are the run's own: empty at first, and what is left in them at the end is dropped, unless you say --keep-tmp. \
With --tmp host they are the host's.
  What you name below them is the host's all the same, up to its first component (/tmp/work of 'cd /tmp/work && make'): in the arguments, in --env, as the \
working directory, and in PWD, OLDPWD, HOME, TMPDIR, PATH and LD_LIBRARY_PATH. Guests can change and remove these files. Paths that a program makes up, or reads \
from a file, lead to its own directories.

Which engine:
  The same program with the same seed is the same run on both. With --engine inside the simulated kernel runs in the guest's own process, so that calls are cheap; with --engine ptrace it runs in fated's, and a call costs some microseconds. Choose ptrace for a guest that scribbles over memory or checks its own machine code, and where fated says that the engine inside failed. By default fated takes the engine inside if this machine supports it.

Exit status:
  the program's own (fated dies of the signal that killed the program: 128 + n in a shell), or
  121  the run has taken longer than --timeout
  122  the run has taken longer than --max-virtual-time
  123  --verify found a difference, or a replayed run has left its journal
  124  the run was given up: all tasks wait forever, or one spins (--spin-limit)
  125  fated failed: wrong options, no permission to trace, a guest killed from outside
  126  the program can't be executed
  127  there is no such program

Examples:
  fated run --seed 7 -- sh -c 'date; echo $RANDOM'
  fated run --clear-env --env PATH --env LANG=C.UTF-8 --cwd /tmp -- perl -e 'print %ENV'
  fated run --verify --fresh build -- make -j4
  fated run --policy pct:3 --seed 12 -- ./test-with-threads
  fated run --log calls.jsonl -- ./server";

const REPLAY_HELP: &str = "\
What a journal holds:
  Every decision of the run, all input that came through standard streams, and the signals of the user, one entry a line; \
and at its head program, arguments, environment, directory and options. So the same run needs neither the seed nor the \
input, and an editor can change it: change an entry, then obey the journal up to that one, and see where the run goes from there.
  Files are not in it: the run must find the same ones. With --stdio inherit, standard streams that were regular files have to be redirected again, and so have descriptors from 3 on.

Exit status:
  as of fated run, and 123 if the run does something else than its journal says

Examples:
  fated run --record j -- ./test-with-threads
  fated replay j                          the same run
  fated replay --engine ptrace --log - j  the same run, traced, with every call
  fated replay --until 120 --seed 7 j     the same first 120 entries, then another run
  fated replay --until 120 --record k j   the same, recorded once more as a whole";

/// `fated replay`.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// Obey so many entries; then the seed decides, and input comes from fated's own streams
    #[arg(long, value_name = "N", help_heading = "The world")]
    pub until: Option<u64>,

    /// The seed that decides behind the last entry; the one of the recorded run unless told
    #[arg(long, value_name = "N", value_parser = seed, help_heading = "The world")]
    pub seed: Option<u64>,

    /// Run in a fresh copy of this directory, which is removed at the end
    #[arg(long, value_name = "DIR", help_heading = "The program")]
    pub fresh: Option<PathBuf>,

    /// Keep what is left in the run's own /tmp, /var/tmp and /dev/shm: in DIR, which must not exist or be empty
    #[arg(long, value_name = "DIR", help_heading = "The program")]
    pub keep_tmp: Option<PathBuf>,

    /// Give up when a task uses this many seconds of the processor without a system call; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 600, help_heading = "Scheduling and time")]
    pub spin_limit: u64,

    /// End the run after this much real time, like 90, 1.5s or 10m, with exit status 121
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse, help_heading = "Scheduling and time")]
    pub timeout: Option<Duration>,

    /// End the run before it takes more than this much virtual time, with exit status 122
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse, help_heading = "Scheduling and time")]
    pub max_virtual_time: Option<Duration>,

    /// Write the journal of this run to FILE
    #[arg(long, value_name = "FILE", help_heading = "What to show")]
    pub record: Option<PathBuf>,

    /// Write every call to FILE, one a line: JSON if it ends in .json or .jsonl, else as strace does; - for standard error
    #[arg(long, value_name = "FILE", help_heading = "What to show")]
    pub log: Option<PathBuf>,

    /// At the end, print calls by name, stops and times to standard error
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text", help_heading = "What to show")]
    pub stats: Option<StatsFormat>,

    /// Show no notices of fated's own, only why a run has failed
    #[arg(long, short, help_heading = "What to show")]
    pub quiet: bool,

    /// How guests are executed: the same run either way
    #[arg(long, value_name = "NAME", default_value = "any", help_heading = "Inside fated")]
    pub engine: EngineName,

    /// Leave the guest's machine code as it is: with --engine inside, every call then is a signal
    #[arg(long, help_heading = "Inside fated")]
    pub no_rewrite: bool,

    /// The real CPU that everything runs on; the one that fated happens to be on unless told
    #[arg(long, value_name = "N", help_heading = "Inside fated")]
    pub cpu: Option<usize>,

    /// The journal
    #[arg(value_name = "JOURNAL", value_hint = clap::ValueHint::FilePath)]
    pub journal: PathBuf,

    /// Another program and its arguments, in place of the recorded ones
    #[arg(value_name = "PROGRAM", last = true, value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `fated run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Decides every random number, the order of tasks and all ids: a number of 64 bits, decimal or 0x…
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = seed, help_heading = "The world")]
    pub seed: u64,

    /// When the run begins, as guests see it: RFC 3339, or seconds since 1970 behind @
    ///
    /// The seed adds less than a millisecond: shells and libraries seed themselves by the fraction of the second.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2026-01-01T00:00:00Z",
        value_parser = crate::epoch::parse,
        help_heading = "The world"
    )]
    pub epoch: u64,

    /// The name of the machine
    #[arg(long, value_name = "NAME", default_value = "fated", value_parser = hostname, help_heading = "The world")]
    pub hostname: String,

    /// How many processors guests see; still only one task runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "The world")]
    pub cpus: u32,

    /// How many tasks may live at once; a fork beyond that fails with EAGAIN
    ///
    /// The host's own limits (ulimit -u, /proc/sys/kernel/pid_max) apply as well.
    #[arg(long, value_name = "N", default_value_t = 32_768, value_parser = clap::value_parser!(u32).range(1..), help_heading = "The world")]
    pub max_tasks: u32,

    /// Set a variable for the guest; NAME alone passes on fated's own (repeatable)
    #[arg(
        long,
        value_name = "NAME[=VALUE]",
        value_parser = OsStringValueParser::new().try_map(|text| variable(&text)),
        help_heading = "The program"
    )]
    pub env: Vec<Variable>,

    /// Start from an empty environment; only --env adds to it
    #[arg(long, help_heading = "The program")]
    pub clear_env: bool,

    /// Run in this directory
    #[arg(long, value_name = "DIR", help_heading = "The program")]
    pub cwd: Option<PathBuf>,

    /// Run in a fresh copy of this directory, which is removed at the end
    ///
    /// The copy is made beside DIR as DIR.fated, so that its path is always the same; one run at a time can use it.
    /// What the run writes there is lost at the end.
    #[arg(long, value_name = "DIR", conflicts_with = "cwd", help_heading = "The program")]
    pub fresh: Option<PathBuf>,

    /// What standard input, output and error look like to guests, so that a run doesn't depend on what they are
    #[arg(long, value_name = "KIND", default_value = "pipe", help_heading = "The program")]
    pub stdio: StdioName,

    /// How standard input comes in; blocks unless it is a terminal
    #[arg(long, value_name = "HOW", help_heading = "The program")]
    pub input: Option<InputName>,

    /// What /tmp, /var/tmp and /dev/shm are
    ///
    /// The run's own are empty at first, and what is left in them at the end is dropped. Files below the host's directories that the
    /// command line, --env or the working directory name are there all the same, and stay.
    #[arg(long, value_name = "WHOSE", default_value = "own", help_heading = "The program")]
    pub tmp: TmpOf,

    /// Keep what is left in the run's own /tmp, /var/tmp and /dev/shm: in DIR, which must not exist or be empty
    #[arg(long, value_name = "DIR", help_heading = "The program")]
    pub keep_tmp: Option<PathBuf>,

    /// The order of tasks that are ready: rr (first come, first served), random (drawn from the seed), pct, pct:N, pct:N:CALLS or pct:N:auto
    /// (seeded priorities with N changes, by default 3, and one more whenever a task spins; finds rare orders)
    ///
    /// pct:N:CALLS spreads the changes evenly over so many calls. --stats tells how many a run makes: then a rare order of which N changes
    /// are the cause is found as soon as chance permits. pct:N:auto finds that number out: the program first runs under rr, unseen, and all of
    /// standard input is read before (see --fresh for files that it changes). Without, short and long runs are looked into alike.
    #[arg(long, value_name = "POLICY", default_value = "rr", value_parser = crate::policy::parse, help_heading = "Scheduling and time")]
    pub policy: crate::policy::Wanted,

    /// How many calls a task makes before another one gets its turn; the seed varies it, by half or under --policy random from 1 to twice that
    #[arg(long, value_name = "CALLS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Scheduling and time")]
    pub slice: u32,

    /// What a system call costs in virtual time, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=1_000_000_000), help_heading = "Scheduling and time")]
    pub call_cost: u64,

    /// Give up when a task uses this many seconds of the processor without a system call; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 600, help_heading = "Scheduling and time")]
    pub spin_limit: u64,

    /// End the run after this much real time, like 90, 1.5s or 10m, with exit status 121
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse, help_heading = "Scheduling and time")]
    pub timeout: Option<Duration>,

    /// End the run before it takes more than this much virtual time, with exit status 122
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse, help_heading = "Scheduling and time")]
    pub max_virtual_time: Option<Duration>,

    /// Run twice and compare standard output, standard error, exit status and every call
    ///
    /// The first run's output is shown, the second one's only compared. All of standard input is read before the first
    /// run starts, and given to both. Both runs must find the same files: see --fresh.
    #[arg(long, help_heading = "What to show")]
    pub verify: bool,

    /// Write the run's journal to FILE: all that it decides and all that comes in, for fated replay
    #[arg(long, value_name = "FILE", conflicts_with = "verify", help_heading = "What to show")]
    pub record: Option<PathBuf>,

    /// Write every call to FILE, one per line: JSON if the name ends in .json or .jsonl, else as strace does; - for standard error
    #[arg(long, value_name = "FILE", help_heading = "What to show")]
    pub log: Option<PathBuf>,

    /// At the end, print calls by name, stops and times to standard error
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text", help_heading = "What to show")]
    pub stats: Option<StatsFormat>,

    /// Also show notices about this machine
    #[arg(long, short, help_heading = "What to show")]
    pub verbose: bool,

    /// Show no notices of fated's own, only why a run has failed
    #[arg(long, short, conflicts_with = "verbose", help_heading = "What to show")]
    pub quiet: bool,

    /// How guests are executed: the same run either way
    #[arg(long, value_name = "NAME", default_value = "any", help_heading = "Inside fated")]
    pub engine: EngineName,

    /// Leave the guest's machine code as it is: every call then costs a signal (--engine inside), and a guest's rdrand is real
    #[arg(long, help_heading = "Inside fated")]
    pub no_rewrite: bool,

    /// Never make cpuid fault, as on a processor that can't: code that a guest generates sees the real one (to test fated)
    #[arg(long, hide = true, help_heading = "Inside fated")]
    pub no_cpuid_faulting: bool,

    /// The real CPU that everything runs on; by default the one that fated happens to be on
    #[arg(long, value_name = "N", help_heading = "Inside fated")]
    pub cpu: Option<usize>,

    /// How waits find a child: by index, or by a scan of all children as Linux does it (to measure the difference)
    #[arg(long, value_name = "HOW", default_value = "index", help_heading = "Inside fated")]
    pub wait: WaitBy,

    /// The program, searched in the guest's PATH, and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true, value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// A name and a value; without a value, the variable is passed on from fated's own environment.
pub type Variable = (OsString, Option<OsString>);

fn seed(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16),
        _ => text.parse(),
    };
    number.map_err(|_| format!("a seed is a whole number from 0 to {}, or one behind 0x", u64::MAX))
}

fn hostname(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("a name has 1 to 64 printable characters".to_owned()) }
}

fn variable(text: &OsStr) -> Result<Variable, String> {
    let bytes = text.as_bytes();
    let (name, value) = match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
        None => (bytes, None),
    };
    if name.is_empty() { Err("the name is empty".to_owned()) } else { Ok((OsStr::from_bytes(name).to_owned(), value)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[track_caller]
    fn run(args: &[&str]) -> RunArgs {
        let args = ["fated", "run"].iter().chain(args);
        match Cli::try_parse_from(args).expect("the arguments are valid").command {
            Command::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_behind_the_program_is_its_own() {
        for args in [&["--seed", "3", "ls", "--seed", "4"][..], &["--seed", "3", "--", "ls", "--seed", "4"]] {
            let args = run(args);
            assert_eq!((args.seed, args.command), (3, vec!["ls".into(), "--seed".into(), "4".into()]));
        }
    }

    #[test]
    fn stats_take_a_format_only_behind_an_equals_sign() {
        assert_eq!(run(&["--stats", "json"]).stats, Some(StatsFormat::Text));
        assert_eq!(run(&["--stats=json", "ls"]).stats, Some(StatsFormat::Json));
    }

    #[test]
    fn values() {
        assert_eq!((seed("0x10"), seed("16")), (Ok(16), Ok(16)));
        assert!(seed("abc").is_err() && seed("-1").is_err() && seed("0x").is_err() && seed("0x+1").is_err());
        assert_eq!(variable("A=b=c".as_ref()), Ok(("A".into(), Some("b=c".into()))));
        assert_eq!(variable("A".as_ref()), Ok(("A".into(), None)));
        assert!(variable("=x".as_ref()).is_err());
        assert!(hostname("").is_err() && hostname("a b").is_err() && hostname("box-1").is_ok());
    }
}
