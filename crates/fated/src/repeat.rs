//! The command that repeats a run: the options that it depends on, and no others.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::{Parser as _, ValueEnum as _};
use fated_kernel::config::{Input, Policy};

use crate::cli::{Cli, Command, RunArgs, TmpOf};
use crate::exit::{self, End};
use crate::settings::Settings;
use crate::stderr;

/// Tells the user how a run can be repeated that has failed: one that was given up or took too long in any case, one whose program has
/// failed only if more is to be seen of it.
pub fn tell(args: &RunArgs, settings: &Settings, result: &anyhow::Result<End>) {
    let (end, wanted) = match result {
        Ok(end) => (*end, args.verbose || args.stats == Some(crate::cli::StatsFormat::Text)),
        Err(error) => (exit::of_error(error), true),
    };
    let of_fated = [exit::TIMED_OUT, exit::OVERRAN, exit::DIFFERENT, exit::GIVEN_UP];
    let failed = match (result, end) {
        (Ok(_), end) => end != End::SUCCESS,
        (Err(_), End::Code(code)) => of_fated.contains(&code),
        (Err(_), End::Signal(_)) => false,
    };
    if failed && wanted && !args.quiet {
        stderr::say(format_args!(
            "this run again, with the same files, environment and input: {}",
            command(args, settings)
        ));
    }
}

/// The command line. What follows from the terminal, or from a measurement, is named.
fn command(args: &RunArgs, settings: &Settings) -> String {
    let (config, default) = (&settings.config, defaults());
    let mut line = format!("fated run --seed {} --policy {}", config.seed, policy(config.policy));
    let stdio = args.stdio.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned());
    let input = if config.input == Input::Blocks { "blocks" } else { "live" };
    let _ = write!(line, " --stdio {stdio} --input {input}");
    let mut number = |name: &str, value: u64, default: u64| {
        if value != default {
            let _ = write!(line, " --{name} {value}");
        }
    };
    number("slice", args.slice.into(), default.slice.into());
    number("call-cost", args.call_cost, default.call_cost);
    number("cpus", args.cpus.into(), default.cpus.into());
    number("max-tasks", args.max_tasks.into(), default.max_tasks.into());
    number("spin-limit", args.spin_limit, default.spin_limit);
    let mut word = |name: &str, value: &str| {
        let _ = write!(line, " --{name} {}", quoted(value));
    };
    if args.epoch != default.epoch {
        word("epoch", &format!("@{}.{:09}", args.epoch / 1_000_000_000, args.epoch % 1_000_000_000));
    }
    if args.hostname != default.hostname {
        word("hostname", &args.hostname);
    }
    for (name, value) in &args.env {
        let value = value.as_ref().map_or_else(String::new, |value| format!("={}", value.to_string_lossy()));
        word("env", &format!("{}{value}", name.to_string_lossy()));
    }
    let path = |path: &Path| path.to_string_lossy().into_owned();
    for (name, directory) in [("cwd", &args.cwd), ("fresh", &args.fresh)] {
        directory.iter().for_each(|it| word(name, &path(it)));
    }
    for (name, limit) in [("timeout", args.timeout), ("max-virtual-time", args.max_virtual_time)] {
        limit.iter().for_each(|it| word(name, &duration(*it)));
    }
    if args.tmp == TmpOf::Host {
        word("tmp", "host");
    }
    let flags =
        [("clear-env", args.clear_env), ("no-rewrite", args.no_rewrite), ("no-cpuid-faulting", args.no_cpuid_faulting)];
    for (name, _) in flags.iter().filter(|(_, set)| *set) {
        let _ = write!(line, " --{name}");
    }
    line.push_str(" --");
    for word in &args.command {
        let _ = write!(line, " {}", quoted(&word.to_string_lossy()));
    }
    line
}

/// A run without options.
fn defaults() -> RunArgs {
    match Cli::parse_from(["fated", "run", "program"]).command {
        Command::Run(args) => *args,
        _ => unreachable!("that is a run"),
    }
}

fn policy(policy: Policy) -> String {
    match policy {
        Policy::RoundRobin => "rr".into(),
        Policy::Random => "random".into(),
        Policy::Pct { changes, span: 0 } => format!("pct:{changes}"),
        Policy::Pct { changes, span } => format!("pct:{changes}:{span}"),
    }
}

fn duration(it: Duration) -> String {
    match it.as_nanos() {
        ns if ns % 1_000_000 == 0 => format!("{}ms", ns / 1_000_000),
        ns => format!("{ns}ns"),
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-+=:,./@%".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (word, text) in
            [("a-b/c.d", "a-b/c.d"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(word), text);
        }
        assert_eq!(duration(Duration::from_millis(1500)), "1500ms");
    }
}
