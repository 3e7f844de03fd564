//! The command: `fated run`, `fated bench`, `fated completions`, `fated man`. It turns options into values, hands them to
//! the kernel and the engine, and says what came out. It knows no system call and no ptrace.

mod bench;
mod cli;
mod epoch;
mod exit;
mod fresh;
mod line;
mod logfile;
mod run;
mod settings;
mod stats;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If even that can't be printed, the code has to do.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS };
        }
    };
    match execute(&cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fated: {error:#}");
            exit::of_error(&error)
        }
    }
}

fn execute(command: &Command) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    match command {
        Command::Run(args) => return run::run(args),
        Command::Bench(bench) => bench::run(bench)?,
        Command::Completions { shell } => clap_complete::generate(*shell, &mut Cli::command(), "fated", &mut text),
        Command::Man => manual(&mut text)?,
    }
    std::io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// One page: the command, then its subcommands.
fn manual(text: &mut Vec<u8>) -> std::io::Result<()> {
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(text)?;
    for subcommand in command.get_subcommands() {
        let name = format!("fated {}", subcommand.get_name());
        let man = clap_mangen::Man::new(subcommand.clone().display_name(&name));
        writeln!(text, ".SH \"{}\"", name.to_uppercase())?;
        man.render_description_section(text)?;
        man.render_options_section(text)?;
        for nested in subcommand.get_subcommands() {
            writeln!(text, ".SS \"{name} {}\"", nested.get_name())?;
            writeln!(text, "{}", nested.get_about().map(ToString::to_string).unwrap_or_default())?;
        }
        if let Some(help) = subcommand.get_after_long_help() {
            writeln!(text, ".PP\n.nf\n{}\n.fi", help.to_string().replace('\\', "\\e").replace('-', "\\-"))?;
        }
    }
    Ok(())
}
