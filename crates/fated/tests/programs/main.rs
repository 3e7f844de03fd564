//! Real programs under fated: each gives the same output, exit status and log of calls on both engines, and what it gives
//! natively where that doesn't differ from run to run. `table.rs` lists them; `docs/PROGRAMS.md` is the outcome.
//!
//! `FATED_SEEDS` says with how many seeds each runs (1 if unset); with 0 each runs twice natively, which checks the table. The
//! document is written with `FATED_BLESS=1 FATED_SEEDS=20`. `FATED_BEFORE` names another build of fated, the one before a change: then
//! each run has to be what it is with that one, too.

#![expect(clippy::disallowed_methods, reason = "starts fated and native programs, and reads how often")]

mod document;
mod run;
mod table;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use run::{Outcome, Setup};
use table::{Expect, PROGRAMS, Program};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let seeds = std::env::var("FATED_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    let setup = Arc::new(Setup::new(seeds));
    let outcomes = Arc::new(Mutex::new(BTreeMap::new()));
    let mut trials = Vec::new();
    for program in PROGRAMS.iter().flat_map(|(_, programs)| *programs) {
        let missing = setup.missing(program);
        if let (Some(command), false) = (&missing, arguments.list) {
            println!("{} is skipped: no {command} in {}", program.name, setup.path);
        }
        let (setup, outcomes) = (setup.clone(), outcomes.clone());
        let trial = Trial::test(program.name, move || {
            let outcome = setup.run(program);
            let verdict = judge(program, &outcome);
            outcomes.lock().expect("no trial panics").insert(program.name, outcome);
            verdict
        });
        trials.push(trial.with_ignored_flag(missing.is_some()));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list && seeds > 0 {
        document::check(&outcomes.lock().expect("no trial panics"), seeds);
    }
    conclusion.exit_code()
}

/// An expected failure has to fail, so that the table stays true.
fn judge(program: &Program, outcome: &Outcome) -> Result<(), Failed> {
    match (program.expect, outcome.problem()) {
        (Expect::Works, None) | (Expect::Fails(_), Some(_)) => Ok(()),
        (Expect::Works, Some(problem)) => Err(problem.into()),
        (Expect::Fails(why), None) => Err(format!("works, though listed as failing: {why}").into()),
    }
}
