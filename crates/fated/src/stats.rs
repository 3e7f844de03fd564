//! `--stats`, and the lines about refused calls that are printed without it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use fated_kernel::stats::{ASKED_FOR_TERMINAL, READ_AFTERWARDS, by_name};
use fated_kernel::syscall::table::{self, Status};
use serde_json::{Value, json};

use crate::cli::StatsFormat;
use crate::run::{Cost, REAL_PROCESSOR};
use crate::stderr;

/// Prints the cost of a run to standard error; without a format, only the refused calls.
pub fn print(format: Option<StatsFormat>, cost: &Cost, quiet: bool) {
    let text = match format {
        Some(StatsFormat::Text) => text(cost),
        Some(StatsFormat::Json) => format!("{}\n", json(cost)),
        None => {
            if !quiet {
                cost.kernel.refused.iter().filter(|(number, _)| !table::is_probe(*number)).for_each(say_refused);
            }
            return;
        }
    };
    stderr::print(&text);
}

fn say_refused((number, count): &(u64, u64)) {
    let name = list(&by_name(&[(*number, *count)]));
    let why = match table::call(*number).map(|info| info.status) {
        Some(Status::Refused(why)) => why,
        _ => "fated doesn't know the call",
    };
    stderr::say(format_args!("refused with ENOSYS: {name}: {why}"));
}

/// Where the user sits at a terminal: whether the program has looked for one, and did something without it.
pub fn say_terminal(cost: &Cost, failed: bool) {
    let asked = cost.kernel.stdin & ASKED_FOR_TERMINAL != 0;
    let missed = failed || cost.kernel.stdin & READ_AFTERWARDS != 0;
    if asked && missed && io::stdin().is_terminal() && io::stdout().is_terminal() {
        stderr::say(
            "the program has asked whether its standard input is a terminal, and has found a pipe: --stdio inherit makes it interactive",
        );
    }
}

fn virtual_time(cost: &Cost) -> Duration {
    Duration::from_nanos(cost.kernel.virtual_ns)
}

/// Whose answers `cpuid` gives.
fn cpuid(cost: &Cost) -> &'static str {
    if cost.hides_processor { "virtual" } else { "virtual in files" }
}

fn text(cost: &Cost) -> String {
    let (calls, refused) = (by_name(&cost.kernel.calls), by_name(&cost.kernel.refused));
    let total: u64 = calls.iter().map(|(_, count)| count).sum();
    let (of_guests, real) = (virtual_time(cost), cost.real);
    let mut text = format!(
        "\
virtual time  {:>16.6} s
real time     {:>16.6} s
processor     {:>16} s (time of guests and fated, on all CPUs)
stops         {:>16}   (a task ran until it stopped)
calls         {total:>16}   (seen by the simulated kernel)
native calls  {:>16}   (of these, carried out by Linux)
traps         {:>16}   (cpuid, rdtsc, rdrand and their like)
cpuid         {:>16}   ({})
tasks         {:>16}
programs      {:>16}
",
        of_guests.as_secs_f64(),
        real.as_secs_f64(),
        cost.processor.map_or("unknown".to_owned(), |time| format!("{:.6}", time.as_secs_f64())),
        cost.stops,
        cost.kernel.natives,
        cost.traps,
        cpuid(cost),
        if cost.hides_processor { "guests see fated's, the same on every machine" } else { REAL_PROCESSOR },
        cost.kernel.tasks,
        cost.kernel.programs,
    );
    if !refused.is_empty() {
        let _ = writeln!(text, "refused       {}", list(&refused));
    }
    let _ = writeln!(text, "\n       count  call");
    for (name, count) in &calls {
        let _ = writeln!(text, "{count:12}  {name}");
    }
    text
}

fn json(cost: &Cost) -> Value {
    let counts = |list: Vec<(String, u64)>| -> Value {
        list.into_iter().map(|(name, count)| (name, count.into())).collect::<serde_json::Map<_, _>>().into()
    };
    json!({
        "virtual_ns": u64::try_from(virtual_time(cost).as_nanos()).unwrap_or(u64::MAX),
        "real_ns": u64::try_from(cost.real.as_nanos()).unwrap_or(u64::MAX),
        "processor_ns": cost.processor.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        "stops": cost.stops,
        "native_calls": cost.kernel.natives,
        "traps": cost.traps,
        "cpuid": cpuid(cost),
        "tasks": cost.kernel.tasks,
        "programs": cost.kernel.programs,
        "calls": counts(by_name(&cost.kernel.calls)),
        "refused": counts(by_name(&cost.kernel.refused)),
    })
}

fn list(calls: &[(String, u64)]) -> String {
    let each: Vec<String> = calls.iter().map(|(name, count)| format!("{name} ({count})")).collect();
    each.join(", ")
}
