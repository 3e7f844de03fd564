//! `--policy`: the order of tasks that are ready, and `pct:N:auto`, which first runs the program to count its calls.

use std::rc::Rc;

use fated_engine::Observer;
use fated_kernel::config::Policy;

use crate::cli::RunArgs;
use crate::journal::Journals;
use crate::settings::Settings;
use crate::verify;
use crate::verify_input::Input;

/// What `--policy` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The policy.
    pub policy: Policy,
    /// Over how many calls it spreads its changes is to be measured.
    pub measured: bool,
}

/// Reads the value of the option.
pub fn parse(text: &str) -> Result<Wanted, String> {
    let given = |policy| Ok(Wanted { policy, measured: false });
    match text.split_once(':') {
        None if text == "rr" => given(Policy::RoundRobin),
        None if text == "random" => given(Policy::Random),
        None if text == "pct" => given(Policy::Pct { changes: 3, span: 0 }),
        Some(("pct", numbers)) => {
            let number = |text: &str| text.parse().map_err(|error| format!("pct:N:CALLS needs numbers: {error}"));
            let (changes, span) = numbers.split_once(':').unwrap_or((numbers, "0"));
            let measured = span == "auto";
            let span = if measured { "0" } else { span };
            Ok(Wanted { policy: Policy::Pct { changes: number(changes)?, span: number(span)? }, measured })
        }
        _ => Err("choose rr, random, pct, pct:N, pct:N:CALLS or pct:N:auto".to_owned()),
    }
}

/// Runs the program under `rr`, with nothing to be seen of it; the result is the wanted policy for as many calls as it has made.
pub fn measure(args: &RunArgs, settings: &Settings, input: &Input) -> anyhow::Result<Policy> {
    let Policy::Pct { changes, .. } = args.policy.policy else { return Ok(args.policy.policy) };
    let mut settings = input.settings(settings).without_traces();
    settings.config.policy = Policy::RoundRobin;
    let observer = Observer { record: Box::new(|_| {}), notice: Box::new(|_| {}) };
    let (ended, cost, _) = verify::once(args, &settings, input.console(false), observer)?;
    ended?;
    input.rewind();
    let calls: u64 = cost.kernel.calls.iter().map(|(_, count)| count).sum();
    Ok(Policy::Pct { changes, span: u32::try_from(calls).unwrap_or(u32::MAX) })
}

impl RunArgs {
    /// The option by which the program runs twice, if it does.
    #[must_use]
    pub fn runs_twice(&self) -> Option<&'static str> {
        let measured = self.policy.measured.then_some("--policy pct:N:auto");
        if self.verify { Some("--verify") } else { measured }
    }
}

impl Settings {
    /// Those of a run that leaves neither a log nor a journal nor files.
    fn without_traces(mut self) -> Settings {
        self.config.log = false;
        self.journals = Rc::new(Journals::default());
        self.keep_tmp = None.into();
        self.verbose = false;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_names() {
        let pct = |changes, span, measured| Ok(Wanted { policy: Policy::Pct { changes, span }, measured });
        assert_eq!(parse("pct:7"), pct(7, 0, false));
        assert_eq!(parse("pct:7:150"), pct(7, 150, false));
        assert_eq!(parse("pct:7:auto"), pct(7, 0, true));
        for text in ["pct:x", "pct:3:", "pct:3:1:1", "pct:auto", "pct:3:auto:1", "fifo"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
