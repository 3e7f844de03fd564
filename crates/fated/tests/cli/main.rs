//! The command from outside: options, exit codes, messages, and what becomes of guests when something goes wrong.
//!
//! No test depends on timing or on others. What a test needs and this machine doesn't have is said, and the test counts as
//! ignored.

#![expect(clippy::disallowed_methods, reason = "starts fated and looks at real processes")]

mod bench;
mod fated;
mod faults;
mod options;
mod output;
mod terminal;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test: its name, the commands and whatever else it needs, and what it does.
type Test = (&'static str, &'static [&'static str], fn());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for &(name, needs, test) in
        [options::TESTS, output::TESTS, terminal::TESTS, faults::TESTS, bench::TESTS].into_iter().flatten()
    {
        let missing = needs.iter().find(|command| !fated::is_there(command));
        if let (Some(command), false) = (missing, arguments.list) {
            println!("{name} is skipped: no {command}");
        }
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        trials.push(trial.with_ignored_flag(missing.is_some()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
