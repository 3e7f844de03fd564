//! The command: `fated run`, `fated replay`, `fated bench`, `fated completions`, `fated man`. It turns options into values, hands
//! them to the kernel and the engine, and reports the result. It knows no system call and no ptrace.

mod bench;
mod cli;
mod duration;
mod epoch;
mod exit;
mod fresh;
mod journal;
mod line;
mod logfile;
mod man;
mod named;
mod policy;
mod repeat;
mod replay;
mod run;
mod scratch;
mod settings;
mod stats;
mod stderr;
mod verify;
mod verify_input;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use clap::error::{ContextKind, ErrorKind};
use cli::{Cli, Command};
use exit::End;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If printing fails too, the exit code is all that is left.
            let _ = error.print();
            if error.kind() == ErrorKind::InvalidSubcommand
                && let Some(program) = error.get(ContextKind::InvalidSubcommand)
            {
                stderr::say(format_args!("to run a program, say: fated run -- {program}"));
            }
            return if error.use_stderr() { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS };
        }
    };
    let end = execute(&cli.command).unwrap_or_else(|error| {
        stderr::say(format_args!("{error:#}"));
        exit::of_error(&error)
    });
    end.reach()
}

fn execute(command: &Command) -> anyhow::Result<End> {
    let mut text = Vec::new();
    match command {
        Command::Run(args) => return run::run(args),
        Command::Replay(args) => return replay::replay(args),
        Command::Bench(bench) => bench::run(bench)?,
        Command::Completions { shell } => clap_complete::generate(*shell, &mut Cli::command(), "fated", &mut text),
        Command::Man => text = man::page()?,
    }
    std::io::stdout().write_all(&text)?;
    Ok(End::SUCCESS)
}
