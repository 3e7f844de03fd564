//! The command from outside: options, exit codes, messages, and what becomes of guests when something goes wrong. What has to
//! do with a run is tried on each engine.
//!
//! No test depends on timing or on others, nor on what fated may say of this machine. What a test needs and this machine doesn't have is said, and the test counts as
//! ignored.

#![expect(clippy::disallowed_methods, reason = "starts fated and looks at real processes")]

mod bench;
mod exec;
mod fated;
mod faults;
mod files;
mod inherited;
mod input;
mod journal;
mod killed;
mod limits;
mod options;
mod output;
mod outsiders;
mod processor;
mod same;
mod terminal;
mod tmp;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test: its name, the commands and whatever else it needs, and what it does.
type Test = (&'static str, &'static [&'static str], fn());

/// The engines that runs are tried on.
const ENGINES: [&str; 2] = ["inside", "ptrace"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let on_engines = [
        options::TESTS,
        output::TESTS,
        processor::TESTS,
        same::TESTS,
        terminal::TESTS,
        tmp::TESTS,
        faults::TESTS,
        input::TESTS,
        files::TESTS,
        journal::TESTS,
        exec::TESTS,
        killed::TESTS,
        limits::TESTS,
        inherited::TESTS,
        outsiders::TESTS,
    ]
    .into_iter()
    .flatten();
    let on_engines = ENGINES.into_iter().flat_map(|engine| on_engines.clone().map(move |test| (Some(engine), test)));
    let others = [options::WITHOUT_A_RUN, bench::TESTS].into_iter().flatten().map(|test| (None, test));
    for (engine, &(name, needs, test)) in on_engines.chain(others) {
        let name = engine.map_or(name.to_owned(), |engine| format!("{engine}::{name}"));
        let missing = needs.iter().find(|command| !fated::is_there(command));
        if let (Some(command), false) = (missing, arguments.list) {
            println!("{name} is skipped: no {command}");
        }
        let trial = Trial::test(name, move || {
            fated::use_engine(engine);
            test();
            Ok(())
        });
        trials.push(trial.with_ignored_flag(missing.is_some()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
