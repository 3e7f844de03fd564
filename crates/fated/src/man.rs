//! The manual page, generated from the texts of `--help`: one page for all subcommands.

use std::io::{self, Write as _};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::Cli;

/// The page, in roff.
pub fn page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    writeln!(text, ".SH SYNOPSIS\n.nf")?;
    for leaf in leaves(&command) {
        let usage = leaf.clone().render_usage().to_string();
        writeln!(text, "{}", escaped(usage.trim_start_matches("Usage: ")))?;
    }
    writeln!(text, ".fi")?;
    for subcommand in command.get_subcommands() {
        writeln!(text, ".SH \"{}\"", subcommand.get_bin_name().unwrap_or_default().to_uppercase())?;
        describe(&mut text, subcommand)?;
        for nested in subcommand.get_subcommands().filter(|it| !it.is_hide_set()) {
            writeln!(text, ".SS \"{}\"", nested.get_bin_name().unwrap_or_default())?;
            describe(&mut text, nested)?;
        }
    }
    for subcommand in command.get_subcommands() {
        let help = subcommand.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        sections(&mut text, &help)?;
    }
    Ok(text)
}

/// The commands that have no subcommands.
fn leaves(command: &Command) -> Vec<&Command> {
    let below: Vec<&Command> = command.get_subcommands().filter(|it| !it.is_hide_set()).flat_map(leaves).collect();
    if below.is_empty() { vec![command] } else { below }
}

/// The description of a command and its options.
fn describe(text: &mut Vec<u8>, command: &Command) -> io::Result<()> {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(text, "{}.", escaped(&about))?;
    if command.has_subcommands() {
        return Ok(());
    }
    let mut options = Vec::new();
    Man::new(command.clone().disable_help_flag(true)).render_options_section(&mut options)?;
    // In a page of its own these would be sections; here they are part of the command.
    let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS\n", "").replace(".SH ", ".SS ");
    text.extend(options.bytes());
    Ok(())
}

/// The texts after the options. A line at the margin that ends with a colon begins a section; tables and examples keep
/// their line breaks.
fn sections(text: &mut Vec<u8>, help: &str) -> io::Result<()> {
    let is_heading = |line: &str| line.ends_with(':') && !line.starts_with(' ');
    for line in help.lines().filter(|line| !line.is_empty()) {
        if is_heading(line) {
            writeln!(text, ".SH \"{}\"", line.trim_end_matches(':').to_uppercase())?;
        } else {
            writeln!(text, "{}{}", if line.len() > 100 { ".PP\n" } else { ".br\n" }, escaped(line.trim()))?;
        }
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
